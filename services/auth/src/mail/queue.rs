//! The workers: what is due is claimed, sent and deleted, in every process of this role.

use std::time::Duration;

use futures::future::join_all;
use lettre::AsyncTransport as _;
use matrixon_runtime::shutdown::Shutdown;

use super::{
    CONFIRM_PATH, Mail, Smtp,
    smtp::build_message,
    templates::{Values, Written},
};
use crate::{
    error::AuthError,
    metrics,
    sessions::tokens::Token,
    state::Auth,
    store::{
        mail_queue::{self, MailRow},
        validations,
    },
};

/// How soon a mail is found whose process has died.
const POLL: Duration = Duration::from_secs(2);
/// Mails that one process sends at the same time.
const WIDTH: i64 = 4;
const FIRST_RETRY_MS: i64 = 10_000;
const LAST_RETRY_MS: i64 = 900_000;

/// What became of a mail.
enum Outcome {
    Sent,
    /// There is nobody to write to any more, or the server will never take it.
    Dropped,
    Failed,
}

/// Runs until the process stops. A mail on its way is finished first.
pub(crate) async fn run(auth: Auth, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = auth.mailer.news.notified() => {}
            () = tokio::time::sleep(POLL) => {}
            () = shutdown.wait_stopped() => return,
        }
        while let Ok(true) = send_due(&auth).await.inspect_err(|error| {
            tracing::warn!(%error, "mails that are due could not be read");
        }) {}
    }
}

/// True: there may be more.
async fn send_due(auth: &Auth) -> Result<bool, AuthError> {
    let now_ms = auth.clock.now_ms();
    if !mail_queue::any_due(&auth.db, now_ms).await? {
        return Ok(false);
    }
    let until = now_ms.saturating_add(lease(auth).as_millis() as i64);
    let claimed = mail_queue::claim_due(&auth.db, now_ms, until, WIDTH).await?;
    let more = claimed.len() as i64 == WIDTH;
    join_all(claimed.into_iter().map(|row| handle(auth, row))).await;
    Ok(more)
}

/// Longer than sending can take.
fn lease(auth: &Auth) -> Duration {
    sending_time(auth) + Duration::from_secs(30)
}

fn sending_time(auth: &Auth) -> Duration {
    Duration::from_secs(auth.config.email.timeout_seconds.clamp(1, 600) * 3)
}

async fn handle(auth: &Auth, row: MailRow) {
    let (id, attempts) = (row.id, row.attempts);
    let outcome = match deliver(auth, &row).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::warn!(%error, mail = id, "a mail could not be prepared");
            Outcome::Failed
        }
    };
    let written = match outcome {
        Outcome::Sent | Outcome::Dropped => mail_queue::delete_mail(&auth.db, id).await,
        Outcome::Failed => {
            let exponent = u32::try_from(attempts.clamp(1, 8) - 1).unwrap_or(0);
            let wait = FIRST_RETRY_MS.saturating_mul(3_i64.pow(exponent)).min(LAST_RETRY_MS);
            mail_queue::postpone(&auth.db, id, auth.clock.now_ms().saturating_add(wait)).await
        }
    };
    if let Err(error) = written {
        // it becomes due again by itself
        tracing::warn!(%error, mail = id, "what became of a mail could not be written");
    }
}

async fn deliver(auth: &Auth, row: &MailRow) -> Result<Outcome, AuthError> {
    let (Some(mail), Some(smtp)) = (Mail::from_name(&row.kind), &auth.mailer.smtp) else {
        // a newer version's, or e-mail has been turned off here: another process may know better
        return Ok(if row.expires_ts <= auth.clock.now_ms() { Outcome::Dropped } else { Outcome::Failed });
    };
    if row.expires_ts <= auth.clock.now_ms() {
        tracing::warn!(mail = row.id, "a mail could not be sent in time");
        metrics::count_mail("expired");
        return Ok(Outcome::Dropped);
    }
    match write(auth, mail, row).await? {
        Some(written) => Ok(send(auth, smtp, row, written).await),
        None => Ok(Outcome::Dropped),
    }
}

/// The mail, with a link of its own. None: there is nothing to confirm any more.
async fn write(auth: &Auth, mail: Mail, row: &MailRow) -> Result<Option<Written>, AuthError> {
    let mut link = String::new();
    if let (Mail::Validate(_), Some(sid)) = (mail, &row.sid) {
        let open = validations::find_validation(&auth.db, sid).await?;
        if open.is_none_or(|validation| validation.validated_ts.is_some()) {
            return Ok(None);
        }
        let token = Token::new_mail();
        validations::insert_token(&auth.db, &token.sha256, sid).await?;
        link = format!("{}{CONFIRM_PATH}?token={}", auth.mailer.base_url, token.text);
    }
    let minutes = ((row.expires_ts - auth.clock.now_ms()).max(0) / 60_000).max(1).to_string();
    let values = Values {
        app_name: &auth.mailer.app_name,
        server_name: &auth.mailer.server_name,
        address: &row.recipient,
        link: &link,
        minutes: &minutes,
    };
    Ok(auth.mailer.templates.write(mail, values))
}

async fn send(auth: &Auth, smtp: &Smtp, row: &MailRow, written: Written) -> Outcome {
    let message = match build_message(&smtp.from, &row.recipient, written) {
        Ok(message) => message,
        Err(error) => {
            tracing::error!(error, mail = row.id, "a mail could not be written");
            metrics::count_mail("refused");
            return Outcome::Dropped;
        }
    };
    match tokio::time::timeout(sending_time(auth), smtp.transport.send(message)).await {
        Ok(Ok(_)) => {
            metrics::count_mail("sent");
            Outcome::Sent
        }
        Ok(Err(error)) if error.is_permanent() => {
            tracing::warn!(%error, mail = row.id, "the SMTP server refuses a mail");
            metrics::count_mail("refused");
            Outcome::Dropped
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, mail = row.id, attempt = row.attempts, "a mail could not be sent, and is tried again");
            metrics::count_mail("failed");
            Outcome::Failed
        }
        Err(_elapsed) => {
            tracing::warn!(
                mail = row.id,
                attempt = row.attempts,
                "the SMTP server is too slow, the mail is tried again"
            );
            metrics::count_mail("failed");
            Outcome::Failed
        }
    }
}
