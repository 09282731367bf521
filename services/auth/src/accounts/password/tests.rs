use std::sync::mpsc;

use argon2::Params;

use super::{hasher::unmatchable_hash, *};

fn passwords(config: &PasswordConfig) -> Passwords {
    Passwords::new(config).unwrap()
}

#[tokio::test]
async fn right_wrong_and_stale() {
    let cheap = passwords(&PasswordConfig::insecure());
    let hash = cheap.hash("secret".to_owned()).await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
    assert_ne!(hash, cheap.hash("secret".to_owned()).await.unwrap());
    assert_eq!(cheap.verify("secret".to_owned(), Some(hash.clone())).await.unwrap(), Verdict::Right);
    assert_eq!(cheap.verify("Secret".to_owned(), Some(hash.clone())).await.unwrap(), Verdict::Wrong);
    assert_eq!(cheap.verify(String::new(), Some(hash.clone())).await.unwrap(), Verdict::Wrong);
    let dearer = passwords(&PasswordConfig { memory_kib: 64, ..PasswordConfig::insecure() });
    assert_eq!(dearer.verify("secret".to_owned(), Some(hash.clone())).await.unwrap(), Verdict::RightButStale);
    // memory that a dearer hash has left behind does not change a cheaper one
    assert_eq!(dearer.verify("Secret".to_owned(), Some(hash)).await.unwrap(), Verdict::Wrong);
}

/// Test vectors of the reference implementation (phc-winner-argon2, `src/test.c`).
#[tokio::test]
async fn hashes_of_other_programs() {
    let cheap = passwords(&PasswordConfig::insecure());
    let verify = |password: &str, hash: &str| cheap.verify(password.to_owned(), Some(hash.to_owned()));
    let id = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    assert_eq!(verify("password", id).await.unwrap(), Verdict::RightButStale);
    assert_eq!(verify("passwort", id).await.unwrap(), Verdict::Wrong);
    let i = "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8";
    assert_eq!(verify("password", i).await.unwrap(), Verdict::RightButStale);
    for broken in [
        "",
        "plain",
        "$argon2id$",
        "$argon2id$v=19$m=4294967295,t=9,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg",
        "$2b$",
        "$2b$12$x",
    ] {
        assert_eq!(verify("password", broken).await.unwrap(), Verdict::Wrong, "{broken}");
    }
}

/// Test vectors of Openwall's `crypt_blowfish`.
#[tokio::test]
async fn bcrypt_with_and_without_a_pepper() {
    let plain = passwords(&PasswordConfig::insecure());
    let verify = |passwords: &Passwords, password: &str, hash: &str| {
        let (passwords, password, hash) = (passwords.clone(), password.to_owned(), hash.to_owned());
        async move { passwords.verify(password, Some(hash)).await.unwrap() }
    };
    // without bytes above 127 these are the same
    for version in ["2a", "2b", "2y"] {
        let hash = format!("${version}$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
        assert_eq!(verify(&plain, "U*U", &hash).await, Verdict::RightButStale);
        assert_eq!(verify(&plain, "U*V", &hash).await, Verdict::Wrong);
    }
    let long = "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui";
    let password = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    assert_eq!(verify(&plain, &format!("{password}chars after 72 are ignored"), long).await, Verdict::RightButStale);
    // the pepper is appended to the password
    let peppered = passwords(&PasswordConfig {
        bcrypt_pepper: matrixon_runtime::config::Secret::new("*U"),
        ..PasswordConfig::insecure()
    });
    let hash = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    assert_eq!(verify(&peppered, "U", hash).await, Verdict::RightButStale);
    assert_eq!(verify(&peppered, "U*U", hash).await, Verdict::Wrong);
}

#[tokio::test]
async fn composed_and_decomposed_letters_are_the_same() {
    let cheap = passwords(&PasswordConfig::insecure());
    let hash = cheap.hash("p\u{e4}ssword".to_owned()).await.unwrap();
    assert_eq!(cheap.verify("pa\u{308}ssword".to_owned(), Some(hash)).await.unwrap(), Verdict::Right);
}

#[tokio::test]
async fn nobody_has_a_real_hash() {
    let cheap = passwords(&PasswordConfig::insecure());
    let nobody = unmatchable_hash(&Params::new(8, 1, 1, None).unwrap());
    // a hash that does not parse would be refused faster than a real one
    let parsed = argon2::password_hash::phc::PasswordHash::new(&nobody).unwrap();
    assert_eq!(parsed.hash.as_ref().map(|hash| hash.as_bytes().len()), Some(32));
    assert_eq!(cheap.verify("secret".to_owned(), None).await.unwrap(), Verdict::Wrong);
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let config = PasswordConfig { concurrency: 1, queue: 1, ..PasswordConfig::insecure() };
    let passwords = passwords(&config);
    let (go, gate) = mpsc::sync_channel::<()>(0);
    let (started, starts) = mpsc::sync_channel::<()>(1);
    let held = passwords.0.pool.run(move |_| {
        started.send(()).unwrap();
        gate.recv().unwrap();
    });
    let mut held = Box::pin(held);
    assert!(poll_once(held.as_mut()).is_none());
    tokio::task::spawn_blocking(move || starts.recv().unwrap()).await.unwrap();
    let mut waiting = Box::pin(passwords.hash("a".to_owned()));
    assert!(poll_once(waiting.as_mut()).is_none());
    assert!(matches!(passwords.hash("b".to_owned()).await, Err(AuthError::Busy)));
    go.send(()).unwrap();
    held.await.unwrap();
    waiting.await.unwrap();
    passwords.hash("c".to_owned()).await.unwrap();
}

#[tokio::test]
async fn a_panic_costs_one_answer_and_no_thread() {
    let passwords = passwords(&PasswordConfig { concurrency: 1, ..PasswordConfig::insecure() });
    let failed = passwords.0.pool.run(|_| -> () { panic!("on purpose") }).await;
    assert!(matches!(failed, Err(AuthError::Internal(_))));
    passwords.hash("c".to_owned()).await.unwrap();
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn rules() {
    let passwords = passwords(&PasswordConfig { minimum_length: 3, ..PasswordConfig::insecure() });
    assert!(matches!(passwords.check_new("ab"), Err(AuthError::WeakPassword(_))));
    assert!(matches!(passwords.check_new(&"a".repeat(513)), Err(AuthError::InvalidParam(_))));
    passwords.check_new("äöü").unwrap();
    assert_eq!(passwords.policy(), serde_json::json!({ "m.minimum_length": 3 }));
}

#[test]
fn classes_and_common_passwords() {
    let strict = passwords(&PasswordConfig {
        minimum_length: 8,
        require_digit: true,
        require_symbol: true,
        require_uppercase: true,
        require_lowercase: true,
        refuse_common: true,
        ..PasswordConfig::insecure()
    });
    for weak in ["Aa1!", "Aaaaaaa!", "Aaaaaaa1", "aaaaaa1!", "AAAAAA1!"] {
        assert!(matches!(strict.check_new(weak), Err(AuthError::WeakPassword(_))), "{weak}");
    }
    strict.check_new("Aaaaaa1!").unwrap();
    let default = passwords(&PasswordConfig { memory_kib: 8, iterations: 1, ..PasswordConfig::default() });
    for common in ["password", "12345678", "PassWord1", "qwertyuiop"] {
        assert!(matches!(default.check_new(common), Err(AuthError::WeakPassword(_))), "{common}");
    }
    default.check_new("correct horse battery staple").unwrap();
}
