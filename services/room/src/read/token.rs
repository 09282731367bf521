//! Pagination tokens. `p<position>` stands for the place just after that position of stream `events`; `/sync` tokens
//! (`m1_<events>_…`, or `p…` of another endpoint) stand for the same place by their first number.

use crate::error::RoomError;

/// `M_INVALID_PARAM` ← neither of the two forms
pub(crate) fn parse(token: &str) -> Result<i64, RoomError> {
    let number = match token.strip_prefix('p') {
        Some(number) => Some(number),
        None => token.strip_prefix("m1_").map(|rest| rest.split('_').next().unwrap_or_default()),
    };
    number
        .and_then(|number| number.parse::<i64>().ok())
        .ok_or_else(|| RoomError::InvalidParam("this is no pagination token of this server".to_owned()))
}

pub(crate) fn format(position: i64) -> String {
    format!("p{position}")
}

#[cfg(test)]
mod tests {
    use super::{format, parse};

    #[test]
    fn reads_its_own_tokens_and_those_of_sync() {
        assert_eq!(parse(&format(17)).unwrap(), 17);
        assert_eq!(parse("p-3").unwrap(), -3);
        assert_eq!(parse("m1_42_7_0").unwrap(), 42);
        for bad in ["", "p", "m1_", "m2_4", "17", "s1_2", "p99999999999999999999", "\u{0}", "px"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
