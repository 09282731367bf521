//! The auth service in this process, on the configured database. Running homeservers follow: gateways read what ended from
//! the database within half a second.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use http::{HeaderValue, Request};
use matrixon_auth::{Deps, build_rpc};
use matrixon_bus::Bus;
use matrixon_cache::Cache;
use matrixon_http::{Assertion, Signer, Verifier, header::IDENTITY};
use matrixon_matrix::keys::parse_signing_key;
use matrixon_rpc::{IDEMPOTENCY_KEY, RpcError};
use matrixon_runtime::{clock::Clock, random, shutdown::Shutdown};
use matrixon_store::Db;
use tonic::body::Body;
use tower::{BoxError, ServiceExt as _, util::BoxCloneSyncService};

use super::remote::Transport;
use crate::{commands::load_settings, connect::connect_migrated, operate::operator};

const ASSERTION_MS: i64 = 60_000;

pub(super) async fn open(path: Option<&Path>) -> Result<(Transport, Db)> {
    let settings = load_settings(path)?;
    let db = connect_migrated(&settings).await?;
    let clock = Clock::system();
    // nobody else knows it: only this process can call what it builds
    let secret = random::bytes::<32>();
    let config = &settings.config;
    let deps = Deps {
        db: db.clone(),
        cache: Cache::local(&matrixon_cache::Config::default(), clock.clone()),
        bus: Bus::connect(&matrixon_bus::Config { url: "local".to_owned(), ..Default::default() }).await?,
        clock: clock.clone(),
        server_name: settings.server_name()?,
        // only the end of an account needs it, to tell identity servers
        signing_key: settings.signing_key().ok().and_then(|text| parse_signing_key(&text).ok()).map(Arc::new),
        egress: config.egress.clone(),
        client_base_url: config.server.client_base_url.clone(),
        verifier: Verifier::new(&secret, None, clock.clone()),
        shutdown: Shutdown::new(),
    };
    let rpc = matrixon_rpc::local(build_rpc(&config.auth, deps)?);
    let (signer, operator) = (Signer::new(&secret), operator());
    let signed = rpc.map_err(|error: RpcError| BoxError::from(error)).map_request(move |mut request: Request<Body>| {
        let key = request.headers().get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok());
        let assertion = Assertion {
            machine: Some(operator.clone()),
            request_id: random::id(16),
            idempotency_key: key.unwrap_or_default().to_owned(),
            expires_ms: clock.now_ms() + ASSERTION_MS,
            ..Assertion::default()
        };
        let assertion: HeaderValue = signer.sign(&assertion);
        request.headers_mut().insert(IDENTITY, assertion);
        request
    });
    Ok((BoxCloneSyncService::new(signed), db))
}
