//! Claims that waited for the same turn, on PostgreSQL. Each queue is moved on once, by as many keys as they want of it
//! together: the update of its row is most of what a key costs.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use matrixon_store::{StoreError, sqlx, timed};
use serde_json::json;
use sqlx::PgConnection;

use super::{Claim, Given};

/// The next keys of each device that has so many.
const TAKE: &str = "with moved as (
         update key_queues q set next = q.next + $3
         where q.device = any($1) and q.algorithm = $2 and q.next + $3 <= q.ends
         returning q.device, q.id as queue, q.next
     )
     select array_agg(m.device), array_agg(m.queue), array_agg(k.number), array_agg(k.key_id), array_agg(k.json)
     from moved m cross join lateral (
         select * from queued_keys k
         where k.queue = m.queue and k.number >= m.next - $3 and k.number < m.next offset 0) k";

const COUNT_LEFT: &str =
    "select device, ends - next from key_queues where device = any($1) and algorithm = $2 and next < ends";

const FIND_KNOWN: &str = "select request from key_grants where request = any($1) and algorithm = $2";

const GRANT: &str = "insert into key_grants (request, algorithm, given, created_ts)
     select request, $2, given, $4 from unnest($1, $3) as granted (request, given)";

/// A key that has left its queue.
struct Taken {
    queue: i64,
    number: i64,
    key_id: String,
    json: String,
}

/// By their devices, the oldest first.
type Keys = HashMap<i64, VecDeque<Taken>>;

/// Devices by the number of keys that are wanted of each.
type Wanted = BTreeMap<i64, Vec<i64>>;

/// What each claim is given. None: it has arrived before, in this turn or an earlier one.
pub(super) async fn claim_new(
    connection: &mut PgConnection,
    claims: &[&Claim],
    now_ms: i64,
) -> Result<Vec<Option<Vec<Given>>>, StoreError> {
    let algorithm = claims.first().map_or("", |claim| &claim.algorithm);
    let mut seen = find_known(connection, claims, algorithm).await?;
    let is_new: Vec<bool> = claims.iter().map(|claim| seen.insert(claim.request.clone())).collect();
    let new = || claims.iter().zip(&is_new).filter(|(_, is_new)| **is_new).map(|(claim, _)| *claim);
    let mut keys = take_all(connection, algorithm, count_wanted(new())).await?;
    let mut given: HashMap<&str, Vec<(Taken, i64)>> = HashMap::new();
    for claim in new() {
        let take = |device: &i64| Some((keys.get_mut(device)?.pop_front()?, *device));
        let mine: Vec<_> = claim.devices.iter().filter_map(take).collect();
        given.insert(&claim.request, mine);
    }
    grant(connection, algorithm, &given, now_ms).await?;
    let into_given = |(key, device): (Taken, i64)| Given { device, key_id: key.key_id, json: key.json };
    let of = |(claim, is_new): (&&Claim, &bool)| {
        let keys = if *is_new { given.remove(claim.request.as_str()) } else { None };
        keys.map(|keys| keys.into_iter().map(into_given).collect())
    };
    Ok(claims.iter().zip(&is_new).map(of).collect())
}

/// Requests among the claims that were given keys before.
async fn find_known(
    connection: &mut PgConnection,
    claims: &[&Claim],
    algorithm: &str,
) -> Result<HashSet<String>, StoreError> {
    let requests: Vec<&str> = claims.iter().map(|claim| claim.request.as_str()).collect();
    let query = sqlx::query_scalar::<_, String>(FIND_KNOWN).bind(requests).bind(algorithm);
    Ok(timed(FIND_KNOWN, query.fetch_all(connection)).await?.into_iter().collect())
}

fn count_wanted<'a>(claims: impl Iterator<Item = &'a Claim>) -> Wanted {
    let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
    for device in claims.flat_map(|claim| &claim.devices) {
        *counts.entry(*device).or_default() += 1;
    }
    group(counts)
}

fn group(counts: impl IntoIterator<Item = (i64, i64)>) -> Wanted {
    let mut wanted = Wanted::new();
    for (device, count) in counts {
        wanted.entry(count).or_default().push(device);
    }
    wanted
}

/// So many keys of each device, or as many as it has.
async fn take_all(connection: &mut PgConnection, algorithm: &str, wanted: Wanted) -> Result<Keys, StoreError> {
    let mut keys = Keys::new();
    let mut short = Vec::new();
    for (count, devices) in wanted {
        take(connection, algorithm, count, &devices, &mut keys).await?;
        if count > 1 {
            short.extend(devices.into_iter().filter(|device| !keys.contains_key(device)));
        }
    }
    if !short.is_empty() {
        let query = sqlx::query_as::<_, (i64, i64)>(COUNT_LEFT).bind(short).bind(algorithm);
        let left = timed(COUNT_LEFT, query.fetch_all(&mut *connection)).await?;
        // it can only have become more, by an upload, or nothing, with the device: nobody else has the turn
        for (count, devices) in group(left) {
            take(connection, algorithm, count, &devices, &mut keys).await?;
        }
    }
    Ok(keys)
}

async fn take(
    connection: &mut PgConnection,
    algorithm: &str,
    count: i64,
    devices: &[i64],
    keys: &mut Keys,
) -> Result<(), StoreError> {
    type Columns = (Option<Vec<i64>>, Option<Vec<i64>>, Option<Vec<i64>>, Option<Vec<String>>, Option<Vec<String>>);

    let query = sqlx::query_as::<_, Columns>(TAKE).bind(devices).bind(algorithm).bind(count);
    let columns = timed(TAKE, query.fetch_one(connection)).await?;
    let (Some(devices), Some(queues), Some(numbers), Some(ids), Some(json)) = columns else { return Ok(()) };
    for ((((device, queue), number), key_id), json) in devices.into_iter().zip(queues).zip(numbers).zip(ids).zip(json) {
        keys.entry(device).or_default().push_back(Taken { queue, number, key_id, json });
    }
    // they come in the order of their index, which nothing promises
    for of_device in keys.values_mut() {
        of_device.make_contiguous().sort_unstable_by_key(|key| key.number);
    }
    Ok(())
}

/// Remembers what the requests were given.
async fn grant(
    connection: &mut PgConnection,
    algorithm: &str,
    given: &HashMap<&str, Vec<(Taken, i64)>>,
    now_ms: i64,
) -> Result<(), StoreError> {
    let some = given.iter().filter(|(_, keys)| !keys.is_empty());
    let list = |keys: &[(Taken, i64)]| json!(keys.iter().map(|(key, _)| [key.queue, key.number]).collect::<Vec<_>>());
    let (requests, lists): (Vec<&str>, Vec<String>) =
        some.map(|(request, keys)| (*request, list(keys).to_string())).unzip();
    if !requests.is_empty() {
        let query = sqlx::query(GRANT).bind(requests).bind(algorithm).bind(lists).bind(now_ms);
        timed(GRANT, query.execute(connection)).await?;
    }
    Ok(())
}
