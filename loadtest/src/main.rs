//! Loads any Matrix homeserver through its public API, over loopback, and says what a request costs.
//!
//! Each scenario registers its own users (open registration with `m.login.dummy` is needed), runs for a bounded time and prints
//! one JSON object: throughput, latency percentiles, CPU and memory of the server's processes.
#![forbid(unsafe_code)]

mod api;
mod bench;
mod client;
mod measure;
mod plot;
mod report;
mod scenarios;
mod target;

use clap::{Parser, Subcommand};

use crate::{scenarios::Scenario, target::TargetArgs};

#[derive(Parser)]
#[command(name = "matrixon-loadtest", version, about = "Loads a Matrix homeserver over loopback and measures it")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one scenario and print its result as JSON.
    Run {
        #[command(flatten)]
        target: TargetArgs,
        #[command(subcommand)]
        scenario: Scenario,
    },
    /// Run the short set of scenarios against several servers, one after the other, and write a report with a plot.
    Bench(bench::BenchArgs),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run { target, scenario } => {
            let target = target.load()?;
            let result = scenario.run(&target).await?;
            println!("{}", serde_json::to_string_pretty(&result)?);
        }
        Command::Bench(args) => bench::run(args).await?,
    }
    Ok(())
}
