//! One file per command.

mod admin;
mod audit;
mod config;
mod database;
mod documents;
mod operate;
mod registration_token;
mod report;
mod selftest;
mod serve;
mod user;

use std::{
    fmt::Display,
    future::Future,
    io::{self, Write as _},
    path::Path,
};

use anyhow::Result;

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
