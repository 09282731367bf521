//! Stream `events` → the user directory: which rooms are open to the public, and users of other servers by the names
//! under which they joined.

use std::collections::{BTreeMap, BTreeSet};

use matrixon_accounts::profiles;
use matrixon_rooms::{events::content_of, rooms};
use matrixon_store::{
    Db, StoreError,
    streams::{
        Stream,
        consumer::{Batch, ConsumeError, Consumer, Outcome, Start, Work},
    },
};
use serde::Deserialize;

use super::index_user;
use crate::store::directory::{DirectoryUser, Known, StateRow, list_state, load_users, set_public};

pub(crate) const NAME: &str = "sync.directory_rooms";

/// One shard: there is little to do, and the order of rooms and users together is kept.
pub(super) const CONSUMER: Consumer =
    Consumer { name: NAME, stream: Stream::EVENTS, shards: 1, start: Start::Beginning, batch: 1_000 };

pub(super) struct Index {
    pub(super) db: Db,
}

impl Work for Index {
    async fn work(&self, batch: &Batch) -> Result<Outcome, ConsumeError> {
        let rows = list_state(&self.db, batch.after, batch.upto).await?;
        let rules: BTreeSet<i64> =
            rows.iter().filter(|row| row.event_type != "m.room.member").map(|row| row.room).collect();
        let users = self.new_users(&rows).await?;
        if rules.is_empty() && users.is_empty() {
            return Ok(Outcome::Nothing);
        }
        // what the rooms are now, not what they were at the event: it may come twice
        let mut public = Vec::with_capacity(rules.len());
        for room in rules {
            public.push((room, rooms::is_public(&self.db, room).await?));
        }
        let mut tx = self.db.begin().await?;
        for (room, is_public) in public {
            set_public(&mut tx, room, is_public).await?;
        }
        for (user, known) in &users {
            index_user(&mut tx, user, *known).await?;
        }
        batch.commit(tx).await?;
        Ok(Outcome::Done)
    }
}

#[derive(Default, Deserialize)]
struct Member {
    displayname: Option<String>,
    avatar_url: Option<String>,
}

impl Index {
    /// Who joined and is not in the directory like that. Local users are there by their profile; one who is missing was
    /// made by an older version.
    async fn new_users(&self, rows: &[StateRow]) -> Result<Vec<(DirectoryUser, Known)>, StoreError> {
        let joined: BTreeMap<&str, &StateRow> = rows
            .iter()
            .filter(|row| row.event_type == "m.room.member" && row.membership.as_deref() == Some("join"))
            .map(|row| (row.state_key.as_str(), row))
            .collect();
        if joined.is_empty() {
            return Ok(Vec::new());
        }
        let user_ids: Vec<&str> = joined.keys().copied().collect();
        let known = load_users(&self.db, &user_ids).await?;
        let local = profiles::load(&self.db, &user_ids).await?;
        let mut users = Vec::new();
        for (user_id, row) in joined {
            let entry = known.iter().find(|user| user.user_id == user_id);
            if let Some(profile) = local.iter().find(|profile| profile.user_id == user_id) {
                if entry.is_none() {
                    let user = DirectoryUser {
                        user_id: user_id.to_owned(),
                        displayname: profile.displayname.clone(),
                        avatar_url: profile.avatar_url.clone(),
                    };
                    // the consumer of profiles may have written a newer name meanwhile
                    users.push((user, Known::Keep));
                }
                continue;
            }
            let content = content_of(&row.json).and_then(|json| serde_json::from_str::<Member>(json).ok());
            let Member { displayname, avatar_url } = content.unwrap_or_default();
            // PostgreSQL takes no NUL in text; names of other servers may have it
            let clean = |text: Option<String>| text.filter(|text| !text.contains('\0'));
            let user = DirectoryUser {
                user_id: user_id.to_owned(),
                displayname: clean(displayname),
                avatar_url: clean(avatar_url),
            };
            if entry != Some(&user) && !profiles::exists(&self.db, user_id).await? {
                users.push((user, Known::Replace));
            }
        }
        Ok(users)
    }
}
