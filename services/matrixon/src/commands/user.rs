//! `matrixon user create|reset-password`

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use matrixon_auth::{
    AuthError,
    admin::{self, CreateUser},
};

use super::{block_on, connect_migrated, load_settings, show};
use crate::{Refused, cli::UserCommand};

pub(crate) fn run(path: Option<&Path>, command: UserCommand) -> Result<()> {
    let settings = load_settings(path)?;
    let server_name = settings.server_name()?;
    let config = &settings.config.auth;
    block_on(async {
        let db = connect_migrated(&settings).await?;
        match command {
            UserCommand::Create { username, admin, password } => {
                let password = read_password(password)?;
                let new = CreateUser { username, password, admin };
                let user_id = admin::create_user(&db, config, &server_name, new).await.map_err(refuse)?;
                show(format_args!("created {}{user_id}", if admin { "the administrator " } else { "" }));
            }
            UserCommand::ResetPassword { username, password } => {
                let password = (read_password(password)?, true);
                let user_id =
                    admin::reset_password(&db, config, &server_name, &username, password).await.map_err(refuse)?;
                show(format_args!("{user_id} has a new password, and all sessions have ended"));
            }
        }
        db.close().await;
        Ok(())
    })
}

/// From `--password`, else from the first line of standard input, so that it need not be in the shell's history.
fn read_password(given: Option<String>) -> Result<String> {
    if let Some(password) = given {
        return Ok(password);
    }
    if io::stdin().is_terminal() {
        eprint!("password (it is shown while you type): ");
        io::stderr().flush()?;
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line).context("cannot read the password from standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn refuse(error: AuthError) -> anyhow::Error {
    match error {
        AuthError::Store(error) => error.into(),
        error => Refused(error.to_string()).into(),
    }
}
