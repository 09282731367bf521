//! `matrixon`: every role of the homeserver and the commands that administer it, in one binary.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod compose;
mod config;
mod files;
mod settings;

use std::process::ExitCode;

use clap::Parser as _;

/// What the operator asked for is not possible as things are: the message says so and nothing is broken (exit code 1).
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

fn main() -> ExitCode {
    match commands::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("matrixon: {error:#}");
            // 2: the configuration or what it points to (database, keys, addresses) must be changed first.
            ExitCode::from(if error.is::<Refused>() { 1 } else { 2 })
        }
    }
}
