//! Replicas of the service on one database and one bus, and what a gateway would do in front of them.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        LazyLock, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{Router, body::Body};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use matrixon_bus::Bus;
use matrixon_cache::Cache;
use matrixon_http::{Assertion, Signer, UserAuth, Verifier, header::IDENTITY};
use matrixon_runtime::{clock::Clock, shutdown::Shutdown};
use matrixon_store::{Db, exec, migrations, sql};
use matrixon_testkit::servers::Postgres;
use serde_json::Value;
use sha2::Digest as _;
use tower::ServiceExt as _;

use super::World;
use crate::{Config, Deps, Service, build};

const SECRET: &[u8] = b"the secret of this cluster";
pub(crate) const NOW_MS: i64 = 1_790_000_000_500;

static POSTGRES: OnceLock<Postgres> = OnceLock::new();
static NUMBER: LazyLock<AtomicU64> = LazyLock::new(AtomicU64::default);

pub(crate) struct Harness {
    pub(crate) db: Db,
    pub(crate) bus: Bus,
    pub(crate) cache: Cache,
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
    config: Config,
    replicas: Vec<Service>,
    _directory: Option<tempfile::TempDir>,
}

/// A user's session at one replica.
#[derive(Clone)]
pub(crate) struct Client {
    router: Router,
    user_id: String,
    device_id: String,
    token_sha256: [u8; 32],
}

#[derive(Clone, Debug)]
pub(crate) struct Device {
    /// Interned.
    pub(crate) number: i64,
    pub(crate) user_id: String,
    pub(crate) device_id: String,
    token_sha256: [u8; 32],
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// Statements that the request took in the database.
    pub(crate) queries: u32,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Reply {
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.body
    }

    #[track_caller]
    pub(crate) fn refused(self, status: u16, errcode: &str) {
        assert_eq!((self.status.as_u16(), self.body["errcode"].as_str()), (status, Some(errcode)), "{}", self.body);
    }
}

/// Runs a test on each database.
pub(crate) async fn on_both<F: Future<Output = ()>>(config: Config, test: impl Fn(Harness) -> F) {
    test(Harness::sqlite(config.clone()).await).await;
    test(Harness::postgres(config).await).await;
}

