//! Looking somebody up.

use std::collections::HashSet;

use matrixon_accounts::profiles;
use matrixon_rooms::rooms;
use ruma::UserId;

use super::index::{Names, Term};
use crate::{
    consumers::rooms as room_consumer,
    error::SyncError,
    state::Shared,
    store::directory::{self, Candidate, Page},
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
    pub(crate) users: Vec<Candidate>,
    /// There are more.
    pub(crate) limited: bool,
}

struct Hit {
    rank: u8,
    names: Names,
    user: Candidate,
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
        recent: recent_rooms(shared).await?,
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
    (hit.rank, !hit.user.is_shared, is_bare, &hit.names.name, &hit.user.user_id)
}

/// Rooms that the directory's consumer has not come to yet, as they are now: `(public, private)`.
async fn recent_rooms(shared: &Shared) -> Result<(Vec<i64>, Vec<i64>), SyncError> {
    let mut open = (Vec::new(), Vec::new());
    for room in directory::list_recent_rooms(&shared.db, room_consumer::NAME, MAX_RECENT).await? {
        let list = if rooms::is_public(&shared.db, room).await? { &mut open.0 } else { &mut open.1 };
        list.push(room);
    }
    Ok(open)
}

struct Search<'a> {
    shared: &'a Shared,
    requester: &'a UserId,
    recent: (Vec<i64>, Vec<i64>),
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

    async fn take(&mut self, user_ids: Vec<String>) -> Result<(), SyncError> {
        if user_ids.is_empty() {
            return Ok(());
        }
        let view =
            directory::View { requester: self.requester.as_str(), opened: &self.recent.0, closed: &self.recent.1 };
        let users = directory::load_candidates(&self.shared.db, &user_ids, view).await?;
        let all = self.shared.config.user_directory.search_all_users;
        let is_local = |user: &Candidate| {
            user.user_id.split_once(':').is_some_and(|(_, server)| server == self.requester.server_name().as_str())
        };
        let fits: Vec<Hit> = users
            .into_iter()
            .filter(|user| user.is_shared || user.is_public || (all && is_local(user)))
            .filter_map(|user| {
                let names = Names::new(&user.user_id, user.displayname.as_deref());
                Some(Hit { rank: names.rank(&self.term)?, names, user })
            })
            .collect();
        let ids: Vec<&str> = fits.iter().map(|hit| hit.user.user_id.as_str()).collect();
        let hidden = if ids.is_empty() { Vec::new() } else { profiles::list_hidden(&self.shared.db, &ids).await? };
        self.hits.extend(fits.into_iter().filter(|hit| !hidden.contains(&hit.user.user_id)));
        Ok(())
    }
}
