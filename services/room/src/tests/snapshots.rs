use std::collections::BTreeMap;

use matrixon_rooms::{events, state};
use matrixon_store::{Db, sql};
use proptest::prelude::*;
use serde_json::json;

use super::harness::{Server, on_both};
use crate::store::snapshots::{Chain, Entries, needed_above, parent_height};

/// Snapshots as rows, read back the way SQL does it.
#[derive(Default)]
struct Table(BTreeMap<i64, (i64, i64, Entries)>);

impl Table {
    fn resolve(&self, mut id: i64) -> Entries {
        let (mut resolved, mut steps) = (Entries::new(), 0);
        while id != 0 {
            let (parent, _, entries) = &self.0[&id];
            for (key, position) in entries {
                resolved.entry(key.clone()).or_insert(*position);
            }
            id = *parent;
            steps += 1;
        }
        assert!(steps <= 64 - (self.0.len() as u64).leading_zeros(), "chains are logarithmic");
        resolved
    }

    /// As much of the chain as `count` changes need.
    fn load(&self, id: i64, count: usize) -> Chain {
        let mut chain = Chain::default();
        if id == 0 {
            return chain;
        }
        let above = needed_above(self.0[&id].1, count);
        let (mut nodes, mut at) = (Vec::new(), id);
        while at != 0 {
            let (parent, height, entries) = &self.0[&at];
            nodes.push((at, *height, if *height > above { entries.clone() } else { Entries::new() }));
            if *height <= above {
                break;
            }
            at = *parent;
        }
        for (id, height, entries) in nodes.into_iter().rev() {
            chain.load(id, height, entries);
        }
        chain
    }
}

proptest! {
    #[test]
    fn every_snapshot_resolves_to_the_naive_replay(
        batches in prop::collection::vec(prop::collection::vec(0_u8..12, 1..9), 1..40),
    ) {
        let (mut table, mut naive, mut newest, mut position) = (Table::default(), Entries::new(), 0, 0);
        for batch in batches {
            let mut chain = table.load(newest, batch.len());
            for key in batch {
                position += 1;
                let key = ("type".to_owned(), key.to_string());
                naive.insert(key.clone(), position);
                let snapshot = chain.push(position, key, position);
                prop_assert_eq!(snapshot.previous, newest);
                prop_assert_eq!(snapshot.height, position);
                let parent = table.0.get(&snapshot.parent).map_or(0, |row| row.1);
                prop_assert_eq!(parent, parent_height(position));
                newest = snapshot.id;
                table.0.insert(snapshot.id, (snapshot.parent, snapshot.height, snapshot.entries));
                prop_assert_eq!(&table.resolve(newest), &naive);
            }
        }
    }
}

async fn resolve(db: &Db, snapshot: i64) -> Entries {
    let rows = state::load_snapshot(db, snapshot).await.unwrap();
    rows.into_iter().map(|row| ((row.event_type, row.state_key.unwrap()), row.position)).collect()
}

#[test]
fn stored_snapshots_resolve_to_the_naive_replay() {
    on_both(|db| async move {
        let server = Server::new(&db).await;
        let room = server.public_room("alice").await;
        for number in 0..40 {
            let path = format!("rooms/{room}/state/m.thing/{}", number * 7 % 5);
            let (status, body) = server.put("alice", &path, json!({ "number": number })).await;
            assert_eq!(status, 200, "{body}");
            if number % 3 == 0 {
                server.send("alice", &room, &number.to_string(), "between").await;
            }
        }
        // several in one batch
        let sends = (0..30).map(|number| {
            let path = format!("rooms/{room}/state/m.thing/{}", number % 11);
            let server = &server;
            async move { server.put("alice", &path, json!({ "again": number })).await.0 }
        });
        assert!(futures::future::join_all(sends).await.iter().all(|status| *status == 200));

        let mut naive = Entries::new();
        let mut newest = 0;
        let all = events::list_range(&db, 0, i64::MAX).await.unwrap();
        for row in &all {
            assert_eq!(row.state_before, newest);
            assert_eq!(resolve(&db, row.state_before).await, naive);
            if let Some(state_key) = &row.state_key {
                let replaced = naive.insert((row.event_type.clone(), state_key.clone()), row.position);
                assert_eq!(row.replaces, replaced);
                newest = row.state_after;
            }
            assert_eq!(row.state_after, newest);
        }
        assert_eq!(resolve(&db, newest).await, naive);
        let current = sql!(
            db.read(),
            fetch_all as (String, String, i64),
            "select event_type, state_key, event from current_state"
        )
        .unwrap();
        assert_eq!(current.into_iter().map(|(kind, key, event)| ((kind, key), event)).collect::<Entries>(), naive);
    });
}
