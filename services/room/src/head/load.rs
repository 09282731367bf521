//! Heads from SQL.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use matrixon_matrix::{Pdu, RoomVersion};
use matrixon_store::{Db, StoreError};
use ruma::{OwnedEventId, RoomId, events::StateEventType};

use super::{Head, Loaded, MAX_STATE_ENTRIES, StateKey};
use crate::{
    error::RoomError,
    store::heads::{self, HeadRow},
};

static GENERATION: AtomicU64 = AtomicU64::new(1);

/// What nearly every append reads.
const CORE: [StateEventType; 4] = [
    StateEventType::RoomCreate,
    StateEventType::RoomPowerLevels,
    StateEventType::RoomJoinRules,
    StateEventType::RoomHistoryVisibility,
];

fn inconsistent(problem: impl Into<String>) -> RoomError {
    let problem: String = problem.into();
    RoomError::from(StoreError::inconsistent("rooms", problem))
}

fn extremities(row: &HeadRow) -> Result<Vec<OwnedEventId>, RoomError> {
    serde_json::from_str(&row.forward_extremities).map_err(|error| inconsistent(error.to_string()))
}

impl Head {
    /// `M_NOT_FOUND` ← unknown room
    pub(crate) async fn load(db: &Db, room_id: &RoomId) -> Result<Self, RoomError> {
        // The row before the state: state that is newer than the version makes the append a conflict, never a wrong event.
        let row = heads::find_head(db, room_id.as_str()).await?.ok_or(RoomError::UnknownRoom)?;
        let version = RoomVersion::find(&row.room_version).ok_or_else(|| inconsistent(row.room_version.as_str()))?;
        let mut head = Self {
            room: row.id,
            room_id: room_id.to_owned(),
            version,
            revision: row.version,
            extremities: extremities(&row)?,
            depth: row.depth,
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
            stale: false,
            loaded: Loaded { snapshot: row.state_snapshot, redactions: row.state_redactions },
            state_changed: false,
            state: HashMap::new(),
            senders: HashMap::new(),
        };
        head.require(db, &CORE.map(|kind| (kind, String::new()))).await?;
        Ok(head)
    }

    /// Reads the room's row again, and its state only if that has changed.
    pub(crate) async fn refresh(&mut self, db: &Db) -> Result<(), RoomError> {
        let row = heads::find_head(db, self.room_id.as_str()).await?.ok_or(RoomError::UnknownRoom)?;
        let loaded = Loaded { snapshot: row.state_snapshot, redactions: row.state_redactions };
        if self.state_changed || loaded != self.loaded || self.state.len() > MAX_STATE_ENTRIES {
            let room_id = self.room_id.clone();
            *self = Self::load(db, &room_id).await?;
            return Ok(());
        }
        self.revision = row.version;
        self.extremities = extremities(&row)?;
        self.depth = row.depth;
        self.generation = GENERATION.fetch_add(1, Ordering::Relaxed);
        self.stale = false;
        Ok(())
    }

    /// Makes sure that these entries of the state are known.
    pub(crate) async fn require(&mut self, db: &Db, keys: &[StateKey]) -> Result<(), RoomError> {
        let missing: Vec<StateKey> = keys.iter().filter(|key| !self.state.contains_key(key)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let rows = heads::load_state(db, self.room, &missing).await?;
        let mut found: HashMap<StateKey, Arc<Pdu>> = HashMap::new();
        for (event_type, state_key, json) in rows {
            let pdu = Pdu::from_stored(self.version, &json, None)
                .map_err(|error| RoomError::from(StoreError::inconsistent("events", error.to_string())))?;
            found.insert((StateEventType::from(event_type), state_key), Arc::new(pdu));
        }
        for key in missing {
            let event = found.remove(&key);
            self.state.entry(key).or_insert(event); // a key may be asked for twice
        }
        Ok(())
    }

    /// After its first append was committed: what SQL holds now.
    pub(crate) fn adopt(&mut self, room: i64, snapshot: i64) {
        self.room = room;
        self.revision = 1;
        self.loaded = Loaded { snapshot, redactions: 0 };
        self.state_changed = false;
        self.generation = GENERATION.fetch_add(1, Ordering::Relaxed);
        // created without looking: what is absent is known to be absent
        for kind in CORE {
            self.state.entry((kind, String::new())).or_default();
        }
    }
}
