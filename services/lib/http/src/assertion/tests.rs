use std::time::Duration;

use super::*;

fn assertion() -> Assertion {
    Assertion {
        user: Some(UserAuth {
            user_id: "@alice:example.org".try_into().unwrap(),
            device_id: "DEVICE".into(),
            admin: true,
            standing: Standing { suspended: true, ..Standing::default() },
            token_sha256: [7; 32],
        }),
        machine: None,
        remote_addr: Some("2001:db8::1".parse().unwrap()),
        request_id: "r1".to_owned(),
        idempotency_key: "k1".to_owned(),
        expires_ms: 40_000,
    }
}

fn verifier(secret: &str, previous: Option<&str>) -> Verifier {
    Verifier::new(secret.as_bytes(), previous.map(str::as_bytes), Clock::manual(10_000))
}

#[test]
fn what_was_signed_is_read_back() {
    let signer = Signer::new(b"secret");
    let anonymous = Assertion { user: None, remote_addr: Some("192.0.2.1".parse().unwrap()), ..assertion() };
    let machine = Assertion { user: None, machine: Some("token".to_owned()), ..assertion() };
    let nowhere = Assertion { remote_addr: None, ..assertion() };
    for assertion in [assertion(), anonymous, machine, nowhere] {
        let header = signer.sign(&assertion);
        assert_eq!(verifier("secret", None).verify(Some(&header)), Ok(assertion));
    }
}

#[test]
fn another_secret_is_refused_and_the_previous_one_accepted() {
    let header = Signer::new(b"old").sign(&assertion());
    assert_eq!(verifier("new", None).verify(Some(&header)), Err(AssertionError::WrongMac));
    assert!(verifier("new", Some("old")).verify(Some(&header)).is_ok());
    assert_eq!(verifier("newer", Some("new")).verify(Some(&header)), Err(AssertionError::WrongMac));
}

#[test]
fn an_assertion_expires() {
    let header = Signer::new(b"secret").sign(&assertion());
    let clock = Clock::manual(40_000);
    let verifier = Verifier::new(b"secret", None, clock.clone());
    assert!(verifier.verify(Some(&header)).is_ok());
    clock.advance(Duration::from_millis(1));
    assert_eq!(verifier.verify(Some(&header)), Err(AssertionError::Expired));
}

#[test]
fn every_changed_byte_is_noticed() {
    let text = Signer::new(b"secret").sign(&assertion()).to_str().unwrap().to_owned();
    let verifier = verifier("secret", None);
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let header = HeaderValue::from_bytes(&bytes).unwrap();
        assert!(verifier.verify(Some(&header)).is_err(), "byte {at}");
    }
    for garbage in ["", ".", "a.b", &text[..text.len() - 1], &text[1..]] {
        assert!(verifier.verify(Some(&HeaderValue::from_str(garbage).unwrap())).is_err());
    }
    assert_eq!(verifier.verify(None), Err(AssertionError::Missing));
}
