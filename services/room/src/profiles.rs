//! Display names and avatars for membership events, from the auth role.

use std::collections::HashMap;

use matrixon_proto::auth::v1::{GetProfilesRequest, auth_client::AuthClient};
use matrixon_rpc::Peers;
use matrixon_runtime::role::Role;
use ruma::{CanonicalJsonObject, OwnedUserId};

#[derive(Clone, Debug, Default)]
pub(crate) struct Profile {
    pub(crate) displayname: Option<String>,
    pub(crate) avatar_url: Option<String>,
}

pub(crate) struct Profiles {
    peers: Option<Peers>,
}

impl Profiles {
    pub(crate) fn new(peers: Option<Peers>) -> Self {
        Self { peers }
    }

    /// A membership without a name is better than none: when auth is away, profiles are empty.
    pub(crate) async fn load(&self, user_ids: &[OwnedUserId]) -> HashMap<String, Profile> {
        let Some(peers) = &self.peers else { return HashMap::new() };
        if user_ids.is_empty() {
            return HashMap::new();
        }
        let request = GetProfilesRequest { user_ids: user_ids.iter().map(ToString::to_string).collect() };
        match AuthClient::new(peers.role(Role::Auth)).get_profiles(request).await {
            Ok(response) => response
                .into_inner()
                .profiles
                .into_iter()
                .map(|profile| {
                    let known = Profile { displayname: profile.displayname, avatar_url: profile.avatar_url };
                    (profile.user_id, known)
                })
                .collect(),
            Err(status) => {
                tracing::warn!(%status, "profiles cannot be read, memberships get none");
                HashMap::new()
            }
        }
    }

    pub(crate) async fn load_one(&self, user_id: &OwnedUserId) -> Profile {
        self.load(std::slice::from_ref(user_id)).await.remove(user_id.as_str()).unwrap_or_default()
    }
}

impl Profile {
    pub(crate) fn write_to(&self, content: &mut CanonicalJsonObject) {
        if let Some(displayname) = &self.displayname {
            content.insert("displayname".to_owned(), displayname.as_str().into());
        }
        if let Some(avatar_url) = self.avatar_url.as_deref().filter(|url| !url.is_empty()) {
            content.insert("avatar_url".to_owned(), avatar_url.into());
        }
    }
}
