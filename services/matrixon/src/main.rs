//! `matrixon`: every role of the homeserver and the commands that administer it, in one binary.
#![forbid(unsafe_code)]

mod backup;
mod cli;
mod commands;
mod compose;
mod config;
mod connect;
mod failure;
mod files;
mod operate;
mod run_file;
mod settings;

use std::process::ExitCode;

use clap::Parser as _;

/// It can say where memory is allocated (`operate::profile`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // what else speaks TLS in this process finds it; a second time changes nothing
    let _installed = rustls::crypto::ring::default_provider().install_default();
    match commands::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("matrixon: {error:#}");
            // 2: the configuration or what it points to (database, keys, addresses) must be changed first.
            ExitCode::from(error.downcast_ref::<failure::Failure>().map_or(2, failure::Failure::code))
        }
    }
}
