//! Claims on PostgreSQL. What they give is one row of the log (`key_grants` in the order of `seq`); `key_queues` follows later
//! ([`fold`]), for many claims at once. What a process has seen of queues and of the log it remembers ([`Queues`]): since
//! claims take turns and each reads first what has come into the log since its process's last, that is never behind.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
};

use foldhash::HashMap;
use matrixon_store::{Db, Ex, StoreError, exec, sqlx, timed};
use sqlx::PgConnection;

use super::{Claim, Given, Key, New, Place, Queues, Range};
use crate::store::key_counts;

const READ_FOLDED: &str = "select seq from key_grant_log where name = 'folded'";

/// The log from a place on, and which requests were given keys before.
const READ_LOG: &str = "select seq, request, algorithm, case when seq > $1 then given end
     from key_grants where seq >= $1
     union all
     select null, request, algorithm, null from key_grants where request = any($2)";

/// With the first keys, a row each: who claims of a device is not the last to.
const LOAD_QUEUES: &str = "select q.device, q.id, q.next, q.ends, k.number, k.key_id, k.json
     from key_queues q left join lateral (
         select * from queued_keys k where k.queue = q.id and k.number between q.next and q.next + 3 offset 0) k on true
     where q.device = any($1) and q.algorithm = $2";

const LOAD_KEYS: &str = "select k.queue, k.number, k.key_id, k.json
     from unnest($1, $2, $3) as w (queue, first, last) cross join lateral (
         select * from queued_keys k where k.queue = w.queue and k.number between w.first and w.last offset 0) k";

/// Writes grants and the change of the devices' counts (see [`key_counts::append`]).
const GRANT: &str = "with l as (
         update key_grant_log set seq = seq + cardinality($1) where name = 'given' returning seq - cardinality($1) as before
     ), granted as (
         insert into key_grants (seq, request, algorithm, given, created_ts)
         select l.before + g.place, g.request, g.algorithm, g.given, $4
         from l, unnest($1, $2, $3) with ordinality as g (request, algorithm, given, place)
     ), p as (
         update stream_positions set position = position + $5 where stream = 'key_counts' returning position
     ), changed as (
         insert into key_count_changes (position, device, devices, created_ts) select position, $6, $7, $4 from p
     )
     select l.before, p.position - $5 + 1 from l, p";

const LOCK_FOLDED: &str = "select seq from key_grant_log where name = 'folded' for update";

const READ_GRANTS: &str = "select seq, algorithm, given from key_grants where seq > $1 order by seq limit $2";

/// Grants that one transaction folds.
const FOLD: i64 = 256;

const MOVE: &str = "update key_queues q set next = w.next
     from unnest($1, $2) as w (queue, next) where q.id = w.queue and q.next < w.next";

/// What a grant is, as JSON.
type Numbers = Vec<(i64, i64)>;

/// A number that a claim takes.
struct Taken {
    device: i64,
    queue: i64,
    number: i64,
}

/// What each claim is given, and the first position of those devices in stream `key_counts`. None: it has arrived before, in
/// this turn or an earlier one.
pub(super) async fn claim_new(
    connection: &mut PgConnection,
    queues: &mut Queues,
    claims: &[Claim],
    now_ms: i64,
) -> Result<(New, i64), StoreError> {
    queues.begin();
    let mut seen = catch_up(connection, queues, claims).await?;
    let is_new: Vec<bool> =
        claims.iter().map(|claim| seen.insert((claim.request.clone(), claim.algorithm.clone()))).collect();
    let new = || claims.iter().zip(&is_new).filter(|(_, is_new)| **is_new).map(|(claim, _)| claim);
    for (algorithm, wanted) in count_wanted(new()) {
        let short = queues.list_short(algorithm, &wanted);
        if !short.is_empty() {
            load_queues(connection, queues, algorithm, &short).await?;
        }
    }
    let taken: Vec<Vec<Taken>> =
        claims.iter().zip(&is_new).map(|(claim, is_new)| take(queues, claim, *is_new)).collect();
    let mut loaded = load_missing(connection, queues, &taken).await?;
    let first = grant(connection, queues, claims, &taken, now_ms).await?;
    let mut given = |taken: Taken| {
        let place = (taken.queue, taken.number);
        let key = queues.remove_key(taken.queue, taken.number).or_else(|| loaded.remove(&place))?;
        Some(Given { device: taken.device, key_id: key.key_id, json: key.json })
    };
    let of = |(taken, is_new): (Vec<Taken>, bool)| is_new.then(|| taken.into_iter().filter_map(&mut given).collect());
    Ok((taken.into_iter().zip(is_new).map(of).collect(), first))
}

