//! The bus over TLS, and whom it trusts there.

use std::{fs, path::PathBuf};

use matrixon_bus::{Bus, BusError, BusEvent, Config};
use matrixon_testkit::servers::tls;

use crate::{
    outage::start_again,
    support::{Fixture, next, number, numbered, subscribe, until, wait_reset},
};

const SUBJECT: &str = "matrixon.test.v1";

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() { crate::$name(Fixture::nats_over_tls()).await; })*
    };
}

suite![
    every_subscription_gets_every_message_in_order,
    what_is_published_after_the_first_reset_arrives,
    a_dropped_subscription_is_gone,
    payloads_arrive_as_they_were,
];

async fn refused(url: String, ca_certificate: Option<PathBuf>) -> BusError {
    let config = Config { url, ca_certificate, ..Config::default() };
    Bus::connect(&config).await.expect_err("it is refused")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_an_unknown_authority_ends_the_start() {
    let fixture = Fixture::nats_over_tls();
    let stranger = fixture.config.ca_certificate.clone().expect("a test of TLS").with_file_name("stranger.crt");
    fs::write(&stranger, tls::STRANGER).unwrap();
    // Another authority than the one that signed it, and those of the system.
    for ca_certificate in [Some(stranger), None] {
        let url = format!("tls://matrixon:hunter2@127.0.0.1:{}", fixture.server().port());
        let error = refused(url, ca_certificate).await;
        assert!(matches!(error, BusError::Untrusted { .. }), "{error:?}");
        let message = error.to_string();
        for part in ["`bus.url`, tls://127.0.0.1:", "UnknownIssuer", "`bus.ca_certificate`"] {
            assert!(message.contains(part) && !message.contains("hunter2"), "{message}");
        }
    }
}

/// Also when the URL leaves it to NATS whether there is TLS.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_is_enough_to_have_tls() {
    let mut fixture = Fixture::nats_over_tls();
    fixture.config.url = fixture.config.url.replace("tls://", "nats://");
    let bus = fixture.bus().await;
    let mut subscription = subscribe(&bus, SUBJECT).await;
    bus.publish(SUBJECT, numbered(1, 8));
    assert_eq!(number(&next(&mut subscription).await), Some(1));
}

/// Not in plain text, whatever the other side speaks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_without_tls_is_away() {
    let (plain, with_tls) = (Fixture::nats(), Fixture::nats_over_tls());
    for (scheme, ca_certificate) in [("tls", None), ("nats", with_tls.config.ca_certificate.clone())] {
        let url = format!("{scheme}://127.0.0.1:{}", plain.server().port());
        let config = Config { url, ca_certificate, ..Config::default() };
        let bus = Bus::connect(&config).await.expect("it may learn TLS");
        assert!(!bus.is_connected(), "{scheme}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_back_after_a_restart() {
    let mut fixture = Fixture::nats_over_tls();
    let server = fixture.server();
    let bus = fixture.bus().await;
    let mut subscription = subscribe(&bus, SUBJECT).await;
    server.kill().expect("it is killed");
    until("the loss is noticed", || !bus.is_connected()).await;
    // While it is away a bus can be set up, and finds it later.
    let other = fixture.bus().await;
    let mut others = other.subscribe(SUBJECT);
    start_again(&server);
    wait_reset(&mut subscription).await;
    assert_eq!(next(&mut others).await, BusEvent::Reset);
    bus.publish(SUBJECT, numbered(1, 8));
    for subscription in [&mut subscription, &mut others] {
        assert_eq!(number(&next(subscription).await), Some(1));
    }
}

#[tokio::test]
async fn a_file_without_authorities_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("authority.crt");
    let absent = refused("tls://127.0.0.1:1".to_owned(), Some(path.clone())).await.to_string();
    assert!(absent.contains(&format!("`bus.ca_certificate` is `{}`", path.display())), "{absent}");
    assert!(absent.contains("No such file"), "{absent}");
    fs::write(&path, "authority").unwrap();
    assert!(matches!(refused("tls://127.0.0.1:1".to_owned(), Some(path)).await, BusError::Authorities(_)));
}
