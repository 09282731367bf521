//! Section `auth`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::uia::{Flow, Stage};

/// Who may register, how passwords are hashed, how long tokens live.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Anybody may make an account (`m.login.dummy`). Leave it off on the open Internet.
    pub open_registration: bool,
    /// Whoever holds a valid registration token may make an account (`m.login.registration_token`);
    /// `matrixon registration-token create` makes tokens.
    pub token_registration: bool,
    /// Anybody may make a guest account, which sees and joins only rooms that let guests in.
    pub guest_registration: bool,
    /// How long an access token lives that comes with a refresh token, in seconds.
    pub refreshable_access_token_seconds: u64,
    /// How long an access token lives that comes without a refresh token, in seconds. 0: for ever.
    pub access_token_seconds: u64,
    /// How long a client may take from one stage of user-interactive authentication to the next, in seconds.
    pub interactive_session_seconds: u64,
    /// How long a token for `m.login.token` is good, in seconds.
    pub login_token_seconds: u64,
    /// How long two devices may take to log one of them in by a QR code, in seconds.
    pub rendezvous_seconds: u64,
    /// How often sightings of devices are written, in seconds.
    pub last_seen_seconds: u64,
    /// Attempts to log in to one account, over all processes. The right password fills the bucket again.
    pub login_attempts: LoginAttempts,
    /// Password rules and the cost of their hashes.
    pub password: PasswordConfig,
    /// Who sees profiles, and who hears of their changes.
    pub profiles: ProfilesConfig,
}

/// Section `auth.profiles`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProfilesConfig {
    /// A new name or avatar is written into the membership of every room that the user is in. Without it rooms show the
    /// name under which somebody joined.
    pub propagate: bool,
    /// Profiles are shown to those only who are logged in.
    pub require_authentication: bool,
    /// Profiles are shown to those only who share a room with the user, or if the user is in a public room. Implies
    /// `require_authentication`.
    pub limit_to_shared_rooms: bool,
    /// Fields that users may not change themselves, such as `displayname` where a company directory gives it.
    pub disallowed_fields: Vec<String>,
}

/// Section `auth.password`: argon2id.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PasswordConfig {
    /// Fewest characters of a new password.
    pub minimum_length: usize,
    /// Memory of one hash, in KiB (at least 8 times `parallelism`). Hashes of another cost are renewed at the
    /// next log-in.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes of one hash.
    pub parallelism: u32,
    /// Hashes computed at the same time. 0: one a core.
    pub concurrency: usize,
    /// Hashes that may wait for their turn before log-ins are refused with `M_LIMIT_EXCEEDED`.
    pub queue: usize,
}

/// Section `auth.login_attempts`: a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoginAttempts {
    /// Wrong passwords a second that are forgotten; 0 means no limit.
    pub per_second: f64,
    /// Wrong passwords that may come at once.
    pub burst: f64,
}

impl Default for LoginAttempts {
    fn default() -> Self {
        Self { per_second: 0.1, burst: 20.0 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            open_registration: false,
            token_registration: true,
            guest_registration: false,
            refreshable_access_token_seconds: 3_600,
            access_token_seconds: 0,
            interactive_session_seconds: 1_800,
            login_token_seconds: 120,
            rendezvous_seconds: 300,
            last_seen_seconds: 60,
            login_attempts: LoginAttempts::default(),
            password: PasswordConfig::default(),
            profiles: ProfilesConfig::default(),
        }
    }
}

impl Default for ProfilesConfig {
    fn default() -> Self {
        Self {
            propagate: true,
            require_authentication: false,
            limit_to_shared_rooms: false,
            disallowed_fields: Vec::new(),
        }
    }
}

impl Default for PasswordConfig {
    fn default() -> Self {
        // OWASP's first choice for argon2id
        Self { minimum_length: 1, memory_kib: 19_456, iterations: 2, parallelism: 1, concurrency: 0, queue: 256 }
    }
}

impl PasswordConfig {
    /// The cheapest that argon2 allows, for load tests (`--profile load`) and tests. It protects nothing.
    pub fn insecure() -> Self {
        Self { memory_kib: 8, iterations: 1, parallelism: 1, ..Self::default() }
    }
}

impl Config {
    /// What a registration must complete. Empty: nobody may register.
    pub(crate) fn registration_flows(&self) -> Vec<Flow> {
        let mut flows = Vec::new();
        if self.open_registration {
            flows.push(vec![Stage::Dummy]);
        }
        if self.token_registration {
            flows.push(vec![Stage::RegistrationToken]);
        }
        flows
    }

    /// None: for ever.
    pub fn access_token_lifetime(&self, refreshable: bool) -> Option<Duration> {
        let seconds = if refreshable { self.refreshable_access_token_seconds } else { self.access_token_seconds };
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }
}