fn take(queues: &mut Queues, claim: &Claim, is_new: bool) -> Vec<Taken> {
    if !is_new {
        return Vec::new();
    }
    let taken = queues.take(&claim.algorithm, &claim.devices).into_iter();
    taken.map(|(device, queue, number)| Taken { device, queue, number }).collect()
}

/// By algorithm, how many keys are wanted of each device.
fn count_wanted<'a>(claims: impl Iterator<Item = &'a Claim>) -> BTreeMap<&'a str, BTreeMap<i64, i64>> {
    let mut wanted: BTreeMap<&str, BTreeMap<i64, i64>> = BTreeMap::new();
    for claim in claims {
        let of_algorithm = wanted.entry(&claim.algorithm).or_default();
        for device in &claim.devices {
            *of_algorithm.entry(*device).or_default() += 1;
        }
    }
    wanted
}

/// Reads what has come into the log. The requests (with their algorithms) among the claims that were given keys before.
async fn catch_up(
    connection: &mut PgConnection,
    queues: &mut Queues,
    claims: &[Claim],
) -> Result<HashSet<(String, String)>, StoreError> {
    if let Some(last) = queues.last().cloned() {
        let (known, goes_on) = read_log(connection, queues, claims, &last).await?;
        if goes_on {
            return Ok(known);
        }
    }
    // the beginning; or its end was pruned, or this is another database than it was
    *queues = Queues::default();
    let query = sqlx::query_scalar::<_, i64>(READ_FOLDED);
    let seq = timed(READ_FOLDED, query.fetch_one(&mut *connection)).await?;
    let folded = Place { seq, request: String::new() };
    Ok(read_log(connection, queues, claims, &folded).await?.0)
}

/// True: the row at `from` is there.
async fn read_log(
    connection: &mut PgConnection,
    queues: &mut Queues,
    claims: &[Claim],
    from: &Place,
) -> Result<(HashSet<(String, String)>, bool), StoreError> {
    let requests: Vec<&str> = claims.iter().map(|claim| claim.request.as_str()).collect();
    let query = sqlx::query_as::<_, (Option<i64>, String, String, Option<String>)>(READ_LOG);
    let query = query.bind(from.seq).bind(requests);
    let mut known = HashSet::new();
    let mut goes_on = false;
    for (seq, request, algorithm, given) in timed(READ_LOG, query.fetch_all(connection)).await? {
        match (seq, given) {
            (None, _) => {
                known.insert((request, algorithm));
            }
            (Some(seq), Some(given)) => queues.absorb(Place { seq, request }, &parse(&given)?),
            (Some(_), None) => goes_on = request == from.request,
        }
    }
    Ok((known, goes_on))
}

fn parse(given: &str) -> Result<Numbers, StoreError> {
    serde_json::from_str(given).map_err(|error| StoreError::inconsistent("key_grants", error))
}

async fn load_queues(
    connection: &mut PgConnection,
    queues: &mut Queues,
    algorithm: &str,
    devices: &[i64],
) -> Result<(), StoreError> {
    type Row = (i64, i64, i64, i64, Option<i64>, Option<String>, Option<String>);

    let query = sqlx::query_as::<_, Row>(LOAD_QUEUES).bind(devices).bind(algorithm);
    for (device, id, next, ends, number, key_id, json) in timed(LOAD_QUEUES, query.fetch_all(connection)).await? {
        queues.insert(algorithm, device, id, (next, ends));
        if let (Some(number), Some(key_id), Some(json)) = (number, key_id, json) {
            queues.insert_key(id, number, Key { key_id, json });
        }
    }
    Ok(())
}

/// The keys that are taken and not at hand, by queue and number.
async fn load_missing(
    connection: &mut PgConnection,
    queues: &Queues,
    taken: &[Vec<Taken>],
) -> Result<HashMap<(i64, i64), Key>, StoreError> {
    let places = taken.iter().flatten().map(|taken| (taken.queue, taken.number));
    let mut missing: Vec<(i64, i64)> = places.filter(|(queue, number)| !queues.has_key(*queue, *number)).collect();
    if missing.is_empty() {
        return Ok(HashMap::default());
    }
    missing.sort_unstable();
    let ranges = missing.chunk_by(|(a, _), (b, _)| a == b);
    let ranges: Vec<Range> = ranges
        .filter_map(|of_queue| Some((of_queue.first()?, of_queue.last()?)))
        .map(|((queue, first), (_, last))| Range { queue: *queue, first: *first, last: *last })
        .collect();
    let keys = load_keys(connection, &ranges).await?;
    Ok(keys.into_iter().map(|(queue, number, key)| ((queue, number), key)).collect())
}

