//! The SMTP server, and a mail for it.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, Message, Tokio1Executor,
    address::AddressError,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
    },
};
use matrixon_runtime::{config::read_authorities, random};

use super::{Smtp, templates::Written};
use crate::config::{EmailConfig, MailSecurity};

pub(super) fn connect(config: &EmailConfig) -> Result<Smtp, String> {
    let from: Mailbox = config.from.parse().map_err(|error: AddressError| {
        format!("`auth.email.from` is `{}`, which is not `Name <name@example.org>`: {error}", config.from)
    })?;
    let tls = match config.security {
        MailSecurity::Starttls => Tls::Required(tls_parameters(config)?),
        MailSecurity::Tls => Tls::Wrapper(tls_parameters(config)?),
        MailSecurity::None => Tls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
        .port(config.port())
        .tls(tls)
        .timeout(Some(Duration::from_secs(config.timeout_seconds.max(1))));
    if !config.username.is_empty() {
        builder = builder.credentials(Credentials::new(config.username.clone(), config.password.expose().to_owned()));
    }
    Ok(Smtp { transport: builder.build(), from })
}

fn tls_parameters(config: &EmailConfig) -> Result<TlsParameters, String> {
    // the first one to say so wins, and everybody here says the same
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let mut builder = TlsParameters::builder(config.host.clone()).certificate_store(CertificateStore::WebpkiRoots);
    if let Some(path) = &config.ca_certificate {
        let pem = read_authorities("auth.email.ca_certificate", path).map_err(|error| error.to_string())?;
        let certificate =
            Certificate::from_pem(&pem).map_err(|error| format!("`auth.email.ca_certificate`: {error}"))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build_rustls().map_err(|error| format!("`auth.email`: TLS cannot be set up: {error}"))
}

/// A mail that is text and HTML at once.
pub(super) fn build_message(from: &Mailbox, recipient: &str, written: Written) -> Result<Message, String> {
    let to = recipient.parse().map_err(|error: AddressError| error.to_string())?;
    let domain = from.email.domain();
    // nobody's holiday reply is wanted
    let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(written.subject)
        .message_id(Some(format!("<{}@{domain}>", random::id(24))))
        .raw_header(automatic)
        .multipart(MultiPart::alternative_plain_html(written.text, written.html))
        .map_err(|error| error.to_string())
}
