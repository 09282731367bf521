//! A cluster found by its directory: its state, and the life and death of its parts.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{
    ready,
    state::{self, ClusterState, ProcessState},
};
use crate::{
    process::{self, Daemon, Signal},
    servers::{Kind, postgres},
};

/// How long the processes may take to end when the whole cluster ends.
const DOWN_LIMIT: Duration = Duration::from_secs(15);

/// One part of a cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    Process { role: String, index: u32 },
    Server(Kind),
}

impl Target {
    /// `role` may also be `postgres`, `redis` or `nats`, with index 0.
    pub fn new(role: &str, index: u32) -> Self {
        match Kind::ALL.into_iter().find(|kind| kind.as_str() == role) {
            Some(kind) => Self::Server(kind),
            None => Self::Process { role: role.to_owned(), index },
        }
    }
}

/// The directory of a cluster.
#[derive(Clone, Debug)]
pub struct Site {
    directory: PathBuf,
}

impl Site {
    /// The place for a new cluster. The user postgres must be able to pass through it.
    pub fn create(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let directory = directory.canonicalize()?;
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
        Ok(Self { directory })
    }

    /// The place of an existing cluster, of which nothing may be left but its processes.
    pub fn open(directory: &Path) -> Result<Self> {
        let directory = directory.canonicalize().or_else(|_| std::path::absolute(directory))?;
        Ok(Self { directory })
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What `cluster.json` says now.
    pub fn state(&self) -> Result<ClusterState> {
        state::read(&self.directory)
    }

    pub fn is_alive(&self, pid: Option<u32>) -> bool {
        pid.is_some_and(|pid| process::is_alive(pid, &self.directory))
    }

    pub(crate) fn server_log(directory: &Path, kind: Kind) -> PathBuf {
        directory.join("logs").join(format!("{}.log", kind.as_str()))
    }

    /// SIGKILL; returns when the process is gone.
    pub fn kill(&self, role: &str, index: u32) -> Result<()> {
        let target = Target::new(role, index);
        if let Some(pid) = self.find_pid(&target)? {
            match &target {
                Target::Server(kind) => kind.kill(pid, &self.directory)?,
                Target::Process { .. } => process::kill(pid, &self.directory)?,
            }
        }
        write_pid(&self.directory, role, index, None)
    }

    /// SIGTERM; returns when the process is gone, an error if it had to be killed.
    pub fn stop(&self, role: &str, index: u32) -> Result<()> {
        let target = Target::new(role, index);
        let result = match (self.find_pid(&target)?, &target) {
            (None, _) => Ok(()),
            (Some(pid), Target::Server(kind)) => kind.stop(pid, &self.directory),
            (Some(pid), Target::Process { .. }) => {
                let limit = self.drain_limit(role, index)?;
                process::stop(pid, &self.directory, Signal::TERM, limit)
                    .with_context(|| format!("{role} {index} did not drain in time"))
            }
        };
        write_pid(&self.directory, role, index, None)?;
        result
    }

    /// Starts it again with the same command line on the same ports; returns when it is ready.
    pub fn start(&self, role: &str, index: u32) -> Result<()> {
        let pid = self.spawn(role, index)?;
        self.wait_ready(role, index, pid)
    }

    /// Starts it again and does not wait (servers are awaited all the same).
    pub fn spawn(&self, role: &str, index: u32) -> Result<u32> {
        process::raise_file_limit();
        let target = Target::new(role, index);
        ensure!(!self.is_alive(self.find_pid(&target)?), "{role} {index} is already running");
        let state = self.state()?;
        let pid = match &target {
            Target::Server(kind) => {
                let server = state.server(*kind).context("this cluster does not use it")?;
                let log = Self::server_log(&self.directory, *kind);
                kind.start(server.wire, &self.directory, &log, server.port()?)?
            }
            Target::Process { .. } => spawn(&self.directory, find(&state, role, index)?)?,
        };
        write_pid(&self.directory, role, index, Some(pid))?;
        Ok(pid)
    }

    fn wait_ready(&self, role: &str, index: u32, pid: u32) -> Result<()> {
        if let Target::Server(_) = Target::new(role, index) {
            return Ok(());
        }
        let state = self.state()?;
        let process = find(&state, role, index)?;
        ready::wait_ready(&format!("{role} {index}"), pid, &process.internal_url, &process.log)
    }

    /// From its next start on, the process runs this program.
    pub fn set_binary(&self, role: &str, index: u32, binary: &Path) -> Result<()> {
        let program = binary.canonicalize().with_context(|| format!("there is no {}", binary.display()))?;
        find(&self.state()?, role, index)?;
        state::update(&self.directory, |state| {
            let found = state.processes.iter_mut().find(|process| process.role == role && process.index == index);
            if let Some(first) = found.and_then(|process| process.command.first_mut()) {
                *first = program.display().to_string();
            }
        })
    }

    /// Another, empty database on the cluster's `PostgreSQL`; its URL. None without `PostgreSQL`.
    pub fn create_database(&self, name: &str) -> Result<Option<String>> {
        let state = self.state()?;
        let Some(server) = &state.postgres else { return Ok(None) };
        postgres::create_database(server.port()?, name)?;
        let (server, _) = server.url.rsplit_once('/').context("no database in the URL")?;
        Ok(Some(format!("{server}/{name}")))
    }

    /// Runs a statement on the cluster's `PostgreSQL` database through `psql`; rows are lines, columns separated by `|`.
    pub fn query(&self, statement: &str) -> Result<String> {
        let server = self.state()?.postgres.context("this cluster has no PostgreSQL")?;
        let (_, database) = server.url.rsplit_once('/').context("no database in the URL")?;
        postgres::query(server.port()?, database, statement)
    }

    /// Ends everything, in whatever state it is: first in order, then by force.
    pub fn down(&self) -> Result<()> {
        let directory = &self.directory;
        let state = self.state().ok();
        let servers: Vec<(Kind, u32)> = state
            .iter()
            .flat_map(|state| Kind::ALL.map(|kind| Some((kind, state.server(kind)?.pid?))))
            .flatten()
            .filter(|(_, pid)| process::is_alive(*pid, directory))
            .collect();
        let is_server = |pid: &u32| servers.iter().any(|(_, server)| server == pid);
        let others: Vec<u32> = process::list_owned(directory).into_iter().filter(|pid| !is_server(pid)).collect();
        for pid in &others {
            process::signal(*pid, Signal::TERM)?;
        }
        let end = std::time::Instant::now() + DOWN_LIMIT;
        for pid in &others {
            process::wait_gone(*pid, directory, end.saturating_duration_since(std::time::Instant::now()));
        }
        for (kind, pid) in servers {
            // Whatever does not stop in order is killed below.
            let _ = kind.stop(pid, directory);
        }
        for pid in process::list_owned(directory) {
            process::kill(pid, directory)?;
        }
        if state.is_some() {
            state::update(directory, forget_pids)?;
        }
        Ok(())
    }

    /// The pid as recorded: of a process that may have ended by itself, or be about to.
    fn find_pid(&self, target: &Target) -> Result<Option<u32>> {
        let state = self.state()?;
        let pid = match target {
            Target::Server(kind) => state.server(*kind).context("this cluster does not use it")?.pid,
            Target::Process { role, index } => find(&state, role, *index)?.pid,
        };
        Ok(pid)
    }

    /// The configured drain and finish times, and a margin.
    fn drain_limit(&self, role: &str, index: u32) -> Result<Duration> {
        let state = self.state()?;
        let file = find(&state, role, index)?.command.get(2).context("a process without a configuration")?.clone();
        let config: toml::Table = toml::from_str(&fs::read_to_string(file)?)?;
        let seconds = |field: &str, default: u64| {
            let value = config.get("shutdown").and_then(|section| section.get(field)).and_then(toml::Value::as_integer);
            value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default)
        };
        Ok(Duration::from_secs(seconds("drain_delay_seconds", 10) + seconds("finish_seconds", 20) + 10))
    }
}