impl Harness {
    pub(crate) async fn sqlite(config: Config) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("test.db").display());
        Self::start(config, &url, Some(directory)).await
    }

    pub(crate) async fn postgres(config: Config) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let url = tokio::task::spawn_blocking(move || {
            let postgres = POSTGRES.get_or_init(|| Postgres::start().unwrap());
            postgres.create_database(&format!("sync{number}")).unwrap()
        });
        Self::start(config, &url.await.unwrap(), None).await
    }

    async fn start(config: Config, url: &str, directory: Option<tempfile::TempDir>) -> Self {
        let store = matrixon_store::Config { url: url.to_owned(), max_connections: 8, ..Default::default() };
        let db = Db::connect(&store).await.unwrap();
        migrations::migrate(&db).await.unwrap();
        let clock = Clock::manual(NOW_MS);
        let cache = Cache::local(&matrixon_cache::Config::default(), clock.clone());
        let bus = Bus::connect(&matrixon_bus::Config { url: "local".to_owned(), ..Default::default() }).await.unwrap();
        let mut harness = Self {
            db,
            bus,
            cache,
            clock,
            shutdown: Shutdown::new(),
            config,
            replicas: Vec::new(),
            _directory: directory,
        };
        harness.add_replica();
        harness.add_replica();
        harness
    }

    /// A process that hears no bell.
    pub(crate) async fn add_deaf_replica(&mut self) -> usize {
        let bus = Bus::connect(&matrixon_bus::Config { url: "local".to_owned(), ..Default::default() }).await.unwrap();
        let common = std::mem::replace(&mut self.bus, bus);
        let number = self.add_replica();
        self.bus = common;
        number
    }

    /// One more process; its number.
    pub(crate) fn add_replica(&mut self) -> usize {
        let deps = Deps {
            db: self.db.clone(),
            cache: self.cache.clone(),
            bus: self.bus.clone(),
            clock: self.clock.clone(),
            verifier: Verifier::new(SECRET, None, self.clock.clone()),
            shutdown: self.shutdown.clone(),
        };
        self.replicas.push(build(&self.config, deps));
        self.replicas.len() - 1
    }

    pub(crate) fn world(&self) -> World {
        World::new(self.db.clone(), self.bus.clone())
    }

    /// Makes every replica see what was written so far: a sync that finds some news does not wait for more.
    pub(crate) async fn settle(&self) {
        for replica in 0..self.replicas.len() {
            self.client(replica, "@observer:example.org").sync(&[]).await;
        }
    }

    pub(crate) fn client(&self, replica: usize, user_id: &str) -> Client {
        Client {
            router: self.replicas[replica].router.clone(),
            user_id: user_id.to_owned(),
            device_id: "DEVICE".to_owned(),
            token_sha256: [0; 32],
        }
    }

    /// A session of a device in the tables.
    pub(crate) fn session(&self, replica: usize, device: &Device) -> Client {
        Client {
            device_id: device.device_id.clone(),
            token_sha256: device.token_sha256,
            ..self.client(replica, &device.user_id)
        }
    }

    /// A new device with an access token, as the auth service makes it, with the user if there is none yet.
    pub(crate) async fn device(&self, user_id: &str, device_id: &str) -> Device {
        let query = "insert into users (user_id, created_ts) values ($1, 0) on conflict do nothing";
        exec!(self.db.write(), query, user_id).unwrap();
        let (number,) = sql!(
            self.db.write(),
            fetch_one as (i64,),
            "insert into devices (account, device_id, created_ts, last_seen_ts)
             values ((select id from users where user_id = $1), $2, 0, 0) returning id",
            user_id,
            device_id
        )
        .unwrap();
        let token_sha256: [u8; 32] = sha2::Sha256::digest(number.to_be_bytes()).into();
        let query = "insert into access_tokens (token_sha256, device, created_ts) values ($1, $2, 0)";
        exec!(self.db.write(), query, token_sha256.as_slice(), number).unwrap();
        Device { number, user_id: user_id.to_owned(), device_id: device_id.to_owned(), token_sha256 }
    }

    /// Deletes the device with all that is its own.
    pub(crate) async fn delete(&self, device: &Device) {
        exec!(self.db.write(), "delete from devices where id = $1", device.number).unwrap();
    }
}

impl Client {
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, Value::Null).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, body).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, body).await
    }

    /// /sync with these query parameters.
    pub(crate) async fn sync(&self, query: &[(&str, &str)]) -> Value {
        self.try_sync(query).await.ok()
    }

    pub(crate) async fn try_sync(&self, query: &[(&str, &str)]) -> Reply {
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        self.get(&format!("/_matrix/client/v3/sync?{}", query.join("&"))).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Value) -> Reply {
        let user = UserAuth {
            user_id: self.user_id.as_str().try_into().unwrap(),
            device_id: self.device_id.as_str().into(),
            admin: false,
            standing: matrixon_http::Standing::default(),
            token_sha256: self.token_sha256,
        };
        let assertion = Assertion {
            user: Some(user),
            machine: None,
            remote_addr: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            request_id: "r".to_owned(),
            idempotency_key: "k".to_owned(),
            expires_ms: i64::MAX,
        };
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .header(IDENTITY, Signer::new(SECRET).sign(&assertion))
            .body(body)
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let cost = response.headers()[matrixon_http::header::DATABASE].to_str().unwrap();
        let queries = cost.split_once(';').unwrap().0.parse().unwrap();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(text.to_vec()).unwrap();
        Reply { status, queries, body: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }
}

pub(crate) fn escape(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
