//! The first step of a batch: which appends still fit their rooms, and which were committed before.
//!
//! Appends to one room follow each other in *chains*: each was computed on the version that the one before it makes.
//! A chain passes whole, or not at all, by one `update … where version = base`, which also locks the room until COMMIT.
//! The forward extremities are compared too: an append that was computed on a refused one may have the right number, but
//! hangs on an event that does not exist.

use std::collections::{HashMap, HashSet};

use matrixon_store::{Ex, StoreError, Tx, exec, sql, sqlx, timed};

use super::append::{Append, Refusal, Target};

/// What is known of an existing room once its row is locked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    pub(crate) state_snapshot: i64,
}

struct Chain<'a> {
    room: i64,
    base: i64,
    tips: &'a str,
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
    let mut rooms = HashMap::new();
    for (index, chain) in chains.iter().enumerate() {
        let fits = passed.get(&index).copied();
        rooms.extend(fits.map(|passed| (chain.room, passed)));
        for &item in &chain.items {
            if let Some(event_id) = duplicates.get(&item) {
                verdicts[item] = Some(Refusal::Duplicate(event_id.clone()));
            } else if fits.is_none() {
                verdicts[item] = Some(Refusal::Conflict);
            }
        }
    }
    Ok(rooms)
}

/// By room number. A transaction id that is twice in the batch drops out at its second place (and tries again).
fn chains<'a>(items: &'a [Append], verdicts: &mut Verdicts) -> Vec<Chain<'a>> {
    let mut chains: Vec<Chain<'_>> = Vec::new();
    let mut latest: HashMap<i64, usize> = HashMap::new();
    let mut seen = HashSet::new();
    for (index, item) in items.iter().enumerate() {
        let Target::Room { room, base, tips } = &item.target else { continue };
        let (room, base) = (*room, *base);
        if verdicts[index].is_some() {
            continue;
        }
        if item.txn().is_some_and(|txn| !seen.insert((room, txn))) {
            verdicts[index] = Some(Refusal::Conflict);
            continue;
        }
        match latest.get(&room).map(|&at| &mut chains[at]) {
            Some(chain) if continues(items, chain, base, tips) => chain.items.push(index),
            _ => {
                latest.insert(room, chains.len());
                chains.push(Chain { room, base, tips, items: vec![index] });
            }
        }
    }
    chains.sort_by_key(|chain| chain.room);
    chains
}

/// Was this computed on what the chain leaves behind?
fn continues(items: &[Append], chain: &Chain<'_>, base: i64, tips: &str) -> bool {
    let last = chain.items.last().map(|&index| items[index].extremities.as_str());
    chain.base + chain.items.len() as i64 == base && last == Some(tips)
}

/// Chains that passed, and items that were committed before.
type Outcome = (HashMap<usize, Passed>, HashMap<usize, String>);

/// (chain, state snapshot, _) of a chain that fits, or (item, _, event id) of a duplicate.
type PassRow = (i64, Option<i64>, Option<String>);

/// One statement: duplicates, locks in the order of room numbers, and the update of the rooms that fit.
const PASS: &str = "
with input as (
    select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $11::text[])
        with ordinality as t (room, base, bump, extremities, depth, tips, chain)
), duplicates as (
    select t.item, t.room, e.event_id
    from unnest($6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::text[]) as t (item, room, sender, device_id, txn_id)
    join events e on e.room = t.room and e.sender = t.sender and e.device_id = t.device_id and e.txn_id = t.txn_id
), locked as (
    select r.id from rooms r
    join input i on i.room = r.id and i.base = r.version and i.tips = r.forward_extremities
    where r.id = any($1::bigint[]) order by r.id for update of r
), updated as (
    update rooms r set version = r.version + i.bump, forward_extremities = i.extremities, depth = i.depth
    from input i, locked l
    where l.id = r.id and i.room = r.id and i.base = r.version and i.tips = r.forward_extremities
      and not exists (select from duplicates d where d.room = r.id)
    returning i.chain, r.state_snapshot
)
select chain - 1, state_snapshot, null::text from updated
union all
select item, null, event_id from duplicates";

async fn pass_postgres(tx: &mut Tx, items: &[Append], chains: &[Chain<'_>]) -> Result<Outcome, StoreError> {
    let Ex::Pg(connection) = tx.ex() else { unreachable!("called for PostgreSQL only") };
    let last = |chain: &Chain<'_>| &items[chain.items[chain.items.len() - 1]];
    let txns: Vec<(usize, i64, (&str, &str, &str))> = chains
        .iter()
        .flat_map(|chain| chain.items.iter().map(|&item| (item, chain.room)))
        .filter_map(|(item, room)| items[item].txn().map(|txn| (item, room, txn)))
        .collect();
    let query = sqlx::query_as(PASS)
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
        .bind(chains.iter().map(|chain| chain.tips).collect::<Vec<_>>());
    let rows: Vec<PassRow> = timed(PASS, query.fetch_all(connection)).await?;
    let (mut passed, mut duplicates) = (HashMap::new(), HashMap::new());
    for row in rows {
        match row {
            (chain, Some(state_snapshot), _) => {
                passed.insert(chain as usize, Passed { state_snapshot });
            }
            (item, None, event_id) => {
                duplicates.insert(item as usize, event_id.unwrap_or_default());
            }
        }
    }
    Ok((passed, duplicates))
}

async fn pass_sqlite(tx: &mut Tx, items: &[Append], chains: &[Chain<'_>]) -> Result<Outcome, StoreError> {
    let (mut passed, mut duplicates) = (HashMap::new(), HashMap::new());
    for (index, chain) in chains.iter().enumerate() {
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
            fetch_optional as (i64,),
            "select state_snapshot from rooms where id = $1 and version = $2 and forward_extremities = $3",
            chain.room,
            chain.base,
            chain.tips
        )?;
        let Some((state_snapshot,)) = row else { continue };
        let last = &items[chain.items[chain.items.len() - 1]];
        exec!(
            tx.ex(),
            "update rooms set version = version + $1, forward_extremities = $2, depth = $3 where id = $4",
            chain.items.len() as i64,
            last.extremities.as_str(),
            last.depth,
            chain.room
        )?;
        passed.insert(index, Passed { state_snapshot });
    }
    Ok((passed, duplicates))
}
