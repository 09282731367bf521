//! Looking somebody up.

use std::collections::{HashMap, HashSet};

use matrixon_accounts::profiles;
use matrixon_rooms::{members, rooms};
use ruma::UserId;

use super::index::{Names, Term};
use crate::{
    consumers::rooms as room_consumer,
    error::SyncError,
    state::Shared,
    store::directory::{self, DirectoryUser, Page},
};

/// Results at most, whatever the client asks for.
const MAX_LIMIT: usize = 50;
/// Entries read at a time, and for one search.
const CHUNK: i64 = 400;
const MAX_ENTRIES: i64 = 20_000;
/// So many more than are asked for are gathered before the best of them are taken.
const SURPLUS: usize = 4;
/// Rooms that opened or closed so recently that the directory has not heard of it.
const MAX_RECENT: i64 = 200;

pub(crate) struct Found {
    pub(crate) users: Vec<DirectoryUser>,
    /// There are more.
    pub(crate) limited: bool,
}

struct Hit {
    rank: u8,
    /// In a room of the requester.
    is_shared: bool,
    names: Names,
    user: DirectoryUser,
}

/// Users whom the requester may find, the best fit first, in the same order every time.
pub(crate) async fn search(shared: &Shared, requester: &UserId, text: &str, limit: usize) -> Result<Found, SyncError> {
    let limit = limit.min(MAX_LIMIT);
    let options = &shared.config.user_directory;
    let term = Term::new(text);
    if limit == 0 || !options.enabled || term.walks().is_empty() {
        return Ok(Found { users: Vec::new(), limited: false });
    }
    let mut search = Search {
        shared,
        requester,
        own: members::list_joined_by(&shared.db, &[requester.as_str()]).await?.into_iter().map(|row| row.1).collect(),
        public: recent_rooms(shared).await?,
        term,
        seen: HashSet::new(),
        hits: Vec::new(),
        entries: 0,
    };
    let enough = limit * SURPLUS;
    let mut is_whole = true;
    for walk in search.term.walks() {
        is_whole &= search.walk(walk.kind, &walk.beginning, enough).await?;
        if search.hits.len() >= enough {
            break;
        }
    }
    let Search { mut hits, .. } = search;
    hits.sort_by(|a, b| key(a).cmp(&key(b)));
    let limited = hits.len() > limit || !is_whole;
    hits.truncate(limit);
    Ok(Found { users: hits.into_iter().map(|hit| hit.user).collect(), limited })
}

/// Rank, acquaintances first, profiles first, then by name.
fn key(hit: &Hit) -> (u8, bool, bool, &str, &str) {
    let is_bare = hit.user.displayname.is_none() && hit.user.avatar_url.is_none();
    (hit.rank, !hit.is_shared, is_bare, &hit.names.name, &hit.user.user_id)
}

/// Rooms that the directory's consumer has not come to yet, as they are now.
async fn recent_rooms(shared: &Shared) -> Result<HashMap<i64, bool>, SyncError> {
    let mut recent = HashMap::new();
    for room in directory::list_recent_rooms(&shared.db, room_consumer::NAME, MAX_RECENT).await? {
        recent.insert(room, rooms::is_public(&shared.db, room).await?);
    }
    Ok(recent)
}

struct Search<'a> {
    shared: &'a Shared,
    requester: &'a UserId,
    /// Rooms of the requester.
    own: HashSet<i64>,
    /// Is the room open to the public? What is known so far.
    public: HashMap<i64, bool>,
    term: Term,
    seen: HashSet<String>,
    hits: Vec<Hit>,
    entries: i64,
}

impl Search<'_> {
    /// Gathers from one part of the index. False: it ended before the index did.
    async fn walk(&mut self, kind: i16, beginning: &str, enough: usize) -> Result<bool, SyncError> {
        let mut last = (beginning.to_owned(), String::new());
        loop {
            let page = Page { kind, beginning, after: (&last.0, &last.1), limit: CHUNK };
            let entries = directory::list_entries(&self.shared.db, page).await?;
            let is_last = (entries.len() as i64) < CHUNK;
            self.entries += entries.len() as i64;
            let Some(newest) = entries.last().cloned() else { return Ok(true) };
            last = newest;
            let fresh: Vec<String> = entries
                .into_iter()
                .map(|(_, user_id)| user_id)
                .filter(|user_id| self.seen.insert(user_id.clone()))
                .collect();
            self.take(fresh).await?;
            if is_last {
                return Ok(true);
            }
            if self.hits.len() >= enough || self.entries >= MAX_ENTRIES {
                return Ok(false);
            }
        }
    }

    /// Those of these users who fit and whom the requester may find.
    async fn take(&mut self, user_ids: Vec<String>) -> Result<(), SyncError> {
        let user_ids: Vec<&str> = user_ids.iter().map(String::as_str).collect();
        if user_ids.is_empty() {
            return Ok(());
        }
        let db = &self.shared.db;
        let mut fits = Vec::new();
        for user in directory::load_users(db, &user_ids).await? {
            let names = Names::new(&user.user_id, user.displayname.as_deref());
            if let Some(rank) = names.rank(&self.term) {
                fits.push(Hit { rank, is_shared: false, names, user });
            }
        }
        let ids: Vec<&str> = fits.iter().map(|hit| hit.user.user_id.as_str()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let hidden = profiles::list_hidden(db, &ids).await?;
        let joined = members::list_joined_by(db, &ids).await?;
        self.learn_public(&joined).await?;
        let mut rooms: HashMap<&str, Vec<i64>> = HashMap::new();
        for (user_id, room) in &joined {
            rooms.entry(user_id).or_default().push(*room);
        }
        for mut hit in fits {
            let user_id = hit.user.user_id.as_str();
            let rooms = rooms.get(user_id).map_or(&[][..], Vec::as_slice);
            hit.is_shared = self.requester != user_id && rooms.iter().any(|room| self.own.contains(room));
            let is_public = || rooms.iter().any(|room| self.public.get(room) == Some(&true));
            if !hidden.contains(&hit.user.user_id) && (hit.is_shared || self.sees_all(user_id) || is_public()) {
                self.hits.push(hit);
            }
        }
        Ok(())
    }

    fn sees_all(&self, user_id: &str) -> bool {
        let is_local = || user_id.split_once(':').is_some_and(|(_, server)| self.requester.server_name() == server);
        self.shared.config.user_directory.search_all_users && is_local()
    }

    async fn learn_public(&mut self, joined: &[(String, i64)]) -> Result<(), SyncError> {
        let mut rooms: Vec<i64> =
            joined.iter().map(|(_, room)| *room).filter(|room| !self.public.contains_key(room)).collect();
        rooms.sort_unstable();
        rooms.dedup();
        if rooms.is_empty() {
            return Ok(());
        }
        let public = directory::list_public(&self.shared.db, &rooms).await?;
        self.public.extend(rooms.into_iter().map(|room| (room, false)));
        self.public.extend(public.into_iter().map(|room| (room, true)));
        Ok(())
    }
}
