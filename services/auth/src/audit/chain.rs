//! The chain of the audit log, without a database: how a record is hashed, and what is wrong with a sequence of them.
//!
//! `hash = SHA-256(prev_hash ‖ json)`, where `json` is the array
//! `[seq,ts,actor,via,action,target,remote,result,request_id,details]` without white space, as `serde_json` writes it. The first
//! record's `prev_hash` is 32 zero bytes.

use matrixon_proto::admin::v1::{AuditHead, AuditRecord};
use sha2::{Digest as _, Sha256};

const HASH_BYTES: usize = 32;

/// What a check of the chain found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("record {seq} was changed: its hash is not that of its content")]
    Changed { seq: i64 },
    #[error("record {expected} is missing: {found} follows instead")]
    Missing { expected: i64, found: i64 },
    #[error("record {seq} does not follow the one before it: something was replaced or removed there")]
    Unchained { seq: i64 },
    #[error("the log ends with record {last}, but its head says {head}: the end was cut off or replaced")]
    Cut { last: i64, head: i64 },
    #[error("record {seq} holds no hash")]
    Malformed { seq: i64 },
}

/// Checks a chain record by record, from the first on, in constant memory.
#[derive(Clone, Debug)]
pub struct Checker {
    seq: i64,
    hash: [u8; HASH_BYTES],
}

impl Default for Checker {
    fn default() -> Self {
        Self { seq: 0, hash: [0; HASH_BYTES] }
    }
}

impl Checker {
    pub fn check(&mut self, record: &AuditRecord) -> Result<(), Broken> {
        let seq = record.seq;
        if seq != self.seq + 1 {
            return Err(Broken::Missing { expected: self.seq + 1, found: seq });
        }
        let hash = hash(record)?;
        if parse_hex(&record.hash) != Some(hash) {
            return Err(Broken::Changed { seq });
        }
        if parse_hex(&record.prev_hash) != Some(self.hash) {
            return Err(Broken::Unchained { seq });
        }
        (self.seq, self.hash) = (seq, hash);
        Ok(())
    }

    /// After the last record: is that where the log says it ends?
    pub fn finish(&self, head: &AuditHead) -> Result<(), Broken> {
        if head.seq == self.seq && parse_hex(&head.hash) == Some(self.hash) {
            return Ok(());
        }
        Err(Broken::Cut { last: self.seq, head: head.seq })
    }

    /// The record that was checked last.
    pub fn head(&self) -> AuditHead {
        AuditHead { seq: self.seq, hash: to_hex(&self.hash) }
    }
}

/// The hash that a record must have, by its content and its `prev_hash`.
pub fn hash(record: &AuditRecord) -> Result<[u8; HASH_BYTES], Broken> {
    let malformed = || Broken::Malformed { seq: record.seq };
    let prev_hash = parse_hex(&record.prev_hash).ok_or_else(malformed)?;
    let AuditRecord { seq, ts, actor, via, action, target, remote, result, request_id, details, .. } = record;
    let fields = (seq, ts, actor, via, action, target, remote, result, request_id, details);
    let json = serde_json::to_vec(&fields).map_err(|_| malformed())?;
    Ok(Sha256::new().chain_update(prev_hash).chain_update(json).finalize().into())
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|half| char::from(DIGITS[usize::from(half)])).collect()
}

fn parse_hex(text: &str) -> Option<[u8; HASH_BYTES]> {
    let mut bytes = [0; HASH_BYTES];
    if text.len() != 2 * HASH_BYTES || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts() -> impl Strategy<Value = Vec<(String, String, i64)>> {
        proptest::collection::vec(("\\PC{0,12}", "[a-z.\"\\\\\u{1}é]{0,12}", any::<i64>()), 1..12)
    }

    fn chain(texts: Vec<(String, String, i64)>) -> Vec<AuditRecord> {
        let mut before = Checker::default();
        let mut records = Vec::new();
        for (at, (actor, target, ts)) in texts.into_iter().enumerate() {
            let seq = at as i64 + 1;
            let mut record = AuditRecord { seq, ts, actor, target, result: "ok".to_owned(), ..Default::default() };
            record.details = "{}".to_owned();
            record.prev_hash = before.head().hash;
            record.hash = to_hex(&hash(&record).unwrap());
            before.check(&record).unwrap();
            records.push(record);
        }
        records
    }

    fn verify(records: &[AuditRecord], head: &AuditHead) -> Result<(), Broken> {
        let mut checker = Checker::default();
        records.iter().try_for_each(|record| checker.check(record))?;
        checker.finish(head)
    }

    fn head(records: &[AuditRecord]) -> AuditHead {
        let last = records.last().unwrap();
        AuditHead { seq: last.seq, hash: last.hash.clone() }
    }

    #[test]
    fn an_independent_computation_gives_the_same_hash() {
        // printf '\0%.0s' {1..32} | cat - <(printf '[1,2,"a","b","c","d","e","ok","f","{}"]') | sha256sum
        let record = AuditRecord {
            seq: 1,
            ts: 2,
            actor: "a".into(),
            via: "b".into(),
            action: "c".into(),
            target: "d".into(),
            remote: "e".into(),
            result: "ok".into(),
            request_id: "f".into(),
            details: "{}".into(),
            prev_hash: "0".repeat(64),
            hash: String::new(),
        };
        assert_eq!(to_hex(&hash(&record).unwrap()), "1639c285ba07c73fbba07ab9f6be41d9fbbea01817132e94636a48056dd3a360");
    }

    proptest! {
        #[test]
        fn whatever_is_done_to_a_chain_is_noticed(texts in texts(), at in any::<prop::sample::Index>(), other in "\\PC{1,8}", how in 0..7) {
            let records = chain(texts);
            let head = head(&records);
            prop_assert_eq!(verify(&records, &head), Ok(()));
            let at = at.index(records.len());
            let mut forged = records.clone();
            match how {
                0 => forged[at].actor.push_str(&other),
                1 => forged[at].target = format!("{}{other}", forged[at].target),
                2 => forged[at].ts = forged[at].ts.wrapping_add(1),
                3 => { forged.remove(at); }
                4 => forged.truncate(at),
                5 => { // changed and hashed anew, as somebody would who does not reach the records after it
                    forged[at].result = other;
                    forged[at].hash = to_hex(&hash(&forged[at]).unwrap());
                    // of the last record the head knows
                }
                _ => forged.swap(at, (at + 1) % records.len()),
            }
            prop_assume!(forged != records);
            prop_assert!(verify(&forged, &head).is_err());
        }
    }
}
