//! One file per command.

mod admin;
mod audit;
mod config;
mod database;
mod documents;
mod operate;
mod patience;
mod registration_token;
mod report;
pub(crate) mod run_file;
mod selftest;
mod serve;
mod user;

pub(crate) use admin::{Failure, operator};
pub(crate) use patience::patiently;
pub(crate) use serve::first_account_message;

use std::{
    fmt::Display,
    future::Future,
    io::{self, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use matrixon_store::{Config as DatabaseConfig, Db, migrations};

use crate::{
    cli::{Cli, Command},
    config::load_from,
    settings::Settings,
};

pub(crate) fn run(cli: Cli) -> Result<()> {
    let path = cli.config.as_deref();
    match cli.command {
        Command::Serve { roles } => serve::run(path, &roles),
        Command::Config(command) => config::run(path, &command),
        Command::Database(command) => database::run(path, &command),
        Command::User(args) => user::run(path, args),
        Command::RegistrationToken(args) => registration_token::run(path, args),
        Command::Report(args) => report::run(path, args),
        Command::Audit(args) => audit::run(path, args),
        Command::Completion { shell } => {
            documents::completion(shell);
            Ok(())
        }
        Command::Man { output } => documents::man(output.as_deref()),
        Command::Reference => {
            documents::reference();
            Ok(())
        }
        Command::Selftest(args) => selftest::run(path, args),
        Command::Admin(command) => operate::run(path, &command),
    }
}

/// Prints the result of a command. That nobody reads it to its end (`| head`) is no error.
fn show(text: impl Display) {
    let _closed = writeln!(io::stdout(), "{text}");
}

/// Runs a short command to its end.
fn block_on<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

/// The configuration as an administration command needs it: it acts on the database, whatever the roles.
fn load_settings(path: Option<&Path>) -> Result<Settings> {
    let (config, _source) = load_from(path)?;
    Settings::complete(config, &[])
}

/// Connects and makes sure that the database answers.
pub(crate) async fn connect(config: &DatabaseConfig) -> Result<Db> {
    let db = Db::connect(config).await?;
    let unreachable = || {
        let place = without_password(&config.url);
        format!("cannot reach the database {place}; check `database.url`, and that the database runs and lets us in")
    };
    db.ping().await.with_context(unreachable)?;
    Ok(db)
}

/// The same for commands that need the tables.
pub(crate) async fn connect_migrated(settings: &Settings) -> Result<Db> {
    let db = connect(&settings.config.database).await?;
    if !db.is_postgres() || settings.config.database.migrate_on_start {
        migrations::migrate(&db).await?;
    }
    migrations::check(&db).await?;
    Ok(db)
}

/// A database URL as it may be shown.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let rest = rest.split_once('?').map_or(rest, |(rest, _options)| rest);
    match rest.rsplit_once('@') {
        Some((_user, place)) => format!("{scheme}://{place}"),
        None => format!("{scheme}://{rest}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(super::without_password("postgres://me:p@ss@host:5432/db?password=x"), "postgres://host:5432/db");
        assert_eq!(super::without_password("sqlite:./data/matrixon.db"), "sqlite:./data/matrixon.db");
    }
}
