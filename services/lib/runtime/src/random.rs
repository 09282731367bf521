//! Random identifiers and tokens, all from the operating system seeded CSPRNG of the thread.

use rand::{Rng as _, RngExt as _, distr::Alphanumeric};

/// `prefix` followed by `chars` random letters and digits (5.95 bits each).
pub fn token(prefix: &str, chars: usize) -> String {
    let mut token = String::with_capacity(prefix.len() + chars);
    token.push_str(prefix);
    token.extend(rand::rng().sample_iter(Alphanumeric).take(chars).map(char::from));
    token
}

/// `chars` random letters and digits.
pub fn id(chars: usize) -> String {
    token("", chars)
}

/// `N` random bytes, for keys and seeds.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    #[test]
    fn tokens_have_the_prefix_the_length_and_no_repetition() {
        let first = super::token("mxt_", 32);
        assert!(first.starts_with("mxt_"));
        assert_eq!(first.len(), 36);
        assert!(first[4..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(first, super::token("mxt_", 32));
        assert_ne!(super::bytes::<32>(), super::bytes::<32>());
    }
}
