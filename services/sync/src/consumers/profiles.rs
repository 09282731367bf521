//! Stream `profiles` → the user directory: local users by their newest name.

use std::collections::BTreeSet;

use matrixon_accounts::profiles;
use matrixon_store::{
    Db,
    streams::{
        Stream,
        consumer::{Batch, ConsumeError, Consumer, Outcome, Start, Work},
    },
};

use super::index_user;
use crate::store::directory::{DirectoryUser, Known, delete_user};

pub(super) const CONSUMER: Consumer =
    Consumer { name: "sync.directory_users", stream: Stream::PROFILES, shards: 4, start: Start::Beginning, batch: 200 };

pub(super) struct Index {
    pub(super) db: Db,
}

/// A change that the directory shows; the field without a name is the end of the account.
fn is_shown(field: &str) -> bool {
    matches!(field, "displayname" | "avatar_url" | "")
}

impl Work for Index {
    async fn work(&self, batch: &Batch) -> Result<Outcome, ConsumeError> {
        let changes = profiles::list_changes(&self.db, batch.after, batch.upto).await?;
        let users: BTreeSet<&str> = changes
            .iter()
            .filter(|change| is_shown(&change.field) && batch.has(&change.user_id))
            .map(|change| change.user_id.as_str())
            .collect();
        if users.is_empty() {
            return Ok(Outcome::Nothing);
        }
        let present = profiles::load(&self.db, &users.iter().copied().collect::<Vec<_>>()).await?;
        let mut tx = self.db.begin().await?;
        for user_id in &users {
            match present.iter().find(|profile| profile.user_id == *user_id) {
                Some(profile) => {
                    let user = DirectoryUser {
                        user_id: profile.user_id.clone(),
                        displayname: profile.displayname.clone(),
                        avatar_url: profile.avatar_url.clone(),
                    };
                    index_user(&mut tx, &user, Known::Replace).await?;
                }
                None => delete_user(&mut tx, user_id).await?, // deactivated
            }
        }
        batch.commit(tx).await?;
        Ok(Outcome::Done)
    }
}
