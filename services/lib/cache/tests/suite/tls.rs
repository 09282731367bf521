//! Whom the cache trusts over TLS. What it does there is in the suite.

use std::{fs, path::PathBuf};

use matrixon_cache::{Cache, CacheError, Config};
use matrixon_testkit::servers::tls;

use crate::{
    LONG, bytes,
    outage::start_again,
    support::{Fixture, until},
};

async fn refused(url: &str, ca_certificate: Option<PathBuf>) -> CacheError {
    let config = Config { url: url.to_owned(), ca_certificate, ..Config::default() };
    Cache::connect(&config).await.expect_err("it is refused")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_an_unknown_authority_ends_the_start() {
    let fixture = Fixture::redis_over_tls().await;
    let stranger = fixture.config.ca_certificate.clone().expect("a test of TLS").with_file_name("stranger.crt");
    fs::write(&stranger, tls::STRANGER).unwrap();
    let url = format!("rediss://:hunter2@127.0.0.1:{}/1", fixture.server().port());
    // Another authority than the one that signed it, and those of the system.
    for ca_certificate in [Some(stranger), None] {
        let error = refused(&url, ca_certificate).await;
        assert!(matches!(error, CacheError::Untrusted { .. }), "{error:?}");
        let message = error.to_string();
        for part in ["`cache.url`, rediss://127.0.0.1:", "UnknownIssuer", "`cache.ca_certificate`"] {
            assert!(message.contains(part) && !message.contains("hunter2"), "{message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_name_ends_the_start() {
    let fixture = Fixture::redis_over_tls().await;
    let url = format!("rediss://localhost:{}", fixture.server().port());
    let message = refused(&url, fixture.config.ca_certificate.clone()).await.to_string();
    assert!(message.contains("not valid for name \"localhost\""), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_back_after_a_restart() {
    let fixture = Fixture::redis_over_tls().await;
    fixture.server().kill().expect("it is killed");
    until("the loss is noticed", async || !fixture.cache.is_connected()).await;
    // With the file read at the start: a cache is not lost because somebody tidied up.
    fs::remove_file(fixture.config.ca_certificate.as_ref().expect("a test of TLS")).unwrap();
    start_again(&fixture.server());
    until("the cache is back", async || fixture.cache.set("k", bytes("v"), LONG).await.is_ok()).await;
    assert_eq!(fixture.cache.get("k").await.unwrap(), Some(bytes("v")));
}

/// Not in plain text, whatever the other side speaks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_without_tls_is_away() {
    let fixture = Fixture::redis().await;
    let url = format!("rediss://127.0.0.1:{}", fixture.server().port());
    let cache = Cache::connect(&Config { url, ..Config::default() }).await.expect("it may learn TLS");
    assert!(!cache.is_connected());
    assert!(cache.get("k").await.is_err_and(|error| error.is_unavailable()));
}

#[tokio::test]
async fn a_file_without_authorities_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("authority.crt");
    let url = "rediss://127.0.0.1:1";
    let absent = refused(url, Some(path.clone())).await.to_string();
    assert!(absent.contains(&format!("`cache.ca_certificate` is `{}`", path.display())), "{absent}");
    assert!(absent.contains("No such file"), "{absent}");
    fs::write(&path, "authority").unwrap();
    assert!(matches!(refused(url, Some(path)).await, CacheError::Authorities(_)));
}

/// Whoever names an authority means TLS.
#[tokio::test]
async fn an_authority_without_tls_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("authority.crt");
    fs::write(&path, tls::AUTHORITY).unwrap();
    let error = refused("redis://127.0.0.1:1", Some(path)).await;
    assert!(matches!(error, CacheError::NoTls { .. }), "{error:?}");
}
