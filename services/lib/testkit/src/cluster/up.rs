//! Bringing a cluster up: servers, schema, then the processes, each awaited.

use std::{path::Path, process::Command, thread};

use anyhow::{Context, Result, bail, ensure};

use super::{
    config,
    control::{Site, spawn, write_pid},
    options::{Options, Topology},
    ready,
    state::{self, ClusterState, ProcessState, ServerState},
};
use crate::{
    ports, process,
    servers::{Kind, postgres, tls::Wire},
};

const DATABASE: &str = "matrixon";

impl Site {
    /// Starts everything and waits until all of it is ready. On failure all is stopped again; the logs stay.
    pub fn up(&self, options: &Options) -> Result<ClusterState> {
        process::raise_file_limit();
        let directory = self.directory();
        let running = process::list_owned(directory).len();
        ensure!(running == 0, "{running} processes of a cluster in {} run: end it first", directory.display());
        let result = start_all(directory, options);
        if result.is_err() {
            self.down().context("and the rest did not end")?;
        }
        result
    }
}

fn start_all(directory: &Path, options: &Options) -> Result<ClusterState> {
    let mut state = ClusterState {
        server_name: config::SERVER_NAME.into(),
        client_urls: Vec::new(),
        processes: Vec::new(),
        postgres: None,
        redis: None,
        nats: None,
    };
    std::fs::create_dir_all(directory.join("logs"))?;
    start_servers(directory, options, &mut state)?;
    config::write_all(directory, options, &mut state)?;
    state::write(directory, &state)?;
    if state.postgres.is_some() {
        migrate(&state.processes[0])?;
    }
    // Gateways last: they find their peers ready.
    let (gateways, others): (Vec<_>, Vec<_>) = state.processes.iter().partition(|process| process.role == "gateway");
    for group in [others, gateways] {
        start_group(directory, &group)?;
    }
    state::read(directory)
}

/// The servers of the topology, side by side.
fn start_servers(directory: &Path, options: &Options, state: &mut ClusterState) -> Result<()> {
    let kinds: &[Kind] = match options.topology {
        Topology::Cluster => &Kind::ALL,
        Topology::Single => &[],
        Topology::SinglePostgres => &[Kind::Postgres],
    };
    let started: Vec<(Kind, Result<ServerState>)> = thread::scope(|scope| {
        let starting: Vec<_> =
            kinds.iter().map(|kind| (*kind, scope.spawn(|| start_server(directory, *kind, options.wire)))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|_| bail!("a panic"));
        starting.into_iter().map(|(kind, thread)| (kind, join(thread))).collect()
    });
    for (kind, server) in started {
        *state.server_mut(kind) = Some(server?);
    }
    Ok(())
}

fn start_server(directory: &Path, kind: Kind, wire: Wire) -> Result<ServerState> {
    let port = ports::find_free()?;
    let log = Site::server_log(directory, kind);
    let pid = kind.start(wire, directory, &log, port)?;
    let mut url = kind.url(wire, port);
    if kind == Kind::Postgres {
        postgres::create_database(port, DATABASE)?;
        url = format!("{url}/{DATABASE}");
    }
    Ok(ServerState { url, wire, pid: Some(pid) })
}

/// `matrixon database migrate`, once for all processes.
fn migrate(process: &ProcessState) -> Result<()> {
    let [program, flag, file, ..] = process.command.as_slice() else { bail!("a process without a command") };
    let output = Command::new(program).args([flag, file, "database", "migrate"]).output()?;
    if !output.status.success() {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("`matrixon database migrate` failed ({}):\n{out}{err}", output.status);
    }
    Ok(())
}

fn start_group(directory: &Path, group: &[&ProcessState]) -> Result<()> {
    let mut started = Vec::new();
    for process in group {
        let pid = spawn(directory, process)?;
        write_pid(directory, &process.role, process.index, Some(pid))?;
        started.push((process, pid));
    }
    for (process, pid) in started {
        let what = format!("{} {}", process.role, process.index);
        ready::wait_ready(&what, pid, &process.internal_url, &process.log)?;
    }
    Ok(())
}
