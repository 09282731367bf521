//! One line a request, whatever becomes of it.

use std::{
    fmt::{Debug, Write as _},
    sync::LazyLock,
};

use parking_lot::Mutex;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::backend::{Fixture, get, post, request};

/// Collects the lines of target `access` of all tests.
struct Lines;

static LINES: LazyLock<Mutex<Vec<String>>> = LazyLock::new(|| {
    tracing::subscriber::set_global_default(Lines).unwrap();
    Mutex::default()
});

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "access"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        LINES.lock().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if !["duration_us", "db_us"].contains(&field.name()) {
            write!(self.0, "{}={value:?} ", field.name()).unwrap();
        }
    }
}

/// The lines of the requests whose id begins so.
fn lines(test: &str) -> Vec<String> {
    let of_test = format!("request_id=\"{test}");
    LINES.lock().iter().filter(|line| line.contains(&of_test)).cloned().collect()
}

#[tokio::test]
async fn a_request_is_one_line() {
    assert!(lines("one").is_empty());
    let fixture = Fixture::start().await;
    let asked = [
        get("/_matrix/client/v3/account/whoami").token("good"),
        get("/_matrix/client/v3/account/whoami"),
        post("/_matrix/client/v3/rooms/!secret:x/nonsense", "{}"),
        get("/health"),
        request("OPTIONS", "/x"),
    ];
    for asked in asked {
        fixture.send(asked.header("x-request-id", "one")).await;
    }
    let logged = lines("one");
    assert_eq!(logged.len(), 5, "{logged:#?}");
    let whoami = "route=\"/_matrix/client/v3/account/whoami\"";
    assert!(logged[0].contains(&format!("method=\"GET\" {whoami} status=200 ")), "{}", logged[0]);
    assert!(logged[0].contains("db_queries=1 requester=\"@alice:x\" "), "{}", logged[0]);
    assert!(logged[0].contains(" remote=192.0.2.1 "), "{}", logged[0]);
    assert!(logged[1].contains(&format!("{whoami} status=401 ")) && logged[1].contains("requester=\"-\""));
    assert!(logged[2].contains("route=\"unmatched\" status=404 "), "{}", logged[2]);
    assert!(logged[3].contains("route=\"/health\" status=200 "), "{}", logged[3]);
    assert!(logged[4].contains("route=\"preflight\" status=204 "), "{}", logged[4]);
}

#[tokio::test]
async fn a_client_that_goes_away_is_a_line_too() {
    assert!(lines("gone").is_empty());
    let fixture = Fixture::start().await;
    let asked = get("/_matrix/client/v3/sync?timeout=30000").token("good").header("x-request-id", "gone");
    tokio::select! {
        _ = fixture.send(asked) => unreachable!("nothing answers it"),
        () = fixture.parked.notified() => {}
    }
    let logged = lines("gone");
    assert_eq!(logged.len(), 1, "{logged:#?}");
    assert!(logged[0].contains("status=499 "), "{}", logged[0]);
}
