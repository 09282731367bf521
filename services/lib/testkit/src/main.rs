//! `matrixon-cluster`: the development cluster. `make cluster`, `make cluster-ctl` and `make cluster-down` call it.
#![forbid(unsafe_code)]

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};
use matrixon_testkit::{
    cluster::{Options, Profile, Site, Topology},
    servers::Kind,
};

const WARNING: &str = "
  ************************************************************************************
  **  INSECURE: profile `load`. Anybody may register without proof, nothing is rate  **
  **  limited, passwords are hashed as cheaply as possible, and requests to loopback **
  **  addresses are allowed. For load tests on this machine only.                    **
  ************************************************************************************
";

#[derive(Parser)]
#[command(name = "matrixon-cluster", version, about = "A Matrixon of many processes on this machine")]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Start a cluster and return when all of it is ready
    Up(Up),
    /// Look at or change the processes of a running cluster
    Ctl {
        /// Its directory
        #[arg(long)]
        dir: PathBuf,
        #[command(subcommand)]
        command: Control,
    },
    /// End everything, whatever state it is in
    Down {
        /// Its directory
        #[arg(long)]
        dir: PathBuf,
    },
}

#[derive(clap::Args)]
struct Up {
    /// Where its data, configuration and logs go
    #[arg(long)]
    dir: PathBuf,
    /// `cluster`, `single` (one process, `SQLite`) or `single-postgres`
    #[arg(long, default_value = "cluster")]
    topology: Topology,
    /// `N` for every role, or `role=N`
    #[arg(long, value_name = "[ROLE=]N")]
    replicas: Vec<String>,
    /// A setting for the configuration of every process
    #[arg(long, value_name = "SECTION.FIELD=VALUE")]
    set: Vec<String>,
    /// `normal`, or `load`: insecure, for load tests
    #[arg(long, default_value = "normal")]
    profile: Profile,
}

#[derive(Subcommand)]
enum Control {
    /// What runs
    Status,
    /// SIGKILL
    Kill(Which),
    /// SIGTERM, and wait
    Stop(Which),
    /// The same command line again, and wait until it is ready
    Start(Which),
}

#[derive(clap::Args)]
struct Which {
    /// A role, `all` in the single topologies, or `postgres`, `redis`, `nats`
    role: String,
    #[arg(default_value_t = 0)]
    index: u32,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("matrixon-cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Result<()> {
    match action {
        Action::Up(up) => start(&up),
        Action::Ctl { dir, command } => control(&Site::open(&dir)?, command),
        Action::Down { dir } => {
            Site::open(&dir)?.down()?;
            println!("the cluster in {} has ended", dir.display());
            Ok(())
        }
    }
}

fn start(up: &Up) -> Result<()> {
    let mut options = Options { topology: up.topology, profile: up.profile, ..Options::default() };
    up.replicas.iter().try_for_each(|text| options.add_replicas(text))?;
    up.set.iter().try_for_each(|text| options.add_setting(text))?;
    if up.profile == Profile::Load {
        eprintln!("{WARNING}");
    }
    let site = Site::create(&up.dir)?;
    let state = site.up(&options)?;
    println!("{} processes are ready; {}", state.processes.len(), site.directory().join("cluster.json").display());
    for url in &state.client_urls {
        println!("client: {url}");
    }
    Ok(())
}

fn control(site: &Site, command: Control) -> Result<()> {
    match command {
        Control::Status => status(site),
        Control::Kill(Which { role, index }) => site.kill(&role, index),
        Control::Stop(Which { role, index }) => site.stop(&role, index),
        Control::Start(Which { role, index }) => site.start(&role, index),
    }
}

fn status(site: &Site) -> Result<()> {
    let state = site.state()?;
    let print = |name: &str, index: u32, pid: Option<u32>, url: &str| {
        let life = if site.is_alive(pid) { "running" } else { "dead" };
        let pid = pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        println!("{name:<11} {index:>2}  {life:<8} {pid:>8}  {url}");
    };
    for process in &state.processes {
        print(&process.role, process.index, process.pid, &process.http_url);
    }
    for kind in Kind::ALL {
        if let Some(server) = state.server(kind) {
            print(kind.as_str(), 0, server.pid, &server.url);
        }
    }
    Ok(())
}