/// (queue, number, key)
async fn load_keys(connection: &mut PgConnection, ranges: &[Range]) -> Result<Vec<(i64, i64, Key)>, StoreError> {
    let column = |of: fn(&Range) -> i64| ranges.iter().map(of).collect::<Vec<i64>>();
    let query = sqlx::query_as::<_, (i64, i64, String, String)>(LOAD_KEYS)
        .bind(column(|range| range.queue))
        .bind(column(|range| range.first))
        .bind(column(|range| range.last));
    let rows = timed(LOAD_KEYS, query.fetch_all(connection)).await?;
    Ok(rows.into_iter().map(|(queue, number, key_id, json)| (queue, number, Key { key_id, json })).collect())
}

/// `[[queue, number], …]`
fn write(taken: &[Taken]) -> String {
    let mut json = String::with_capacity(16 * taken.len() + 2);
    for Taken { queue, number, .. } in taken {
        json.push(if json.is_empty() { '[' } else { ',' });
        // a String takes everything
        let _written = write!(json, "[{queue},{number}]");
    }
    json.push(']');
    json
}

/// Writes what was taken into the log, and that the devices have fewer keys: the first position of that.
async fn grant(
    connection: &mut PgConnection,
    queues: &mut Queues,
    claims: &[Claim],
    taken: &[Vec<Taken>],
    now_ms: i64,
) -> Result<i64, StoreError> {
    let some: Vec<(&Claim, &Vec<Taken>)> = claims.iter().zip(taken).filter(|(_, taken)| !taken.is_empty()).collect();
    let Some((last, _)) = some.last() else { return Ok(0) };
    let lists: Vec<String> = some.iter().map(|(_, taken)| write(taken)).collect();
    let devices: Vec<i64> = taken.iter().flatten().map(|taken| taken.device).collect();
    let (device, list) = key_counts::columns(&devices);
    let query = sqlx::query_as::<_, (i64, i64)>(GRANT)
        .bind(some.iter().map(|(claim, _)| claim.request.as_str()).collect::<Vec<_>>())
        .bind(some.iter().map(|(claim, _)| claim.algorithm.as_str()).collect::<Vec<_>>())
        .bind(lists)
        .bind(now_ms)
        .bind(devices.len() as i64)
        .bind(device)
        .bind(list);
    let (before, first) = timed(GRANT, query.fetch_one(connection)).await?;
    queues.set_place(Place { seq: before + some.len() as i64, request: last.request.clone() });
    Ok(first)
}

/// Brings queues to where the log is. What is being committed meanwhile is left to the next time.
pub(crate) async fn fold(db: &Db) -> Result<(), StoreError> {
    while fold_some(db).await? == FOLD as usize {}
    Ok(())
}

async fn fold_some(db: &Db) -> Result<usize, StoreError> {
    let mut tx = db.begin().await?;
    let Ex::Pg(connection) = tx.ex() else { return Ok(0) };
    let query = sqlx::query_scalar::<_, i64>(LOCK_FOLDED);
    let folded = timed(LOCK_FOLDED, query.fetch_one(&mut *connection)).await?;
    let query = sqlx::query_as::<_, (i64, String, String)>(READ_GRANTS).bind(folded).bind(FOLD);
    let grants = timed(READ_GRANTS, query.fetch_all(&mut *connection)).await?;
    let Some(last) = grants.iter().map(|(seq, ..)| *seq).max() else { return Ok(0) };
    // a device's queues are locked in the order of their algorithms, as by uploads
    let mut next: BTreeMap<&str, HashMap<i64, i64>> = BTreeMap::new();
    for (_, algorithm, given) in &grants {
        let of_algorithm = next.entry(algorithm).or_default();
        for (queue, number) in parse(given)? {
            let next = of_algorithm.entry(queue).or_default();
            *next = (*next).max(number + 1);
        }
    }
    exec!(tx.ex(), "select set_config('matrixon.folds', 'on', true)")?;
    for of_algorithm in next.into_values() {
        let (queues, next): (Vec<i64>, Vec<i64>) = of_algorithm.into_iter().unzip();
        let Ex::Pg(connection) = tx.ex() else { return Ok(0) };
        timed(MOVE, sqlx::query(MOVE).bind(queues).bind(next).execute(connection)).await?;
    }
    exec!(tx.ex(), "update key_grant_log set seq = $1 where name = 'folded'", last)?;
    tx.commit().await?;
    Ok(grants.len())
}

/// Keys that claims will ask for, in their order.
pub(crate) async fn read_ahead(db: &Db, ranges: &[Range]) -> Result<Vec<(i64, i64, Key)>, StoreError> {
    let Db::Pg(pool) = db else { return Ok(Vec::new()) };
    let mut keys = load_keys(&mut *pool.acquire().await?, ranges).await?;
    // they come in the order of their index, which nothing promises
    keys.sort_unstable_by_key(|(queue, number, _)| (*queue, *number));
    Ok(keys)
}