fn find<'a>(state: &'a ClusterState, role: &str, index: u32) -> Result<&'a ProcessState> {
    state.process(role, index).with_context(|| {
        let all: Vec<String> =
            state.processes.iter().map(|process| format!("{} {}", process.role, process.index)).collect();
        format!("there is no {role} {index}; there are: {}", all.join(", "))
    })
}

pub(crate) fn spawn(directory: &Path, process: &ProcessState) -> Result<u32> {
    let (program, args) = process.command.split_first().context("a process without a command")?;
    Daemon { program: Path::new(program), args, owner: directory, log: &process.log, user: None }.spawn()
}

/// Enters the pid of a process or a server in `cluster.json`.
pub(crate) fn write_pid(directory: &Path, role: &str, index: u32, pid: Option<u32>) -> Result<()> {
    state::update(directory, |state| match Target::new(role, index) {
        Target::Server(kind) => {
            if let Some(server) = state.server_mut(kind) {
                server.pid = pid;
            }
        }
        Target::Process { .. } => {
            let found = state.processes.iter_mut().find(|process| process.role == role && process.index == index);
            if let Some(process) = found {
                process.pid = pid;
            }
        }
    })
}

fn forget_pids(state: &mut ClusterState) {
    for process in &mut state.processes {
        process.pid = None;
    }
    for kind in Kind::ALL {
        if let Some(server) = state.server_mut(kind) {
            server.pid = None;
        }
    }
}
