//! One text for each address, however it is written.

use lettre::Address;

use crate::error::AuthError;

/// The longest path in SMTP (RFC 5321), which is also short enough for an index.
const MAX_ADDRESS_BYTES: usize = 254;

/// An e-mail address in the form in which it is stored, compared and written to: with folded case, as
/// [the specification](https://spec.matrix.org/v1.19/appendices/#3pid-types) wants it. Mail goes to this form and never
/// to what somebody typed, so that look-alikes gain nothing. `M_INVALID_PARAM` ← not an address
pub(crate) fn canonical_email(address: &str) -> Result<String, AuthError> {
    let bad = || AuthError::InvalidParam("this is not an e-mail address".to_owned());
    let folded = fold_case(address.trim());
    if folded.len() > MAX_ADDRESS_BYTES || folded.chars().any(|one| one.is_control() || one.is_whitespace()) {
        return Err(bad());
    }
    let parsed: Address = folded.parse().map_err(|_| bad())?;
    // quotes hide other addresses, and literals of IP addresses are nobody's
    if parsed.user().contains(['"', '<', '>', ',', ';', ':', '\\']) || parsed.domain().starts_with('[') {
        return Err(bad());
    }
    Ok(folded)
}

/// Full case folding as far as letters of addresses go: small, capital, small again, which also joins the forms of sigma
/// and sharp s. The dotless i stays what it is.
fn fold_case(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        .flat_map(|one| {
            let mut upper: Vec<char> = one.to_uppercase().collect();
            if one == 'ı' {
                upper = vec![one];
            }
            upper
        })
        .flat_map(char::to_lowercase)
        .collect()
}

/// Is the domain of a canonical address one of these?
pub(crate) fn is_in_domains(address: &str, domains: &[String]) -> bool {
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    domains.iter().any(|allowed| fold_case(allowed) == domain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_form() {
        for (typed, stored) in [
            ("Alice@Example.ORG", "alice@example.org"),
            (" alice@example.org ", "alice@example.org"),
            ("STRASSE@example.org", "strasse@example.org"),
            ("straße@example.org", "strasse@example.org"),
            ("ΣΊΣΥΦΟΣ@example.org", "σίσυφοσ@example.org"),
            ("alice+tag@example.org", "alice+tag@example.org"),
        ] {
            assert_eq!(canonical_email(typed).unwrap(), stored, "{typed}");
        }
        assert_ne!(canonical_email("mıke@example.org").unwrap(), canonical_email("mike@example.org").unwrap());
    }

    #[test]
    fn no_addresses() {
        for bad in [
            "",
            "alice",
            "@",
            "alice@",
            "@example.org",
            "a@b@c",
            "alice@example.org\0",
            "alice@exam ple.org",
            "alice@example.org\r\nBcc: bob@example.org",
            "a\u{0}@example.org",
            "\"a,b\"@example.org",
            "alice@[127.0.0.1]",
            "Alice <alice@example.org>",
            "alice@example.org,bob@example.org",
            &format!("{}@example.org", "a".repeat(300)),
        ] {
            assert!(canonical_email(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn domains() {
        let domains = ["Example.org".to_owned()];
        assert!(is_in_domains("a@example.org", &domains));
        assert!(!is_in_domains("a@sub.example.org", &domains));
        assert!(!is_in_domains("a@notexample.org", &domains));
    }

    proptest! {
        #[test]
        fn canonical_is_a_fixed_point(address in "\\PC{1,20}@\\PC{1,20}") {
            if let Ok(once) = canonical_email(&address) {
                prop_assert_eq!(canonical_email(&once).unwrap(), once);
            }
        }
    }
}
