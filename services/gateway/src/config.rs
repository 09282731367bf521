//! The `gateway` section.

use matrixon_http::LimitClass;
use matrixon_runtime::{config::Secret, network::Network};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The edge: what clients may ask for, how much and how often.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Proxies (addresses or networks such as `10.0.0.0/8`) whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// The largest request body, in bytes, whatever a route allows.
    pub max_body_bytes: usize,
    /// A request body that is not complete after this long is refused with 408.
    pub body_timeout_seconds: u64,
    /// How long a service may take to answer; long polls have 10 s more than they ask for.
    pub request_timeout_seconds: u64,
    /// Responses up to this size are collected before the first byte is sent, so that a service process that dies in the
    /// middle costs a retry and not an error; longer ones are streamed.
    pub response_buffer_bytes: usize,
    /// Memory for known access tokens, in bytes (about 400 a session).
    pub token_cache_bytes: usize,
    /// How often a session that is in use is reported as seen (for lists of devices), in seconds.
    pub sighting_seconds: u64,
    /// Compress JSON responses above 1 KiB for clients that accept it (zstd, gzip).
    pub compression: bool,
    /// How often requests may come. Reloads on SIGHUP.
    pub rate_limits: RateLimits,
    /// Administrate with this secret in place of an administrator's access token: for machines, at least 32 characters, such as
    /// `openssl rand -hex 32` prints. Empty: only administrators' sessions may.
    pub admin_token: Secret,
    /// A listener of its own for administration (gRPC and REST), such as `127.0.0.1:8009`; with the certificate of the client
    /// port, if that has one.
    pub admin_listen: Option<String>,
    /// Serve administration on the client port too.
    pub admin_on_client_port: bool,
    /// What `/.well-known/matrix/*` says beyond `server.client_base_url` and `server.federation_base_url`.
    pub well_known: WellKnown,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            max_body_bytes: 100 << 20,
            body_timeout_seconds: 30,
            request_timeout_seconds: 30,
            response_buffer_bytes: 8 << 20,
            token_cache_bytes: 64 << 20,
            sighting_seconds: 300,
            compression: true,
            rate_limits: RateLimits::default(),
            admin_token: Secret::default(),
            admin_listen: None,
            admin_on_client_port: true,
            well_known: WellKnown::default(),
        }
    }
}

/// Token buckets, per user where a user is known and per address otherwise (IPv6: per /64).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimits {
    /// `false`: no limits at all.
    pub enabled: bool,
    /// Requests that only read.
    pub read: Limit,
    /// Requests that change something and are in no other class.
    pub write: Limit,
    /// Events sent into rooms.
    pub message: Limit,
    /// Joins and knocks.
    pub join: Limit,
    /// Invitations.
    pub invite: Limit,
    /// Rooms created or upgraded.
    pub create_room: Limit,
    /// Logins, per address.
    pub login: Limit,
    /// Registrations, per address.
    pub register: Limit,
    /// Uploads and downloads.
    pub media: Limit,
}

/// One token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Requests a second that refill the bucket; 0 means no limit.
    pub per_second: f64,
    /// Requests that may come at once.
    pub burst: f64,
}

impl Limit {
    const NONE: Self = Self { per_second: 0.0, burst: 0.0 };

    const fn new(per_second: f64, burst: f64) -> Self {
        Self { per_second, burst }
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            enabled: true,
            read: Limit::NONE,
            write: Limit::new(25.0, 200.0),
            message: Limit::new(10.0, 50.0),
            join: Limit::new(1.0, 20.0),
            invite: Limit::new(1.0, 30.0),
            create_room: Limit::new(0.5, 10.0),
            login: Limit::new(0.5, 20.0),
            register: Limit::new(0.2, 20.0),
            media: Limit::new(20.0, 200.0),
        }
    }
}

impl RateLimits {
    /// The bucket of a class, unless it has no limit.
    pub fn of(&self, class: LimitClass) -> Option<Limit> {
        let limit = match class {
            LimitClass::None => return None,
            LimitClass::Read => self.read,
            LimitClass::Write => self.write,
            LimitClass::Message => self.message,
            LimitClass::Join => self.join,
            LimitClass::Invite => self.invite,
            LimitClass::CreateRoom => self.create_room,
            LimitClass::Login => self.login,
            LimitClass::Register => self.register,
            LimitClass::Media => self.media,
        };
        (self.enabled && limit.per_second > 0.0).then_some(Limit { burst: limit.burst.max(1.0), ..limit })
    }
}

/// Additions to the well-known documents.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WellKnown {
    /// More members of `/.well-known/matrix/client`, such as `m.identity_server`.
    pub client: Map<String, Value>,
    /// The document `/.well-known/matrix/support` (`contacts`, `support_page`); empty: there is none.
    pub support: Map<String, Value>,
}
