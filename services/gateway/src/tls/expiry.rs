//! When a certificate ends: the one field of X.509 that monitoring needs, read from its DER (RFC 5280, 4.1).

/// Seconds since 1970 of `notAfter`; none when this is no certificate.
pub(super) fn not_after(der: &[u8]) -> Option<i64> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (tbs, _) = element(certificate, SEQUENCE)?;
    let rest = match element(tbs, VERSION) {
        Some((_, rest)) => rest,
        None => tbs,
    };
    let (_serial, rest) = element(rest, INTEGER)?;
    let (_algorithm, rest) = element(rest, SEQUENCE)?;
    let (_issuer, rest) = element(rest, SEQUENCE)?;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_not_before, rest) = any(validity)?;
    match any(rest)? {
        ((UTC_TIME, text), _) => {
            // RFC 5280: two digits from 50 on are of the last century
            let year = digits(text.get(..2)?)?;
            seconds(if year >= 50 { 1900 + year } else { 2000 + year }, text.get(2..)?)
        }
        ((GENERALIZED_TIME, text), _) => seconds(digits(text.get(..4)?)?, text.get(4..)?),
        _ => None,
    }
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

type Tagged<'a> = ((u8, &'a [u8]), &'a [u8]);

/// The first element with its tag, and what follows it.
fn any(der: &[u8]) -> Option<Tagged<'_>> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let bytes = usize::from(first & 0x7f);
        if bytes == 0 || bytes > 4 {
            return None;
        }
        let length = rest.get(..bytes)?.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte));
        (length, &rest[bytes..])
    };
    Some(((tag, rest.get(..length)?), &rest[length..]))
}

fn element(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let ((tag, content), rest) = any(der)?;
    (tag == wanted).then_some((content, rest))
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

/// `MMDDHHMMSSZ` of a year, as seconds since 1970.
fn seconds(year: i64, rest: &[u8]) -> Option<i64> {
    let field = |at: usize| digits(rest.get(at..at + 2)?);
    let (month, day) = (field(0)?, field(2)?);
    let (hour, minute, second) = (field(4)?, field(6)?, field(8)?);
    if rest.get(10..) != Some(b"Z") || !(1..=12).contains(&month) {
        return None;
    }
    // Days since 1970 in the proleptic Gregorian calendar, years beginning in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era_days = year / 400 * 146_097;
    let of_era = year % 400;
    let days = era_days + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};

    use super::*;

    /// openssl x509 -enddate: Oct 28 03:13:18 2126 GMT
    const NOT_AFTER: i64 = 4_948_830_798;

    #[test]
    fn dates_are_seconds() {
        assert_eq!(seconds(1970, b"0101000000Z"), Some(0));
        assert_eq!(seconds(2000, b"0229123456Z"), Some(951_827_696));
        assert_eq!(seconds(2026, b"1231235959Z"), Some(1_798_761_599));
        assert_eq!(seconds(2026, b"12312359Z"), None);
    }

    #[test]
    fn certificates_end_and_nonsense_does_not() {
        let pem = include_bytes!("../../testdata/first.crt");
        let der = CertificateDer::from_pem_slice(pem).unwrap();
        let end = not_after(&der).unwrap();
        assert_eq!(end, NOT_AFTER);
        for length in 0..der.len() {
            assert!(not_after(&der[..length]).is_none(), "cut at {length}");
        }
        let mut broken = der.to_vec();
        for at in 0..broken.len() {
            broken[at] ^= 0xff;
            // whatever it says: it must not panic
            let _nonsense = not_after(&broken);
            broken[at] ^= 0xff;
        }
    }
}
