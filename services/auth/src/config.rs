//! Section `auth`.

mod email;
mod registration;
#[cfg(test)]
mod tests;

use std::time::Duration;

use matrixon_runtime::config::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    email::{EmailConfig, MailSecurity},
    registration::{CaptchaConfig, CaptchaProvider, RegistrationConfig, Terms, TermsDocument, TermsPolicy},
};
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
    /// Memory for the keys of users that are asked for often, in MiB.
    pub keys_cache_mib: u32,
    /// Attempts to log in to one account, over all processes. The right password fills the bucket again.
    pub login_attempts: LoginAttempts,
    /// Identity servers, by host name, with which clients may associate their addresses through us.
    pub identity_servers: Vec<String>,
    /// Password rules and the cost of their hashes.
    pub password: PasswordConfig,
    /// Who sees profiles, and who hears of their changes.
    pub profiles: ProfilesConfig,
    /// What a registration must show beyond a way in.
    pub registration: RegistrationConfig,
    /// The captcha of the stage `m.login.recaptcha`.
    pub captcha: CaptchaConfig,
    /// How mail is sent, and what about.
    pub email: EmailConfig,
    /// The documents that people agree to when they register, by an id such as `privacy_policy`.
    pub terms: Terms,
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
#[expect(clippy::struct_excessive_bools, reason = "rules that are on or off, each by its name in the file")]
pub struct PasswordConfig {
    /// Fewest characters of a new password.
    pub minimum_length: usize,
    /// A new password needs a digit.
    pub require_digit: bool,
    /// A new password needs a character that is neither letter nor digit.
    pub require_symbol: bool,
    /// A new password needs a capital letter.
    pub require_uppercase: bool,
    /// A new password needs a small letter.
    pub require_lowercase: bool,
    /// The 10,000 commonest passwords are refused.
    pub refuse_common: bool,
    /// Memory of one hash, in KiB (at least 8 times `parallelism`). Hashes of another cost are renewed at the
    /// next log-in.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes of one hash.
    pub parallelism: u32,
    /// Hashes computed at the same time, on threads of low priority. 0: one a core.
    pub concurrency: usize,
    /// Hashes that may wait for their turn before log-ins are refused with `M_LIMIT_EXCEEDED`.
    pub queue: usize,
    /// What the server that made the bcrypt hashes of imported accounts appended to each password (Synapse:
    /// `password_config.pepper`).
    pub bcrypt_pepper: Secret,
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
            keys_cache_mib: 32,
            login_attempts: LoginAttempts::default(),
            identity_servers: Vec::new(),
            password: PasswordConfig::default(),
            profiles: ProfilesConfig::default(),
            registration: RegistrationConfig::default(),
            captcha: CaptchaConfig::default(),
            email: EmailConfig::default(),
            terms: Terms::new(),
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
        Self {
            minimum_length: 8,
            require_digit: false,
            require_symbol: false,
            require_uppercase: false,
            require_lowercase: false,
            refuse_common: true,
            memory_kib: 19_456,
            iterations: 2,
            parallelism: 1,
            concurrency: 0,
            queue: 256,
            bcrypt_pepper: Secret::default(),
        }
    }
}

impl PasswordConfig {
    /// The cheapest that argon2 allows, for tests, and any password will do. It protects nothing.
    pub fn insecure() -> Self {
        let cost = Self { memory_kib: 8, iterations: 1, parallelism: 1, ..Self::default() };
        Self { minimum_length: 1, refuse_common: false, ..cost }
    }
}

impl Config {
    /// What a registration must complete. Empty: nobody may register.
    ///
    /// Where an e-mail address may be given but need not, each way in has two flows. No flow is the beginning of another,
    /// or it would be complete before the client gets to the end of the other: `m.login.dummy` ends the shorter one.
    pub(crate) fn registration_flows(&self) -> Vec<Flow> {
        let required = &self.registration;
        let mut ways_in = Vec::new();
        if self.open_registration {
            ways_in.push(if required.require_captcha { vec![Stage::Recaptcha] } else { Vec::new() });
        }
        if self.token_registration {
            ways_in.push(vec![Stage::RegistrationToken]);
        }
        let mut flows = Vec::new();
        for mut stages in ways_in {
            if required.require_terms {
                stages.push(Stage::Terms);
            }
            if !required.require_email {
                let ambiguous = self.email.is_enabled() || stages.iter().all(|stage| *stage == Stage::Terms);
                let end = ambiguous.then_some(Stage::Dummy);
                flows.push(stages.iter().copied().chain(end).collect());
            }
            if self.email.is_enabled() {
                stages.push(Stage::EmailIdentity);
                flows.push(stages);
            }
        }
        flows
    }

    /// What cannot work, in a sentence.
    pub fn check(&self, client_base_url: Option<&str>) -> Result<(), String> {
        let email = &self.email;
        let problem = if email.is_enabled() && client_base_url.is_none() {
            "`auth.email` needs `server.client_base_url`, with which the links in mails begin"
        } else if email.is_enabled() && email.from.is_empty() {
            "`auth.email.from` is empty: write the sender as `Example <matrix@example.org>`"
        } else if self.registration.require_email && !email.is_enabled() {
            "`auth.registration.require_email` needs `auth.email.host`"
        } else if self.registration.require_captcha && !self.captcha.is_enabled() {
            "`auth.registration.require_captcha` needs `auth.captcha.site_key`"
        } else if self.captcha.is_enabled() && self.captcha.secret_key.is_empty() {
            "`auth.captcha.secret_key` is empty"
        } else if self.registration.require_terms && self.terms.is_empty() {
            "`auth.registration.require_terms` needs at least one document in `auth.terms`"
        } else if self.terms.values().any(|policy| policy.languages.is_empty()) {
            "a document in `auth.terms` has no language"
        } else {
            return Ok(());
        };
        Err(problem.to_owned())
    }

    /// None: for ever.
    pub fn access_token_lifetime(&self, refreshable: bool) -> Option<Duration> {
        let seconds = if refreshable { self.refreshable_access_token_seconds } else { self.access_token_seconds };
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }
}
