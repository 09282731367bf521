//! `since` and `next_batch`: a tuple of stream positions, opaque to clients, good on every replica and for ever.
//!
//! ```text
//! m1_4711_12_98_1763692800123
//! │  │    │  │  └ typing: milliseconds of the newest typing change seen (ephemeral, no stream)
//! │  │    │  └ position in `receipts`
//! │  │    └ position in `account_data`
//! │  └ position in `events`: everything up to and including it has been delivered
//! └ version of the format
//! ```
//! `prev_batch` is a token of /messages: `p<position>`, the place just after that position.

use std::{fmt, str::FromStr};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) events: i64,
    pub(crate) account_data: i64,
    pub(crate) receipts: i64,
    pub(crate) typing_ms: i64,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this server")]
pub(crate) struct BadToken;

/// `i64::MAX` has 19 digits.
const MAX_LENGTH: usize = 3 + 4 * 20;

impl FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        if text.len() > MAX_LENGTH {
            return Err(BadToken);
        }
        let mut numbers = text.strip_prefix("m1_").ok_or(BadToken)?.split('_').map(parse_number);
        let mut next = || numbers.next().ok_or(BadToken)?;
        let token = Self { events: next()?, account_data: next()?, receipts: next()?, typing_ms: next()? };
        if numbers.next().is_some() { Err(BadToken) } else { Ok(token) }
    }
}

/// Digits only: `+1` and `01` would be second spellings of one token.
fn parse_number(text: &str) -> Result<i64, BadToken> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().map_err(|_| BadToken) } else { Err(BadToken) }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m1_{}_{}_{}_{}", self.events, self.account_data, self.receipts, self.typing_ms)
    }
}

/// The token with which /messages goes on backwards from a timeline; `before` is the position before its first event.
pub(crate) fn prev_batch(before: i64) -> String {
    format!("p{before}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BadToken, Token};

    #[test]
    fn garbage_is_refused() {
        for text in [
            "",
            "m1",
            "m1_",
            "m1_1_2_3",
            "m1_1_2_3_4_5",
            "m2_1_2_3_4",
            "m1_1_2_3_-4",
            "m1_1_2_3_+4",
            "m1_01_2_3_4",
            "m1_1_2_3_",
            "m1_1_2_3_4 ",
            "m1_1_2_3_99999999999999999999",
            "s1_2_3_4",
            "m1_1_2_3_4\0",
            "m1__1_2_3",
        ] {
            assert_eq!(text.parse::<Token>(), Err(BadToken), "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(events in 0i64.., account_data in 0i64.., receipts in 0i64.., typing_ms in 0i64..) {
            let token = Token { events, account_data, receipts, typing_ms };
            prop_assert_eq!(token.to_string().parse::<Token>(), Ok(token));
        }
    }
}
