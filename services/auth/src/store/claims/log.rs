//! Claims on PostgreSQL. What they give is one row of the log (`key_grants` in the order of `seq`); `key_queues` follows later
//! ([`fold`]), for many claims at once. What a process has seen of queues and of the log it remembers ([`Queues`]): since
//! claims take turns and each reads first what has come into the log since its process's last, that is never behind.

use std::collections::{BTreeMap, HashMap, HashSet};

use matrixon_store::{Db, Ex, StoreError, exec, sqlx, timed};
use serde_json::json;
use sqlx::PgConnection;

use super::{Claim, Given, Key, Place, Queues, Range};

const READ_FOLDED: &str = "select seq from key_grant_log where name = 'folded'";

/// The log from a place on, and which requests were given keys before.
const READ_LOG: &str = "select seq, request, algorithm, case when seq > $2 then given end
     from key_grants where seq >= $1
     union all
     select null, request, algorithm, null from key_grants where request = any($3)";

const LOAD_QUEUES: &str = "select array_agg(device), array_agg(id), array_agg(next), array_agg(ends)
     from key_queues where device = any($1) and algorithm = $2";

const LOAD_KEYS: &str = "select array_agg(k.queue), array_agg(k.number), array_agg(k.key_id), array_agg(k.json)
     from unnest($1, $2, $3) as w (queue, first, last) cross join lateral (
         select * from queued_keys k where k.queue = w.queue and k.number between w.first and w.last offset 0) k";

const GRANT: &str = "with l as (
         update key_grant_log set seq = seq + cardinality($1) where name = 'given' returning seq - cardinality($1) as before
     ), granted as (
         insert into key_grants (seq, request, algorithm, given, created_ts)
         select l.before + g.place, g.request, g.algorithm, g.given, $4
         from l, unnest($1, $2, $3) with ordinality as g (request, algorithm, given, place)
     )
     select before from l";

const LOCK_FOLDED: &str = "select seq from key_grant_log where name = 'folded' for update";

const READ_GRANTS: &str = "select seq, algorithm, given from key_grants where seq > $1";

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

/// What each claim is given. None: it has arrived before, in this turn or an earlier one.
pub(super) async fn claim_new(
    connection: &mut PgConnection,
    queues: &mut Queues,
    claims: &[Claim],
    now_ms: i64,
) -> Result<Vec<Option<Vec<Given>>>, StoreError> {
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
    load_missing(connection, queues, &taken).await?;
    grant(connection, queues, claims, &taken, now_ms).await?;
    let mut given = |taken: Taken| {
        let key = queues.remove_key(taken.queue, taken.number)?;
        Some(Given { device: taken.device, key_id: key.key_id, json: key.json })
    };
    let of = |(taken, is_new): (Vec<Taken>, bool)| is_new.then(|| taken.into_iter().filter_map(&mut given).collect());
    Ok(taken.into_iter().zip(is_new).map(of).collect())
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
    let query = query.bind(from.seq).bind(from.seq).bind(requests);
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
    type Columns = (Option<Vec<i64>>, Option<Vec<i64>>, Option<Vec<i64>>, Option<Vec<i64>>);

    let query = sqlx::query_as::<_, Columns>(LOAD_QUEUES).bind(devices).bind(algorithm);
    let columns = timed(LOAD_QUEUES, query.fetch_one(connection)).await?;
    let (Some(devices), Some(ids), Some(next), Some(ends)) = columns else { return Ok(()) };
    for (((device, id), next), ends) in devices.into_iter().zip(ids).zip(next).zip(ends) {
        queues.insert(algorithm, device, id, (next, ends));
    }
    Ok(())
}

