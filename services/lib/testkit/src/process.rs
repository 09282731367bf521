//! Daemons: starting, signalling and waiting for processes that outlive the program that started them.
//!
//! Every daemon carries its directory in the environment ([`MARKER`]), so that it can be told from a
//! stranger that got the same pid later, and found again when every record of it is lost.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
pub use rustix::process::Signal;
use rustix::process::{Pid, Resource, Rlimit};

/// The environment variable that names the directory a daemon belongs to.
pub const MARKER: &str = "MATRIXON_TESTKIT_DIR";

/// How long to wait between two looks at something that has no way to call back.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// What to start, and as whom.
#[derive(Debug)]
pub struct Daemon<'a> {
    pub program: &'a Path,
    pub args: &'a [String],
    /// The value of [`MARKER`]: the cluster's (or the server's) directory.
    pub owner: &'a Path,
    pub log: &'a Path,
    /// `(uid, gid)` when it must not be ours (`PostgreSQL` refuses to run as root).
    pub user: Option<(u32, u32)>,
}

impl Daemon<'_> {
    /// Starts the process in a session of its own, its output appended to the log, and returns its pid.
    pub fn spawn(&self) -> Result<u32> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log)
            .with_context(|| format!("cannot open the log {}", self.log.display()))?;
        // setsid(1) executes the program in place: same pid, no terminal, no shared process group.
        let mut command = Command::new("setsid");
        command
            .arg(self.program)
            .args(self.args)
            .env(MARKER, self.owner)
            .current_dir(self.owner)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        let pid = child.id();
        // Reaps the child when it ends while we are still here; otherwise init does.
        thread::Builder::new().name(format!("reap-{pid}")).stack_size(64 * 1024).spawn(move || child.wait())?;
        Ok(pid)
    }
}

/// Is this pid running, and one of `owner`'s daemons?
pub fn is_alive(pid: u32, owner: &Path) -> bool {
    is_running(pid) && is_owned(pid, owner)
}

/// Running: it has a thread that is not dead. A killed process is first a zombie with threads that still hold
/// its ports, then one without.
fn is_running(pid: u32) -> bool {
    // "pid (name) S …": the name may contain anything, the state follows the last parenthesis.
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let is_zombie = stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']));
    !is_zombie || std::fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() > 1)
}

fn is_owned(pid: u32, owner: &Path) -> bool {
    read_environment(pid).is_ok_and(|environ| names(&environ, owner))
}

fn read_environment(pid: u32) -> std::io::Result<Vec<u8>> {
    std::fs::read(format!("/proc/{pid}/environ"))
}

fn names(environ: &[u8], owner: &Path) -> bool {
    let wanted = [MARKER.as_bytes(), b"=", owner.as_os_str().as_encoded_bytes()].concat();
    environ.split(|byte| *byte == 0).any(|entry| entry == wanted)
}

/// Like [`is_alive`] for a pid that was `owner`'s a moment ago: when it is dying it has no environment any more.
fn is_not_gone(pid: u32, owner: &Path) -> bool {
    let may_be_ours = || match read_environment(pid) {
        Ok(environ) => environ.is_empty() || names(&environ, owner),
        Err(error) => error.kind() != std::io::ErrorKind::PermissionDenied,
    };
    is_running(pid) && may_be_ours()
}

/// All daemons of `owner` that run, whatever is written about them elsewhere.
pub fn list_owned(owner: &Path) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| is_alive(*pid, owner))
        .collect()
}

/// Sends a signal; a process that is already gone is no error.
pub fn signal(pid: u32, signal: Signal) -> Result<()> {
    let target = Pid::from_raw(pid.try_into()?).with_context(|| format!("{pid} is no process id"))?;
    match rustix::process::kill_process(target, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot signal process {pid}")),
    }
}

/// Waits until the process is gone; `false` when it still runs after `limit`.
pub fn wait_gone(pid: u32, owner: &Path, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while is_not_gone(pid, owner) {
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(POLL);
    }
    true
}

/// SIGKILL, and waits until the process is gone.
pub fn kill(pid: u32, owner: &Path) -> Result<()> {
    if is_alive(pid, owner) {
        signal(pid, Signal::KILL)?;
    }
    if wait_gone(pid, owner, Duration::from_secs(10)) { Ok(()) } else { bail!("process {pid} survived SIGKILL") }
}

/// Asks the process to end with `polite`, and kills it when it has not after `limit` (which is an error).
pub fn stop(pid: u32, owner: &Path, polite: Signal, limit: Duration) -> Result<()> {
    if is_alive(pid, owner) {
        signal(pid, polite)?;
    }
    if wait_gone(pid, owner, limit) {
        return Ok(());
    }
    kill(pid, owner)?;
    bail!("process {pid} had not stopped after {} s and was killed", limit.as_secs())
}

/// Calls `probe` until it succeeds, the process dies, or `limit` passes.
pub fn wait_until_ready(
    what: &str,
    pid: u32,
    log: &Path,
    limit: Duration,
    mut probe: impl FnMut() -> bool,
) -> Result<()> {
    let end = Instant::now() + limit;
    loop {
        if probe() {
            return Ok(());
        }
        // Ours without a doubt, and while it executes its program it has no environment to know it by.
        if !is_running(pid) {
            bail!("{what} ended while starting; the end of {}:\n{}", log.display(), tail(log, 30));
        }
        if Instant::now() >= end {
            let waited = limit.as_secs();
            bail!("{what} was not ready after {waited} s; the end of {}:\n{}", log.display(), tail(log, 30));
        }
        thread::sleep(POLL);
    }
}

/// The last lines of a file, for error messages.
pub fn tail(path: &Path, lines: usize) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(64 * 1024)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = read().map_or_else(|error| format!("({error})"), |bytes| String::from_utf8_lossy(&bytes).into_owned());
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Allows this process, and so its children, as many open files as the system lets it.
pub fn raise_file_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Refused means: the old limit stays, which is enough for all but the largest tests.
    let _ = rustix::process::setrlimit(Resource::Nofile, raised);
}

/// Finds a program on the path or where Debian puts daemons.
pub fn find_program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("{name} is not installed (on Debian: apt-get install {name})"))
}
