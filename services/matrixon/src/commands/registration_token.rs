//! `matrixon registration-token create|list|revoke`

use std::path::Path;

use anyhow::Result;
use matrixon_auth::{
    AuthError, RegistrationToken,
    admin::{self, CreateRegistrationToken},
};
use matrixon_runtime::clock::Clock;
use matrixon_store::Db;

use super::{block_on, connect_migrated, load_settings, show};
use crate::{Refused, cli::RegistrationTokenCommand};

pub(crate) fn run(path: Option<&Path>, command: RegistrationTokenCommand) -> Result<()> {
    let settings = load_settings(path)?;
    block_on(async {
        let db = connect_migrated(&settings).await?;
        match command {
            RegistrationTokenCommand::Create { token, uses, expires_in_seconds, admin } => {
                let expires_ts = expires_in_seconds.map(|seconds| expiry_ms(Clock::system().now_ms(), seconds));
                let new = CreateRegistrationToken { token, uses_allowed: uses, expires_ts, grants_admin: admin };
                let token = admin::create_registration_token(&db, new).await.map_err(refuse)?;
                show(token.token);
            }
            RegistrationTokenCommand::List => print_list(&db).await?,
            RegistrationTokenCommand::Revoke { token } => {
                if !admin::revoke_registration_token(&db, &token).await.map_err(refuse)? {
                    return Err(Refused("there is no such registration token".to_owned()).into());
                }
                show("revoked");
            }
        }
        db.close().await;
        Ok(())
    })
}

async fn print_list(db: &Db) -> Result<()> {
    show(format_args!("{:<40} {:>6} {:>8} {:>16} admin", "token", "used", "allowed", "expires (ms)"));
    for token in admin::list_registration_tokens(db).await.map_err(refuse)? {
        let RegistrationToken { token, uses_allowed, completed, expires_ts, grants_admin, .. } = token;
        let allowed = uses_allowed.map_or_else(|| "any".to_owned(), |uses| uses.to_string());
        let expires = expires_ts.map_or_else(|| "never".to_owned(), |expires| expires.to_string());
        show(format_args!(
            "{token:<40} {completed:>6} {allowed:>8} {expires:>16} {}",
            if grants_admin { "yes" } else { "no" }
        ));
    }
    Ok(())
}

/// Saturates: a token may well outlive the calendar.
fn expiry_ms(now_ms: i64, seconds: u64) -> i64 {
    now_ms.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000))
}

fn refuse(error: AuthError) -> anyhow::Error {
    match error {
        AuthError::Store(error) => error.into(),
        error => Refused(error.to_string()).into(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_very_late_expiry_does_not_overflow() {
        assert_eq!(super::expiry_ms(5, 1), 1_005);
        assert_eq!(super::expiry_ms(5, u64::MAX), i64::MAX);
    }
}
