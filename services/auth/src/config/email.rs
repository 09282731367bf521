//! Section `auth.email`.

use std::path::PathBuf;

use matrixon_runtime::config::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How mail is sent, and what about.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EmailConfig {
    /// The SMTP server that takes our mail. Empty: there is no e-mail. Links in mails begin with
    /// `server.client_base_url`, which must then be set.
    pub host: String,
    /// The port of `host`. 0: the usual one (587 with `starttls`, 465 with `tls`, 25 with `none`).
    pub port: u16,
    /// How the connection is protected.
    pub security: MailSecurity,
    /// The account at the SMTP server. Empty: none is needed.
    pub username: String,
    /// The password of `username`.
    pub password: Secret,
    /// A certificate (PEM) that the SMTP server's may be signed with, beside those of the public authorities.
    pub ca_certificate: Option<PathBuf>,
    /// The sender, such as `Example <matrix@example.org>`.
    pub from: String,
    /// What mails and pages call this service. Empty: the server name.
    pub app_name: String,
    /// A directory with templates in place of the built-in ones: `register.txt`, `register.html`, and so on.
    pub templates: Option<PathBuf>,
    /// How long a link in a mail is good, in seconds. What has been confirmed with it waits a day for what it is for.
    pub link_seconds: u64,
    /// A link opens a page with a button. `false`: links for registration and new addresses confirm at once, as
    /// Synapse's do, so that whatever scans mails confirms them too.
    pub confirm_links: bool,
    /// Tell anybody whether an address belongs to an account here (`M_THREEPID_IN_USE`, `M_THREEPID_NOT_FOUND`).
    pub reveal_addresses: bool,
    /// Only addresses in these domains may be used. Empty: any.
    pub allowed_domains: Vec<String>,
    /// Mails to one address within an hour.
    pub per_address_per_hour: u32,
    /// Mails at the request of one client's address within an hour.
    pub per_client_per_hour: u32,
    /// The SMTP server must answer within this time, in seconds.
    pub timeout_seconds: u64,
    /// `POST /account/3pid`, deprecated, adds an address without asking for the password again, as in Synapse. Whoever
    /// finds an unlocked session can then take the account over.
    pub add_without_password: bool,
}

/// How the connection to the SMTP server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailSecurity {
    /// Plain at first, then TLS (required).
    #[default]
    Starttls,
    /// TLS from the start.
    Tls,
    /// Not at all.
    None,
}

impl Default for EmailConfig {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 0,
            security: MailSecurity::default(),
            username: String::new(),
            password: Secret::default(),
            ca_certificate: None,
            from: String::new(),
            app_name: String::new(),
            templates: None,
            link_seconds: 3_600,
            confirm_links: true,
            reveal_addresses: false,
            allowed_domains: Vec::new(),
            per_address_per_hour: 5,
            per_client_per_hour: 30,
            timeout_seconds: 20,
            add_without_password: false,
        }
    }
}

impl EmailConfig {
    pub(crate) fn is_enabled(&self) -> bool {
        !self.host.is_empty()
    }

    pub(crate) fn port(&self) -> u16 {
        match (self.port, self.security) {
            (0, MailSecurity::Starttls) => 587,
            (0, MailSecurity::Tls) => 465,
            (0, MailSecurity::None) => 25,
            (port, _) => port,
        }
    }
}