/// The keys that are taken and not at hand.
async fn load_missing(
    connection: &mut PgConnection,
    queues: &mut Queues,
    taken: &[Vec<Taken>],
) -> Result<(), StoreError> {
    let mut missing: Vec<(i64, i64)> = Vec::new();
    for taken in taken.iter().flatten() {
        if !queues.has_key(taken.queue, taken.number) {
            missing.push((taken.queue, taken.number));
        }
    }
    missing.sort_unstable();
    let ranges = missing.chunk_by(|(a, _), (b, _)| a == b);
    let ranges: Vec<Range> = ranges
        .filter_map(|of_queue| Some((of_queue.first()?, of_queue.last()?)))
        .map(|((queue, first), (_, last))| Range { queue: *queue, first: *first, last: *last })
        .collect();
    if !ranges.is_empty() {
        for (queue, number, key) in load_keys(connection, &ranges).await? {
            queues.insert_key(queue, number, key);
        }
    }
    Ok(())
}

/// (queue, number, key)
async fn load_keys(connection: &mut PgConnection, ranges: &[Range]) -> Result<Vec<(i64, i64, Key)>, StoreError> {
    type Columns = (Option<Vec<i64>>, Option<Vec<i64>>, Option<Vec<String>>, Option<Vec<String>>);

    let column = |of: fn(&Range) -> i64| ranges.iter().map(of).collect::<Vec<i64>>();
    let query = sqlx::query_as::<_, Columns>(LOAD_KEYS)
        .bind(column(|range| range.queue))
        .bind(column(|range| range.first))
        .bind(column(|range| range.last));
    let columns = timed(LOAD_KEYS, query.fetch_one(connection)).await?;
    let (Some(queues), Some(numbers), Some(ids), Some(json)) = columns else { return Ok(Vec::new()) };
    let keys = ids.into_iter().zip(json).map(|(key_id, json)| Key { key_id, json });
    Ok(queues.into_iter().zip(numbers).zip(keys).map(|((queue, number), key)| (queue, number, key)).collect())
}

/// Writes what was taken into the log.
async fn grant(
    connection: &mut PgConnection,
    queues: &mut Queues,
    claims: &[Claim],
    taken: &[Vec<Taken>],
    now_ms: i64,
) -> Result<(), StoreError> {
    let some: Vec<(&Claim, &Vec<Taken>)> = claims.iter().zip(taken).filter(|(_, taken)| !taken.is_empty()).collect();
    let Some((last, _)) = some.last() else { return Ok(()) };
    let list = |taken: &[Taken]| taken.iter().map(|taken| (taken.queue, taken.number)).collect::<Numbers>();
    let lists: Vec<String> = some.iter().map(|(_, taken)| json!(list(taken)).to_string()).collect();
    let query = sqlx::query_scalar::<_, i64>(GRANT)
        .bind(some.iter().map(|(claim, _)| claim.request.as_str()).collect::<Vec<_>>())
        .bind(some.iter().map(|(claim, _)| claim.algorithm.as_str()).collect::<Vec<_>>())
        .bind(lists)
        .bind(now_ms);
    let before = timed(GRANT, query.fetch_one(connection)).await?;
    queues.set_place(Place { seq: before + some.len() as i64, request: last.request.clone() });
    Ok(())
}

/// Brings queues to where the log is; how many grants that were. What is being committed meanwhile is left to the next time.
pub(crate) async fn fold(db: &Db) -> Result<usize, StoreError> {
    let mut tx = db.begin().await?;
    let Ex::Pg(connection) = tx.ex() else { return Ok(0) };
    let query = sqlx::query_scalar::<_, i64>(LOCK_FOLDED);
    let folded = timed(LOCK_FOLDED, query.fetch_one(&mut *connection)).await?;
    let query = sqlx::query_as::<_, (i64, String, String)>(READ_GRANTS).bind(folded);
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

/// Keys that claims will ask for.
pub(crate) async fn read_ahead(db: &Db, ranges: &[Range]) -> Result<Vec<(i64, i64, Key)>, StoreError> {
    let Db::Pg(pool) = db else { return Ok(Vec::new()) };
    load_keys(&mut *pool.acquire().await?, ranges).await
}
