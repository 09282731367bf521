//! `PostgreSQL`'s peculiarities: it refuses to run as root, needs `initdb`, and its workers outlive it.

use std::os::unix::process::CommandExt;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::process::{self, POLL};

/// Durable as in production; only memory and connections are larger than the defaults.
const SETTINGS: &str = "
# written by matrixon-testkit
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
shared_buffers = 256MB
fsync = on
synchronous_commit = on
full_page_writes = on
";

/// The program of the newest `PostgreSQL` that Debian's packages (or the path) offer, 15 preferred.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let preferred = Path::new("/usr/lib/postgresql/15/bin").join(name);
    if preferred.is_file() {
        return Ok(preferred);
    }
    let version = |path: &PathBuf| path.iter().nth(4).and_then(|name| name.to_str()?.parse::<u32>().ok()).unwrap_or(0);
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    installed
        .map(|entry| entry.path().join("bin").join(name))
        .filter(|path| path.is_file() && version(path) > 15)
        .max_by_key(version)
        .or_else(|| process::find_program(name).ok())
        .context("PostgreSQL 15 or later is not installed (on Debian: apt-get install postgresql-15)")
}

/// The account that `PostgreSQL` must run under: ours, or `postgres` when we are root.
pub(crate) fn user() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd")?;
    let line = accounts
        .lines()
        .find(|line| line.starts_with("postgres:"))
        .context("PostgreSQL does not run as root, and there is no user postgres (apt-get install postgresql-15)")?;
    let fields: Vec<&str> = line.split(':').collect();
    ensure!(fields.len() > 3, "/etc/passwd has a malformed line for postgres");
    Ok(Some((fields[2].parse()?, fields[3].parse()?)))
}

fn data(owner: &Path) -> PathBuf {
    owner.join("postgres")
}

/// Creates the data directory where there is none. Returns it.
pub(crate) fn prepare(owner: &Path) -> Result<PathBuf> {
    let data = data(owner);
    if data.join("PG_VERSION").is_file() {
        remove_stale_lock(owner, &data)?;
        return Ok(data);
    }
    let user = user()?;
    fs::create_dir_all(&data)?;
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700))?;
    if let Some((uid, gid)) = user {
        std::os::unix::fs::chown(&data, Some(uid), Some(gid))?;
        check_reachable(owner)?;
    }
    let mut initdb = Command::new(program("initdb")?);
    initdb.arg("-D").arg(&data).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
    if let Some((uid, gid)) = user {
        initdb.uid(uid).gid(gid);
    }
    succeed(initdb.current_dir("/"), "initdb")?;
    let file = data.join("postgresql.conf");
    let defaults = fs::read_to_string(&file)?;
    fs::write(&file, defaults + SETTINGS)?;
    Ok(data)
}

/// A killed postmaster leaves its pid behind, and a zombie of that pid looks alive to the next one.
fn remove_stale_lock(owner: &Path, data: &Path) -> Result<()> {
    let lock = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&lock) else { return Ok(()) };
    let pid = text.lines().next().and_then(|line| line.trim().parse().ok()).unwrap_or(0);
    if !process::is_alive(pid, owner) {
        wait_workers_gone(owner)?;
        fs::remove_file(&lock)?;
    }
    Ok(())
}

/// The user postgres must be able to enter every directory above its data.
fn check_reachable(owner: &Path) -> Result<()> {
    for directory in owner.ancestors() {
        let mode = fs::metadata(directory)?.permissions().mode();
        let shut = directory.display();
        ensure!(mode & 0o001 != 0, "the user postgres may not enter {shut}: choose a directory below /tmp");
    }
    Ok(())
}

pub(crate) fn is_ready(port: u16) -> bool {
    let Ok(program) = program("pg_isready") else { return false };
    let port = port.to_string();
    Command::new(program)
        .args(["-q", "-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-d", "postgres"])
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs one statement as the superuser; rows come back as lines of `|`-separated columns.
pub(crate) fn query(port: u16, database: &str, statement: &str) -> Result<String> {
    let port = port.to_string();
    let mut psql = Command::new(program("psql")?);
    psql.args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-d", database, "-X", "-q", "-t", "-A"]);
    psql.args(["-v", "ON_ERROR_STOP=1", "-c", statement]);
    let output = succeed(psql.current_dir("/"), "psql")?;
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// Creates a database unless it exists. Binary collation: the order of `SQLite`, and of bytes.
pub(crate) fn create_database(port: u16, name: &str) -> Result<()> {
    ensure!(
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
        "{name:?} is no name for a database"
    );
    let found = query(port, "postgres", &format!("select 1 from pg_database where datname = '{name}'"))?;
    if found.is_empty() {
        query(port, "postgres", &format!("create database \"{name}\""))?;
    }
    Ok(())
}

/// Workers notice the death of the postmaster by themselves; until then they hold the shared memory.
pub(crate) fn wait_workers_gone(owner: &Path) -> Result<()> {
    let data = data(owner);
    let end = Instant::now() + Duration::from_secs(30);
    while has_workers(&data) {
        if Instant::now() >= end {
            bail!("workers of the killed PostgreSQL in {} do not end", data.display());
        }
        thread::sleep(POLL);
    }
    Ok(())
}

fn has_workers(data: &Path) -> bool {
    let Ok(entries) = fs::read_dir("/proc") else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd == data)
            && fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim_end() == "postgres")
    })
}

fn succeed(command: &mut Command, what: &str) -> Result<Output> {
    let output = command.output().with_context(|| format!("cannot start {what}"))?;
    if !output.status.success() {
        bail!("{what} failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(output)
}
