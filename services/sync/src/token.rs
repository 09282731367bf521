//! `since` and `next_batch`: a tuple of stream positions, opaque to clients, good on every replica and for ever.
//!
//! ```text
//! m1_4711_12_98_1763692800123_31_7
//! │  │    │  │  │             │  └ position in `device_lists`
//! │  │    │  │  │             └ position in `to_device`: messages up to it were delivered, and are acknowledged by the token's return
//! │  │    │  │  └ typing: milliseconds of the newest typing change seen (ephemeral, no stream)
//! │  │    │  └ position in `receipts`
//! │  │    └ position in `account_data`
//! │  └ position in `events`: everything up to and including it has been delivered
//! └ version of the format
//! ```
//! The last two are younger than the format. A token without them counts as from before the first of their streams, so that
//! nothing is left out; numbers that a newer version may add are read over.
//! `prev_batch` is a token of /messages: `p<position>`, the place just after that position.

use std::{fmt, str::FromStr};

use matrixon_store::streams::Heads;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) events: i64,
    pub(crate) account_data: i64,
    pub(crate) receipts: i64,
    pub(crate) typing_ms: i64,
    pub(crate) to_device: i64,
    pub(crate) device_lists: i64,
    /// Where memory is in `key_counts`. Not written into tokens: counts are always those of now.
    pub(crate) key_counts: i64,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this server")]
pub(crate) struct BadToken;

/// Numbers in a token of whatever version.
const MAX_NUMBERS: usize = 16;
/// `i64::MAX` has 19 digits.
const MAX_LENGTH: usize = 3 + MAX_NUMBERS * 20;

impl FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        if text.len() > MAX_LENGTH {
            return Err(BadToken);
        }
        let numbers = text.strip_prefix("m1_").ok_or(BadToken)?.split('_').map(parse_number);
        let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
        let [events, account_data, receipts, typing_ms, younger @ ..] = &numbers[..] else { return Err(BadToken) };
        if numbers.len() > MAX_NUMBERS {
            return Err(BadToken);
        }
        let younger = |index: usize| younger.get(index).copied().unwrap_or(0);
        Ok(Self {
            events: *events,
            account_data: *account_data,
            receipts: *receipts,
            typing_ms: *typing_ms,
            to_device: younger(0),
            device_lists: younger(1),
            key_counts: 0,
        })
    }
}

impl Token {
    /// The heads of the streams as a token; typing has none.
    pub(crate) fn at(heads: Heads) -> Self {
        Self {
            events: heads.events,
            account_data: heads.account_data,
            receipts: heads.receipts,
            typing_ms: 0,
            to_device: heads.to_device,
            device_lists: heads.device_lists,
            key_counts: heads.key_counts,
        }
    }

    /// Is every stream here at least as far as there?
    pub(crate) fn has_reached(self, other: Self) -> bool {
        self.events >= other.events
            && self.account_data >= other.account_data
            && self.receipts >= other.receipts
            && self.to_device >= other.to_device
            && self.device_lists >= other.device_lists
            && self.key_counts >= other.key_counts
    }

    /// Of each stream the later position.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            events: self.events.max(other.events),
            account_data: self.account_data.max(other.account_data),
            receipts: self.receipts.max(other.receipts),
            typing_ms: self.typing_ms.max(other.typing_ms),
            to_device: self.to_device.max(other.to_device),
            device_lists: self.device_lists.max(other.device_lists),
            key_counts: self.key_counts.max(other.key_counts),
        }
    }
}

/// Digits only: `+1` and `01` would be second spellings of one token.
fn parse_number(text: &str) -> Result<i64, BadToken> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().map_err(|_| BadToken) } else { Err(BadToken) }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, account_data, receipts, typing_ms, to_device, device_lists, key_counts: _ } = self;
        write!(f, "m1_{events}_{account_data}_{receipts}_{typing_ms}_{to_device}_{device_lists}")
    }
}

/// The token with which /messages goes on backwards from a timeline; `before` is the position before its first event.
pub(crate) fn prev_batch(before: i64) -> String {
    format!("p{before}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BadToken, MAX_NUMBERS, Token};

    #[test]
    fn garbage_is_refused() {
        for text in [
            "",
            "m1",
            "m1_",
            "m1_1_2_3",
            "m2_1_2_3_4",
            "m1_1_2_3_-4",
            "m1_1_2_3_+4",
            "m1_01_2_3_4",
            "m1_1_2_3_",
            "m1_1_2_3_4 ",
            "m1_1_2_3_4_5_6_x",
            "m1_1_2_3_4_5_6_",
            "m1_1_2_3_99999999999999999999",
            "s1_2_3_4",
            "m1_1_2_3_4\0",
            "m1__1_2_3",
        ] {
            assert_eq!(text.parse::<Token>(), Err(BadToken), "{text}");
        }
        assert_eq!(format!("m1{}", "_1".repeat(MAX_NUMBERS + 1)).parse::<Token>(), Err(BadToken));
    }

    #[test]
    fn a_token_from_before_to_device_messages_lacks_none() {
        let token: Token = "m1_1_2_3_4".parse().unwrap();
        assert_eq!(token, Token { events: 1, account_data: 2, receipts: 3, typing_ms: 4, ..Token::default() });
    }

    prop_compose! {
        fn token()(numbers in prop::array::uniform6(0i64..)) -> Token {
            let [events, account_data, receipts, typing_ms, to_device, device_lists] = numbers;
            Token { events, account_data, receipts, typing_ms, to_device, device_lists, key_counts: 0 }
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(token in token()) {
            prop_assert_eq!(token.to_string().parse::<Token>(), Ok(token));
        }

        #[test]
        fn reads_over_numbers_of_newer_versions(token in token(), more in prop::collection::vec(0i64.., 0..MAX_NUMBERS - 6)) {
            let text = more.iter().fold(token.to_string(), |text, number| format!("{text}_{number}"));
            prop_assert_eq!(text.parse::<Token>(), Ok(token));
        }

        #[test]
        fn never_panics(text in "\\PC*") {
            let _parsed = format!("m1_{text}").parse::<Token>();
        }

        #[test]
        fn a_maximum_has_reached_both(a in token(), b in token()) {
            prop_assert!(a.max(b).has_reached(a) && a.max(b).has_reached(b));
        }
    }
}
