//! A room service on a real database, and users who send it requests.

use std::{
    future::Future,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{Router, body::Body};
use http::{Method, Request};
use matrixon_bus::Bus;
use matrixon_http::{Assertion, Signer as Asserter, UserAuth, Verifier};
use matrixon_matrix::{Signer, keys};
use matrixon_runtime::clock::Clock;
use matrixon_store::{Db, migrations};
use matrixon_testkit::servers::Postgres;
use ruma::{OwnedUserId, UserId};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{
    Config,
    http::routes,
    service::{Parts, Room},
};

static POSTGRES: LazyLock<Postgres> = LazyLock::new(|| Postgres::start().expect("PostgreSQL starts"));
static DATABASES: AtomicU32 = AtomicU32::new(0);
static KEYS: AtomicU32 = AtomicU32::new(0);

/// Runs a test on an empty database of each kind.
pub(crate) fn on_both<F, Fut>(test: F)
where
    F: Fn(Db) -> Fut,
    Fut: Future<Output = ()>,
{
    let run = |url: String| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let config = matrixon_store::Config { url, ..matrixon_store::Config::default() };
            let db = Db::connect(&config).await.expect("the database opens");
            migrations::migrate(&db).await.expect("the migrations apply");
            test(db).await;
        });
    };
    let directory = tempfile::tempdir().expect("a directory");
    run(format!("sqlite:{}", directory.path().join("test.db").display()));
    let name = format!("room_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    run(POSTGRES.create_database(&name).expect("a database"));
}

/// One replica of the room service.
pub(crate) struct Server {
    router: Router,
    asserter: Asserter,
}

impl Server {
    pub(crate) async fn new(db: &Db) -> Self {
        let bus = Bus::connect(&matrixon_bus::Config::default()).await.expect("a local bus");
        Self::with_bus(db, bus)
    }

    pub(crate) fn with_bus(db: &Db, bus: Bus) -> Self {
        let key = keys::parse_signing_key(&keys::format_signing_key(&[7; 32])).expect("a key");
        let room = Room::new(Parts {
            config: Config::default(),
            db: db.clone(),
            bus,
            signer: Signer { server_name: "example.org".try_into().expect("a name"), key: Arc::new(key) },
            clock: Clock::system(),
            peers: None,
        });
        let verifier = Verifier::new(b"secret", None, Clock::system());
        let router = routes().into_router(room, verifier);
        Self { router, asserter: Asserter::new(b"secret") }
    }

    /// A request without a repetition.
    pub(crate) async fn call(&self, user: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
        let key = format!("key-{}", KEYS.fetch_add(1, Ordering::Relaxed));
        self.call_with_key(user, method, path, body, &key).await
    }

    pub(crate) async fn call_with_key(
        &self,
        user: &str,
        method: Method,
        path: &str,
        body: Value,
        key: &str,
    ) -> (u16, Value) {
        let assertion = Assertion {
            user: (!user.is_empty()).then(|| auth(user)),
            machine: None,
            idempotency_key: key.to_owned(),
            expires_ms: i64::MAX,
            ..Assertion::default()
        };
        let body = if method == Method::GET { Body::empty() } else { Body::from(body.to_string()) };
        let request = Request::builder()
            .method(method)
            .uri(format!("/_matrix/client/v3/{path}"))
            .header(matrixon_http::header::IDENTITY, self.asserter.sign(&assertion))
            .body(body)
            .expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("the router answers");
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub(crate) async fn get(&self, user: &str, path: &str) -> (u16, Value) {
        self.call(user, Method::GET, path, Value::Null).await
    }

    pub(crate) async fn post(&self, user: &str, path: &str, body: Value) -> (u16, Value) {
        self.call(user, Method::POST, path, body).await
    }

    pub(crate) async fn put(&self, user: &str, path: &str, body: Value) -> (u16, Value) {
        self.call(user, Method::PUT, path, body).await
    }

    /// A new room's id, escaped for paths.
    pub(crate) async fn create(&self, user: &str, body: Value) -> String {
        let (status, body) = self.post(user, "createRoom", body).await;
        assert_eq!(status, 200, "{body}");
        escape(body["room_id"].as_str().expect("a room id"))
    }

    pub(crate) async fn public_room(&self, user: &str) -> String {
        self.create(user, json!({ "preset": "public_chat" })).await
    }

    pub(crate) async fn join(&self, user: &str, room: &str) {
        let (status, body) = self.post(user, &format!("rooms/{room}/join"), json!({})).await;
        assert_eq!(status, 200, "{body}");
    }

    /// The event id.
    pub(crate) async fn send(&self, user: &str, room: &str, txn: &str, text: &str) -> String {
        let path = format!("rooms/{room}/send/m.room.message/{txn}");
        let (status, body) = self.put(user, &path, json!({ "msgtype": "m.text", "body": text })).await;
        assert_eq!(status, 200, "{body}");
        body["event_id"].as_str().expect("an event id").to_owned()
    }

    /// The whole timeline that a user sees, the oldest first.
    pub(crate) async fn timeline(&self, user: &str, room: &str) -> Vec<Value> {
        let (status, body) = self.get(user, &format!("rooms/{room}/messages?dir=f&limit=1000")).await;
        assert_eq!(status, 200, "{body}");
        body["chunk"].as_array().expect("a chunk").clone()
    }
}

pub(crate) fn escape(id: &str) -> String {
    id.replace('!', "%21").replace('#', "%23").replace(':', "%3A").replace('$', "%24").replace('@', "%40")
}

pub(crate) fn user(name: &str) -> OwnedUserId {
    UserId::parse(format!("@{name}:example.org")).expect("a user id")
}

fn auth(name: &str) -> UserAuth {
    UserAuth {
        user_id: user(name),
        device_id: "DEVICE".into(),
        admin: false,
        standing: matrixon_http::Standing::default(),
        token_sha256: [0; 32],
    }
}
