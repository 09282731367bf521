//! Which replica takes a call: the same one for a key (rendezvous hashing), the less busy of two without.

use rand::RngExt;

/// FNV-1a: the choice must be the same in every process and version, which std's hashers do not promise.
pub(crate) fn stable_hash(bytes: &[u8]) -> u64 {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    mix(hash)
}

/// The finisher of splitmix64; FNV alone leaves the high bits of short names alike.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The candidate with the highest score for the key. A membership change moves only the keys of the replica that came or left.
pub(crate) fn rendezvous<T>(key: u64, candidates: &[T], seed: impl Fn(&T) -> u64) -> Option<&T> {
    candidates.iter().max_by_key(|candidate| mix(mix(key) ^ seed(candidate)))
}

/// Power of two choices: near-even load without looking at every replica's counter.
pub(crate) fn less_busy<T>(candidates: &[T], in_flight: impl Fn(&T) -> usize) -> Option<&T> {
    match candidates {
        [] => None,
        [only] => Some(only),
        several => {
            let mut rng = rand::rng();
            let first = rng.random_range(0..several.len());
            let second = (first + rng.random_range(1..several.len())) % several.len();
            let (a, b) = (&several[first], &several[second]);
            Some(if in_flight(b) < in_flight(a) { b } else { a })
        }
    }
}
