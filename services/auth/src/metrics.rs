//! Metrics of the auth service.

use std::sync::LazyLock;

use matrixon_runtime::metrics::{IntCounterVec, counter};

use crate::error::AuthError;

static LOGINS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("auth_logins_total", "Log-ins with a password, by result.", &["result"]));

static REGISTRATIONS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("auth_registrations_total", "Accounts made.", &["result"]));

static MAILS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("auth_mails_total", "Mails given to the SMTP server, by result.", &["result"]));

/// Counters whose first increase matters exist from the start.
pub(crate) fn init() {
    for result in ["success", "refused", "busy", "failed"] {
        LOGINS.with_label_values(&[result]);
    }
    REGISTRATIONS.with_label_values(&["success"]);
    for result in ["sent", "failed", "refused", "expired"] {
        MAILS.with_label_values(&[result]);
    }
}

pub(crate) fn count_mail(result: &str) {
    MAILS.with_label_values(&[result]).inc();
}

pub(crate) fn count_login(result: &str) {
    LOGINS.with_label_values(&[result]).inc();
}

pub(crate) fn count_login_failure(error: &AuthError) {
    count_login(match error {
        AuthError::InvalidCredentials
        | AuthError::InvalidLoginToken
        | AuthError::UserDeactivated
        | AuthError::UserLocked
        | AuthError::TooManyAttempts { .. } => "refused",
        AuthError::Busy => "busy",
        _ => "failed",
    });
}

pub(crate) fn count_registration() {
    REGISTRATIONS.with_label_values(&["success"]).inc();
}
