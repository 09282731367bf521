//! A service with an in-process cache and bus, a clock moved by hand, and what a gateway would do in front of it.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{Router, body::Body};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use matrixon_bus::Bus;
use matrixon_cache::Cache;
use matrixon_http::{Assertion, MatrixError, Signer, Standing, UserAuth, Verifier, header::IDENTITY};
use matrixon_proto::auth::v1::{
    AuthenticateRequest, AuthenticateResponse, ListRevocationsRequest, ListRevocationsResponse, auth_client::AuthClient,
};
use matrixon_runtime::{clock::Clock, shutdown::Shutdown};
use matrixon_store::{Db, migrations};
use matrixon_testkit::servers::Postgres;
use ruma::{OwnedServerName, server_name, signatures::Ed25519KeyPair};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{Config, Deps, build, config::PasswordConfig, sessions::tokens::hash_token};

pub(crate) const SECRET: &[u8] = b"the secret of this cluster";

static POSTGRES: OnceLock<Postgres> = OnceLock::new();
static NUMBER: LazyLock<AtomicU64> = LazyLock::new(AtomicU64::default);

pub(crate) struct Harness {
    pub db: Db,
    pub bus: Bus,
    pub clock: Clock,
    pub cache: Cache,
    pub shutdown: Shutdown,
    pub router: Router,
    pub tasks: tokio::task::JoinHandle<()>,
    config: Config,
    _directory: Option<tempfile::TempDir>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub status: StatusCode,
    pub body: Value,
}

impl Reply {
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.body
    }

    #[track_caller]
    pub(crate) fn refused(self, status: u16, errcode: &str) -> Value {
        assert_eq!((self.status.as_u16(), self.body["errcode"].as_str()), (status, Some(errcode)), "{}", self.body);
        self.body
    }

    /// A 401 with flows; returns its session.
    #[track_caller]
    pub(crate) fn challenged(&self) -> String {
        assert_eq!(self.status, StatusCode::UNAUTHORIZED, "{}", self.body);
        assert!(self.body["flows"].is_array(), "{}", self.body);
        self.body["session"].as_str().unwrap().to_owned()
    }
}

/// Runs a test on each database.
pub(crate) async fn on_both<F: Future<Output = ()>>(config: Config, test: impl Fn(Harness) -> F) {
    test(Harness::sqlite(config.clone()).await).await;
    test(Harness::postgres(config).await).await;
}

/// Open registration and the cheapest hashes.
pub(crate) fn open() -> Config {
    Config { open_registration: true, password: PasswordConfig::insecure(), ..Config::default() }
}

