//! What the gateway answers itself: versions, well-known documents, health.

use bytes::Bytes;
use http::{Method, StatusCode};
use matrixon_http::MatrixError;
use matrixon_runtime::{
    config::ServerConfig,
    metrics::http::{Kind, RouteMetrics},
};
use serde_json::{Map, Value, json};

use crate::config::Config;

/// Versions of the specification whose endpoints are served.
const VERSIONS: [&str; 19] = [
    "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11", "v1.12", "v1.13",
    "v1.14", "v1.15", "v1.16", "v1.17", "v1.18", "v1.19",
];

/// Unstable features that clients ask for, each only once it is there.
const UNSTABLE_FEATURES: &[(&str, bool)] = &[
    ("org.matrix.msc3814", true),
    // a change of the profile can be kept out of the rooms: `org.matrix.msc4069.propagate=false`
    ("org.matrix.msc4069", true),
    ("uk.half-shot.msc2666.query_mutual_rooms", true),
    ("uk.half-shot.msc2666.query_mutual_rooms.stable", true),
    ("uk.tcpip.msc4133", true),
    ("uk.tcpip.msc4133.stable", true),
];

pub(crate) struct Documents {
    entries: Vec<Document>,
}

pub(crate) struct Document {
    pub(crate) path: &'static str,
    pub(crate) metrics: RouteMetrics,
    /// On the federation listener too.
    pub(crate) federation: bool,
    content: Content,
}

enum Content {
    /// `None`: not configured.
    Fixed(Option<Bytes>),
    Health,
}

impl Documents {
    pub(crate) fn new(config: &Config, server: &ServerConfig) -> Self {
        let client = server.client_base_url.as_ref().map(|base_url| {
            let mut document = config.well_known.client.clone();
            document.insert("m.homeserver".to_owned(), json!({ "base_url": base_url }));
            document
        });
        let federation = server.federation_base_url.as_ref().map(|base_url| {
            let host = base_url.trim_start_matches("https://").trim_end_matches('/');
            Map::from_iter([("m.server".to_owned(), Value::from(host))])
        });
        let support = (!config.well_known.support.is_empty()).then(|| config.well_known.support.clone());
        let fixed = |document: Option<Map<String, Value>>| Content::Fixed(document.map(encode));
        // login by QR code: its sessions have addresses, so where clients reach this server must be known
        let rendezvous = server.client_base_url.is_some().then_some(("org.matrix.msc4108", true));
        let features =
            UNSTABLE_FEATURES.iter().chain(&rendezvous).map(|(name, on)| ((*name).to_owned(), Value::from(*on)));
        let versions = Map::from_iter([
            ("versions".to_owned(), Value::from(VERSIONS.to_vec())),
            ("unstable_features".to_owned(), Value::Object(features.collect())),
        ]);
        let entries = vec![
            Document::new("/_matrix/client/versions", false, fixed(Some(versions))),
            Document::new("/.well-known/matrix/client", false, fixed(client)),
            Document::new("/.well-known/matrix/server", true, fixed(federation)),
            Document::new("/.well-known/matrix/support", true, fixed(support)),
            Document::new("/health", true, Content::Health),
        ];
        Self { entries }
    }

    pub(crate) fn find(&self, path: &str) -> Option<&Document> {
        self.entries.iter().find(|document| document.path == path)
    }
}

impl Document {
    fn new(path: &'static str, federation: bool, content: Content) -> Self {
        let metrics = RouteMetrics::new("gateway", "GET", path, Kind::Short);
        Self { path, metrics, federation, content }
    }

    /// `M_NOT_FOUND` ← not configured · `M_UNRECOGNIZED` ← another method than GET
    pub(crate) fn answer(&self, method: &Method, draining: bool) -> Result<(StatusCode, Bytes), MatrixError> {
        if method != Method::GET && method != Method::HEAD {
            return Err(MatrixError::unrecognized(StatusCode::METHOD_NOT_ALLOWED));
        }
        match &self.content {
            Content::Fixed(Some(document)) => Ok((StatusCode::OK, document.clone())),
            Content::Fixed(None) => Err(MatrixError::not_found("this document is not configured")),
            Content::Health => Ok(health(draining)),
        }
    }
}

fn health(draining: bool) -> (StatusCode, Bytes) {
    let (code, status) = if draining { (StatusCode::SERVICE_UNAVAILABLE, "draining") } else { (StatusCode::OK, "ok") };
    let document = json!({ "status": status, "server": "matrixon", "version": env!("CARGO_PKG_VERSION") });
    (code, Bytes::from(document.to_string()))
}

fn encode(document: Map<String, Value>) -> Bytes {
    Bytes::from(Value::Object(document).to_string())
}
