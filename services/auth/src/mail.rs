//! Mail: a queue in the database, workers in every process of this role, an SMTP server that takes it from there.
//!
//! A request is answered once its mail is in the queue, in the transaction of the session that the mail is for. Workers
//! claim what is due by moving its due time ahead, and delete what the SMTP server has accepted; what a process that is
//! killed has claimed becomes due again. A mail may so be sent twice, each time with a link of its own, and is never lost.

mod queue;
mod smtp;
mod templates;
#[cfg(test)]
mod tests;

use lettre::{AsyncSmtpTransport, Tokio1Executor, message::Mailbox};
use ruma::ServerName;
use tokio::sync::Notify;

pub(crate) use self::queue::run;
use self::templates::Templates;
use crate::{config::EmailConfig, threepids::Purpose};

/// Where the page is that a link in a mail opens.
pub(crate) const CONFIRM_PATH: &str = "/_matrix/client/unstable/org.matrixon/email/confirm";

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mail {
    /// A link that confirms the address.
    Validate(Purpose),
    /// Somebody wants to use an address that an account has already.
    Taken,
    /// Nobody is written to; the request costs what others cost.
    Nothing,
}

impl Mail {
    const WRITTEN: [Self; 4] = [
        Self::Validate(Purpose::Register),
        Self::Validate(Purpose::Password),
        Self::Validate(Purpose::Add),
        Self::Taken,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Validate(purpose) => purpose.as_str(),
            Self::Taken => "taken",
            Self::Nothing => "nothing",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::WRITTEN.into_iter().chain([Self::Nothing]).find(|mail| mail.as_str() == name)
    }
}

/// What it takes to write mail; without a configured server nothing is ever sent.
pub(crate) struct Mailer {
    smtp: Option<Smtp>,
    templates: Templates,
    app_name: String,
    server_name: String,
    /// `https://matrix.example.org`
    base_url: String,
    news: Notify,
}

struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// Fails with a sentence when the configuration makes no sense. No connection is made yet.
    pub(crate) fn new(config: &EmailConfig, server_name: &ServerName, base_url: Option<&str>) -> Result<Self, String> {
        let smtp = if config.is_enabled() { Some(smtp::connect(config)?) } else { None };
        let app_name = if config.app_name.is_empty() { server_name.as_str() } else { &config.app_name };
        Ok(Self {
            smtp,
            templates: Templates::load(config.templates.as_deref())?,
            app_name: app_name.to_owned(),
            server_name: server_name.to_string(),
            base_url: base_url.unwrap_or_default().trim_end_matches('/').to_owned(),
            news: Notify::new(),
        })
    }

    /// What pages and mails call this service.
    pub(crate) fn app_name(&self) -> &str {
        &self.app_name
    }

    /// There is something in the queue.
    pub(crate) fn wake(&self) {
        self.news.notify_one();
    }
}