impl Harness {
    pub(crate) async fn sqlite(config: Config) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("test.db").display());
        Self::start(config, &url, Some(directory)).await
    }

    async fn postgres(config: Config) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let url = tokio::task::spawn_blocking(move || {
            let postgres = POSTGRES.get_or_init(|| Postgres::start().unwrap());
            postgres.create_database(&format!("auth{number}")).unwrap()
        });
        Self::start(config, &url.await.unwrap(), None).await
    }

    pub(crate) async fn start(config: Config, url: &str, directory: Option<tempfile::TempDir>) -> Self {
        let store = matrixon_store::Config { url: url.to_owned(), max_connections: 8, ..Default::default() };
        let db = Db::connect(&store).await.unwrap();
        migrations::migrate(&db).await.unwrap();
        let clock = Clock::manual(1_790_000_000_000);
        let cache = Cache::local(&matrixon_cache::Config::default(), clock.clone());
        let bus = Bus::connect(&matrixon_bus::Config { url: "local".to_owned(), ..Default::default() }).await.unwrap();
        let (shutdown, router, tasks) = serve(&config, &db, &cache, &bus, &clock).await;
        Self { db, bus, clock, cache, shutdown, router, tasks, config, _directory: directory }
    }

    pub(crate) fn server_name() -> OwnedServerName {
        server_name!("example.org").to_owned()
    }

    /// Another process on the same database, cache and bus, with another configuration.
    pub(crate) async fn restart(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        let (shutdown, router, tasks) = serve(&self.config, &self.db, &self.cache, &self.bus, &self.clock).await;
        (self.shutdown, self.router, self.tasks) = (shutdown, router, tasks);
    }

    /// Another process, with another cache.
    pub(crate) async fn use_cache(&mut self, cache: Cache) {
        self.cache = cache;
        self.restart(|_| {}).await;
    }

    /// Another process, whose cache is empty.
    pub(crate) async fn flush_cache(&mut self) {
        self.use_cache(Cache::local(&matrixon_cache::Config::default(), self.clock.clone())).await;
    }

    pub(crate) fn rpc(&self) -> AuthClient<Router> {
        AuthClient::new(self.router.clone())
    }

    pub(crate) async fn authenticate(&self, token: &str) -> Result<AuthenticateResponse, MatrixError> {
        let request = AuthenticateRequest { access_token: token.to_owned(), ..Default::default() };
        Ok(self.rpc().authenticate(request).await?.into_inner())
    }

    pub(crate) async fn revocations(&self, since: i64) -> ListRevocationsResponse {
        let request = ListRevocationsRequest { since, limit: 0 };
        self.rpc().list_revocations(request).await.unwrap().into_inner()
    }

    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> Reply {
        self.send(Method::GET, path, token, Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, token: Option<&str>, body: Value) -> Reply {
        self.send(Method::POST, path, token, body).await
    }

    pub(crate) async fn put(&self, path: &str, token: Option<&str>, body: Value) -> Reply {
        self.send(Method::PUT, path, token, body).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, token: Option<&str>, body: Value) -> Reply {
        let key = format!("request-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.send_as(method, path, token, body, &key).await
    }

    /// As the gateway does: finds out who asks, asserts it, forwards. Paths are relative to `/_matrix/client`.
    pub(crate) async fn send_as(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Value,
        key: &str,
    ) -> Reply {
        let user = match token {
            None => None,
            Some(token) => match self.authenticate(token).await {
                Ok(holder) => Some(UserAuth {
                    user_id: holder.user_id.try_into().unwrap(),
                    device_id: holder.device_id.into(),
                    admin: holder.admin,
                    standing: Standing { guest: holder.guest, suspended: holder.suspended, locked: holder.locked },
                    token_sha256: hash_token(token),
                }),
                Err(error) => {
                    return Reply { status: error.status, body: serde_json::from_slice(&error.body()).unwrap() };
                }
            },
        };
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.forward(method, path, user, bytes, key).await
    }

    pub(crate) async fn forward(
        &self,
        method: Method,
        path: &str,
        user: Option<UserAuth>,
        body: Vec<u8>,
        key: &str,
    ) -> Reply {
        let assertion = Assertion {
            user,
            machine: None,
            remote_addr: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))),
            request_id: key.to_owned(),
            idempotency_key: key.to_owned(),
            expires_ms: self.clock.now_ms() + 30_000,
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("/_matrix/client{path}"))
            .header(IDENTITY, Signer::new(SECRET).sign(&assertion))
            .header(header::USER_AGENT, "harness/1")
            .body(Body::from(body))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Reply { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    /// Registers with `m.login.dummy` and the password `secret`; returns the access token.
    pub(crate) async fn register(&self, username: &str) -> String {
        let body = json!({ "username": username, "password": "secret", "auth": { "type": "m.login.dummy" } });
        let reply = self.post("/v3/register", None, body).await.ok();
        reply["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn login(&self, username: &str, more: Value) -> Reply {
        let identifier = json!({ "type": "m.id.user", "user": username });
        let mut body = json!({ "type": "m.login.password", "identifier": identifier, "password": "secret" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/v3/login", None, body).await
    }
}

async fn serve(
    config: &Config,
    db: &Db,
    cache: &Cache,
    bus: &Bus,
    clock: &Clock,
) -> (Shutdown, Router, tokio::task::JoinHandle<()>) {
    let shutdown = Shutdown::new();
    let deps = Deps {
        db: db.clone(),
        cache: cache.clone(),
        bus: bus.clone(),
        clock: clock.clone(),
        server_name: Harness::server_name(),
        signing_key: Ed25519KeyPair::from_der(&Ed25519KeyPair::generate(), "a_test".to_owned()).ok().map(Arc::new),
        egress: matrixon_egress::Config { allow: vec!["127.0.0.0/8".parse().unwrap()], ..Default::default() },
        client_base_url: Some("https://matrix.example.org".to_owned()),
        verifier: Verifier::new(SECRET, None, clock.clone()),
        shutdown: shutdown.clone(),
    };
    let service = build(config, deps).await.unwrap();
    (shutdown, service.router, service.tasks)
}
