//! The first step of a batch: which appends still fit their rooms, and which were committed before.
//!
//! Appends to one room follow each other in *chains*: each was computed on the version that the one before it makes.
//! A chain passes whole, or not at all, by one `update … where version = base`, which also locks the room until COMMIT.

use std::collections::{HashMap, HashSet};

use matrixon_store::{Ex, StoreError, Tx, exec, sql, sqlx};

use super::append::{Append, Refusal, Target};

/// What is known of an existing room once its row is locked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    pub(crate) state_snapshot: i64,
}

struct Chain {
    room: i64,
    base: i64,
    /// Indexes into the batch.
    items: Vec<usize>,
}

type Verdicts = [Option<Refusal>];

/// Fills in the verdicts of refused items and returns the rooms whose chain passed.
pub(crate) async fn pass(
    tx: &mut Tx,
    items: &[Append],
    verdicts: &mut Verdicts,
) -> Result<HashMap<i64, Passed>, StoreError> {
    let chains = chains(items, verdicts);
    if chains.is_empty() {
        return Ok(HashMap::new());
    }
    let (passed, duplicates) = match tx {
        Tx::Pg(_) => pass_postgres(tx, items, &chains).await?,
        Tx::Sqlite(_) => pass_sqlite(tx, items, &chains).await?,
    };
    for chain in &chains {
        let fits = passed.get(&chain.room).is_some_and(|(base, _)| *base == chain.base);
        for &item in &chain.items {
            if let Some(event_id) = duplicates.get(&item) {
                verdicts[item] = Some(Refusal::Duplicate(event_id.clone()));
            } else if !fits {
                verdicts[item] = Some(Refusal::Conflict);
            }
        }
    }
    Ok(passed.into_iter().map(|(room, (_, passed))| (room, passed)).collect())
}

/// By room number. A transaction id that is twice in the batch drops out at its second place (and tries again).
fn chains(items: &[Append], verdicts: &mut Verdicts) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut latest: HashMap<i64, usize> = HashMap::new();
    let mut seen = HashSet::new();
    for (index, item) in items.iter().enumerate() {
        let Target::Room { room, base } = item.target else { continue };
        if verdicts[index].is_some() {
            continue;
        }
        if item.txn().is_some_and(|txn| !seen.insert((room, txn))) {
            verdicts[index] = Some(Refusal::Conflict);
            continue;
        }
        match latest.get(&room).map(|&at| &mut chains[at]) {
            Some(chain) if chain.base + chain.items.len() as i64 == base => chain.items.push(index),
            _ => {
                latest.insert(room, chains.len());
                chains.push(Chain { room, base, items: vec![index] });
            }
        }
    }
    chains.sort_by_key(|chain| chain.room);
    chains
}

type Outcome = (HashMap<i64, (i64, Passed)>, HashMap<usize, String>);

/// (room, base, state snapshot, _) of a room that fits, or (item, _, _, event id) of a duplicate.
type PassRow = (i64, Option<i64>, Option<i64>, Option<String>);

/// One statement: duplicates, locks in the order of room numbers, and the update of the rooms that fit.
const PASS: &str = "
with input as (
    select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[])
        as t (room, base, bump, extremities, depth)
), duplicates as (
    select t.item, t.room, e.event_id
    from unnest($6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::text[]) as t (item, room, sender, device_id, txn_id)
    join events e on e.room = t.room and e.sender = t.sender and e.device_id = t.device_id and e.txn_id = t.txn_id
), locked as (
    select r.id from rooms r join input i on i.room = r.id and i.base = r.version
    where r.id = any($1::bigint[]) order by r.id for update of r
), updated as (
    update rooms r set version = r.version + i.bump, forward_extremities = i.extremities, depth = i.depth
    from input i, locked l
    where l.id = r.id and i.room = r.id and i.base = r.version
      and not exists (select from duplicates d where d.room = r.id)
    returning r.id, i.base, r.state_snapshot
)
select id, base, state_snapshot, null::text from updated
union all
select item, null, null, event_id from duplicates";

async fn pass_postgres(tx: &mut Tx, items: &[Append], chains: &[Chain]) -> Result<Outcome, StoreError> {
    let Ex::Pg(connection) = tx.ex() else { unreachable!("called for PostgreSQL only") };
    let last = |chain: &Chain| &items[chain.items[chain.items.len() - 1]];
    let txns: Vec<(usize, i64, (&str, &str, &str))> = chains
        .iter()
        .flat_map(|chain| chain.items.iter().map(|&item| (item, chain.room)))
        .filter_map(|(item, room)| items[item].txn().map(|txn| (item, room, txn)))
        .collect();
    let rows: Vec<PassRow> = sqlx::query_as(PASS)
        .bind(chains.iter().map(|chain| chain.room).collect::<Vec<_>>())
        .bind(chains.iter().map(|chain| chain.base).collect::<Vec<_>>())
        .bind(chains.iter().map(|chain| chain.items.len() as i64).collect::<Vec<_>>())
        .bind(chains.iter().map(|chain| last(chain).extremities.as_str()).collect::<Vec<_>>())
        .bind(chains.iter().map(|chain| last(chain).depth).collect::<Vec<_>>())
        .bind(txns.iter().map(|txn| txn.0 as i64).collect::<Vec<_>>())
        .bind(txns.iter().map(|txn| txn.1).collect::<Vec<_>>())
        .bind(txns.iter().map(|txn| txn.2.0).collect::<Vec<_>>())
        .bind(txns.iter().map(|txn| txn.2.1).collect::<Vec<_>>())
        .bind(txns.iter().map(|txn| txn.2.2).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let (mut passed, mut duplicates) = (HashMap::new(), HashMap::new());
    for row in rows {
        match row {
            (room, Some(base), Some(state_snapshot), _) => {
                passed.insert(room, (base, Passed { state_snapshot }));
            }
            (item, _, _, event_id) => {
                duplicates.insert(item as usize, event_id.unwrap_or_default());
            }
        }
    }
    Ok((passed, duplicates))
}

async fn pass_sqlite(tx: &mut Tx, items: &[Append], chains: &[Chain]) -> Result<Outcome, StoreError> {
    let (mut passed, mut duplicates) = (HashMap::new(), HashMap::new());
    for chain in chains {
        let mut fits = true;
        for &item in &chain.items {
            let Some((sender, device_id, txn_id)) = items[item].txn() else { continue };
            let known = sql!(
                tx.ex(),
                fetch_optional as (String,),
                "select event_id from events where room = $1 and sender = $2 and device_id = $3 and txn_id = $4",
                chain.room,
                sender,
                device_id,
                txn_id
            )?;
            if let Some((event_id,)) = known {
                duplicates.insert(item, event_id);
                fits = false;
            }
        }
        if !fits {
            continue;
        }
        let row = sql!(
            tx.ex(),
            fetch_optional as (i64, i64),
            "select version, state_snapshot from rooms where id = $1",
            chain.room
        )?;
        let Some((version, state_snapshot)) = row else { continue };
        if version != chain.base {
            continue;
        }
        let last = &items[chain.items[chain.items.len() - 1]];
        exec!(
            tx.ex(),
            "update rooms set version = version + $1, forward_extremities = $2, depth = $3 where id = $4",
            chain.items.len() as i64,
            last.extremities.as_str(),
            last.depth,
            chain.room
        )?;
        passed.insert(chain.room, (chain.base, Passed { state_snapshot }));
    }
    Ok((passed, duplicates))
}
