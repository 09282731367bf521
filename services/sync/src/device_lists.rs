//! Changes of device lists over any span of time, from SQL.

use std::{collections::BTreeSet, sync::Arc};

use matrixon_store::Db;

use crate::{
    error::SyncError,
    live::memory::Memory,
    state::Shared,
    store::device_lists as store,
    streams::{DeviceLists, LoadedLists},
    token::Token,
};

/// Users whose rooms are compared in one statement.
const CHUNK: usize = 500;

/// What a client that has everything up to `from` must be told at `to`.
pub(crate) async fn between(db: &Db, viewer: &str, from: Token, to: Token) -> Result<DeviceLists, SyncError> {
    let mut changed = store::list_changed(db, viewer, from.device_lists, to.device_lists).await?;
    let mut left = BTreeSet::new();
    let span = (from.events, to.events);
    let own = store::list_own_rooms(db, viewer, span.0, span.1).await?;
    let rooms =
        |steady: bool| own.iter().filter(move |room| (room.before && room.after) == steady).map(|room| room.room);
    let (steady, moved): (Vec<i64>, Vec<i64>) = (rooms(true).collect(), rooms(false).collect());
    let candidates = store::list_candidates(db, viewer, (&steady, &moved), span.0).await?;
    for users in candidates.chunks(CHUNK) {
        for (user_id, (before, after)) in store::load_sharing(db, users, &own, span).await? {
            if after && !before {
                changed.insert(user_id);
            } else if before && !after {
                left.insert(user_id);
            }
        }
    }
    if !steady.is_empty() && from.events < to.events {
        changed.extend(store::list_in_newly_encrypted(db, &steady, span).await?);
    }
    let arc = |users: BTreeSet<String>| users.into_iter().map(Arc::from).collect();
    Ok(DeviceLists { changed: arc(changed), left: arc(left) })
}

/// The same from a token up to now, for a response of /sync.
pub(crate) async fn since(shared: &Shared, viewer: &str, from: Token) -> Result<LoadedLists, SyncError> {
    let heads = Token::at(matrixon_store::streams::heads(&shared.db).await?);
    let lists = between(&shared.db, viewer, from, heads).await?;
    Ok(LoadedLists { events: heads.events, device_lists: heads.device_lists, lists })
}

/// `/keys/changes`: `to` may not be reached here yet, or never.
pub(crate) async fn changes(shared: &Shared, viewer: &str, from: Token, to: Token) -> Result<DeviceLists, SyncError> {
    if !shared.live.read(Memory::heads).has_reached(from.max(to)) {
        shared.live.refresh().await?;
    }
    let heads = shared.live.read(Memory::heads);
    if from.events > heads.events || from.device_lists > heads.device_lists {
        return Err(SyncError::FutureToken);
    }
    let to = Token { events: to.events.min(heads.events), device_lists: to.device_lists.min(heads.device_lists), ..to };
    between(&shared.db, viewer, from, to).await
}
