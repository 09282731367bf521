//! The commonest passwords.

/// 10,000 of them, sorted, in lower case: the 3,000 commonest below eight characters and the 7,000 commonest of eight or
/// more from zxcvbn's frequency list (`data/passwords.txt` of github.com/dropbox/zxcvbn, commit 67c4ece, MIT licence,
/// copyright 2012-2016 Dan Wheeler and Dropbox, Inc.).
static LIST: &str = include_str!("common.txt");

/// In any mixture of capitals and small letters.
pub(super) fn is_common(password: &str) -> bool {
    let wanted = password.to_ascii_lowercase();
    let bytes = LIST.as_bytes();
    let (mut low, mut high) = (0, bytes.len());
    while low < high {
        let middle = low.midpoint(high);
        let start = bytes[..middle].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let end =
            bytes[middle..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |newline| middle + newline);
        match bytes[start..end].cmp(wanted.as_bytes()) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = end + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_found_and_nothing_else() {
        assert_eq!(LIST.lines().count(), 10_000);
        assert!(LIST.lines().is_sorted());
        for line in LIST.lines() {
            assert!(is_common(line), "{line}");
            assert!(is_common(&line.to_ascii_uppercase()), "{line}");
            assert!(!is_common(&format!("{line}\n")) && !is_common(&format!("{line}\0")), "{line}");
        }
        for uncommon in ["", "\n", "correct horse battery staple", "zzzzzzzzzzzzzzzzzz", "~", "passwore"] {
            assert!(!is_common(uncommon), "{uncommon:?}");
        }
    }
}
