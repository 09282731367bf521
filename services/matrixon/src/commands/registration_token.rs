//! `matrixon registration-token create|list|revoke`

use std::path::Path;

use anyhow::Result;
use matrixon_proto::admin::v1::{
    CreateRegistrationTokenRequest, ListRegistrationTokensRequest, RegistrationToken, RevokeRegistrationTokenRequest,
    registration_tokens_client::RegistrationTokensClient,
};
use matrixon_runtime::clock::Clock;

use super::{
    admin::{Column, Connection, Table, call, moment, print_json, yes_no},
    block_on, show,
};
use crate::cli::{RegistrationTokenArgs, RegistrationTokenCommand};

/// Tokens of one call.
const PAGE: u32 = 500;

static COLUMNS: [Column<RegistrationToken>; 6] = [
    Column { head: "token", detailed: false, value: |token| token.token.clone() },
    Column { head: "used", detailed: false, value: |token| token.completed.to_string() },
    Column {
        head: "allowed",
        detailed: false,
        value: |token| token.uses_allowed.map_or_else(|| "any".to_owned(), |uses| uses.to_string()),
    },
    Column {
        head: "expires",
        detailed: false,
        value: |token| token.expires_ts.map_or_else(|| "never".to_owned(), moment),
    },
    Column { head: "admin", detailed: false, value: |token| yes_no(token.grants_admin) },
    Column { head: "created", detailed: true, value: |token| moment(token.created_ts) },
];

pub(crate) fn run(path: Option<&Path>, args: RegistrationTokenArgs) -> Result<()> {
    block_on(async {
        let connection = Connection::open(path, &args.admin).await?;
        let done = act(&connection, args.command, args.admin.json).await;
        connection.close().await;
        done
    })
}

async fn act(connection: &Connection, command: RegistrationTokenCommand, json: bool) -> Result<()> {
    match command {
        RegistrationTokenCommand::Create { registration_token: token, uses, expires_in_seconds, admin } => {
            let expires_ts = expires_in_seconds.map(|seconds| expiry_ms(Clock::system().now_ms(), seconds));
            let request = CreateRegistrationTokenRequest { token, uses_allowed: uses, expires_ts, grants_admin: admin };
            let made: RegistrationToken = call!(connection, RegistrationTokensClient.create, request)?;
            if json {
                return print_json(&made);
            }
            show(made.token);
        }
        RegistrationTokenCommand::List { detailed } => list(connection, json, detailed).await?,
        RegistrationTokenCommand::Revoke { registration_token } => {
            let request = RevokeRegistrationTokenRequest { token: registration_token };
            let revoked = call!(connection, RegistrationTokensClient.revoke, request)?;
            if json {
                return print_json(&revoked);
            }
            show("revoked");
        }
    }
    Ok(())
}

async fn list(connection: &Connection, json: bool, detailed: bool) -> Result<()> {
    let mut table = Table::new(&COLUMNS, detailed);
    let mut request = ListRegistrationTokensRequest { page_size: PAGE, page_token: String::new() };
    loop {
        let page = call!(connection, RegistrationTokensClient.list, request.clone())?;
        if json {
            page.tokens.iter().try_for_each(print_json)?;
        } else {
            table.print(&page.tokens);
        }
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}

/// Saturates: a token may well outlive the calendar.
fn expiry_ms(now_ms: i64, seconds: u64) -> i64 {
    now_ms.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_very_late_expiry_does_not_overflow() {
        assert_eq!(super::expiry_ms(5, 1), 1_005);
        assert_eq!(super::expiry_ms(5, u64::MAX), i64::MAX);
    }
}
