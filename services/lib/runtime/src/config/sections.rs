//! The sections every process needs; the others live in the crates that own them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;

/// Who this homeserver is and where it keeps its files.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// The server name: the part of user ids after the colon. It can never be changed later.
    pub name: String,
    /// The ed25519 key that signs events, one line `ed25519 a_XXXX <base64 seed>`; by default `signing.key` in `data_dir`.
    /// Every process of a cluster uses the same key.
    pub signing_key_path: Option<PathBuf>,
    /// Where the embedded default keeps its database, keys and secrets.
    pub data_dir: PathBuf,
    /// The public URL of the client API, published in `/.well-known/matrix/client`.
    pub client_base_url: Option<String>,
    /// The public host and port of the federation API, published in `/.well-known/matrix/server`.
    pub federation_base_url: Option<String>,
    /// Threads that serve requests. 0: one a core. Where many processes share few cores, 1 each saves switching between them.
    pub worker_threads: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            signing_key_path: None,
            data_dir: PathBuf::from("./data"),
            client_base_url: None,
            federation_base_url: None,
            worker_threads: 0,
        }
    }
}

impl ServerConfig {
    /// Where the signing key is, configured or by default.
    pub fn signing_key_path(&self) -> PathBuf {
        self.signing_key_path.clone().unwrap_or_else(|| self.data_dir.join("signing.key"))
    }
}

/// The addresses a process listens on; port 0 picks a free one.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListenConfig {
    /// The client API (gateway).
    pub client: String,
    /// The federation API (gateway).
    pub federation: String,
    /// What the other processes of the cluster call: forwarded requests and gRPC over plain HTTP/2. Never expose it.
    pub cluster: String,
    /// Probes and metrics. Never expose it.
    pub internal: String,
    /// The certificate chain (PEM) for the client and federation ports; without it they speak plain HTTP.
    pub tls_certificate: Option<PathBuf>,
    /// The private key (PEM) of `tls_certificate`.
    pub tls_key: Option<PathBuf>,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            client: "127.0.0.1:8008".to_owned(),
            federation: "127.0.0.1:8448".to_owned(),
            cluster: "127.0.0.1:0".to_owned(),
            internal: "127.0.0.1:0".to_owned(),
            tls_certificate: None,
            tls_key: None,
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Pretty,
    Json,
}

/// Logs and traces.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// `pretty` for people, `json` for machines.
    pub log_format: LogFormat,
    /// A level (`error`, `warn`, `info`, `debug`, `trace`) or a list such as `info,matrixon_room=debug`. Reloads on SIGHUP.
    pub log_level: String,
    /// Where traces go (OTLP over gRPC), for example `http://collector:4317`; without it there are none.
    pub otlp_endpoint: Option<String>,
    /// The share of requests that are traced, 0 to 1.
    pub otlp_sample_ratio: f64,
    /// Whether `matrixon admin profile` may take flame graphs of a running process. Reloads on SIGHUP.
    pub profiling: bool,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log_format: LogFormat::default(),
            log_level: "info".to_owned(),
            otlp_endpoint: None,
            otlp_sample_ratio: 1.0,
            profiling: false,
        }
    }
}

/// How a process ends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShutdownConfig {
    /// After SIGTERM, keep serving this long while load balancers and peers notice.
    pub drain_delay_seconds: u64,
    /// Then finish what is in flight within this time; the rest is cut.
    pub finish_seconds: u64,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { drain_delay_seconds: 10, finish_seconds: 20 }
    }
}

/// What the processes of one homeserver share.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterConfig {
    /// The key of the identity assertions that the gateway sends to the services: the same in every process, at least
    /// 32 characters, for example from `openssl rand -hex 32`.
    pub secret: Secret,
    /// The secret before, accepted while the processes restart one after the other with a new one.
    pub previous_secret: Secret,
    /// Refuse gRPC calls between processes that are not signed with the secret; signed wrongly, they are refused always. All
    /// processes must be of a version that signs (0.1.0 as released, not the builds before).
    pub require_signed_calls: bool,
}
