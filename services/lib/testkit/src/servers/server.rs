//! One server with its directory, its port and its end.

use std::{
    fs,
    ops::Deref,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::{Kind, postgres, tls::Wire};
use crate::{ports, process, watchdog::Watchdog};

/// A running (or stopped) server on a port of its own. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    wire: Wire,
    directory: PathBuf,
    port: u16,
    pid: Mutex<Option<u32>>,
    _watchdog: Watchdog,
    _temporary: Option<TempDir>,
}

impl Server {
    /// Starts a server with its data in `directory`, or in a temporary one that goes with it.
    fn launch(kind: Kind, directory: Option<&Path>) -> Result<Self> {
        Self::launch_over(Wire::Plain, kind, directory)
    }

    fn launch_over(wire: Wire, kind: Kind, directory: Option<&Path>) -> Result<Self> {
        process::raise_file_limit();
        let temporary = if directory.is_some() { None } else { Some(open_temporary(kind.as_str())?) };
        let directory = match (directory, &temporary) {
            (Some(given), _) => {
                fs::create_dir_all(given)?;
                given.canonicalize()?
            }
            (None, Some(temporary)) => temporary.path().canonicalize()?,
            (None, None) => unreachable!("one of the two is there"),
        };
        let watchdog = Watchdog::start(&directory, temporary.is_some())?;
        let port = ports::find_free()?;
        let pid = Mutex::new(None);
        let server = Self { kind, wire, directory, port, pid, _watchdog: watchdog, _temporary: temporary };
        server.start_again()?;
        Ok(server)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// For Redis and NATS the whole address; for `PostgreSQL` without a database name.
    pub fn url(&self) -> String {
        self.kind.url(self.wire, self.port)
    }

    /// `None` while stopped.
    pub fn pid(&self) -> Option<u32> {
        *self.lock()
    }

    pub fn log(&self) -> PathBuf {
        self.directory.join(format!("{}.log", self.kind.as_str()))
    }

    /// Starts the stopped or killed server again: same port; `PostgreSQL` with its data, the others empty.
    pub fn start_again(&self) -> Result<()> {
        let mut pid = self.lock();
        ensure!(pid.is_none(), "{} is already running", self.kind.as_str());
        *pid = Some(self.kind.start(self.wire, &self.directory, &self.log(), self.port)?);
        Ok(())
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&self) -> Result<()> {
        self.lock().take().map_or(Ok(()), |pid| self.kind.kill(pid, &self.directory))
    }

    /// Stops it in its orderly way, and waits until it is gone.
    pub fn stop(&self) -> Result<()> {
        self.lock().take().map_or(Ok(()), |pid| self.kind.stop(pid, &self.directory))
    }

    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        self.start_again()
    }

    fn lock(&self) -> MutexGuard<'_, Option<u32>> {
        self.pid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The directory of a temporary server follows (field order); a failure here is the watchdog's to mend.
        let _ = self.kill();
    }
}

/// Readable for the user postgres, whom a plain temporary directory would keep out.
pub(crate) fn open_temporary(what: &str) -> Result<TempDir> {
    let directory = tempfile::Builder::new().prefix(&format!("matrixon-{what}-")).tempdir()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}

/// A private `PostgreSQL`: fsync on, 300 connections, superuser `postgres` without a password.
#[derive(Debug)]
pub struct Postgres(Server);

impl Postgres {
    pub fn start() -> Result<Self> {
        Server::launch(Kind::Postgres, None).map(Self)
    }

    pub fn start_in(directory: &Path) -> Result<Self> {
        Server::launch(Kind::Postgres, Some(directory)).map(Self)
    }

    /// Creates the database unless it exists. Returns its URL.
    pub fn create_database(&self, name: &str) -> Result<String> {
        postgres::create_database(self.port, name)?;
        Ok(self.database_url(name))
    }

    pub fn database_url(&self, name: &str) -> String {
        format!("{}/{name}", self.url())
    }

    /// Runs a statement through `psql`; rows are lines, columns separated by `|`.
    pub fn query(&self, database: &str, statement: &str) -> Result<String> {
        postgres::query(self.port, database, statement)
    }
}

/// A private Redis without persistence: started again, it is empty.
#[derive(Debug)]
pub struct Redis(Server);

impl Redis {
    pub fn start() -> Result<Self> {
        Server::launch(Kind::Redis, None).map(Self)
    }

    pub fn start_in(directory: &Path) -> Result<Self> {
        Server::launch(Kind::Redis, Some(directory)).map(Self)
    }

    /// Speaks TLS and nothing else, with a certificate that [`AUTHORITY`](super::tls::AUTHORITY) signed.
    pub fn start_with_tls(directory: &Path) -> Result<Self> {
        Server::launch_over(Wire::Tls, Kind::Redis, Some(directory)).map(Self)
    }
}

/// A private NATS (core, no `JetStream`).
#[derive(Debug)]
pub struct Nats(Server);

impl Nats {
    pub fn start() -> Result<Self> {
        Server::launch(Kind::Nats, None).map(Self)
    }

    pub fn start_in(directory: &Path) -> Result<Self> {
        Server::launch(Kind::Nats, Some(directory)).map(Self)
    }

    /// Serves nobody without TLS; its certificate is signed by [`AUTHORITY`](super::tls::AUTHORITY).
    pub fn start_with_tls(directory: &Path) -> Result<Self> {
        Server::launch_over(Wire::Tls, Kind::Nats, Some(directory)).map(Self)
    }
}

macro_rules! is_a_server {
    ($($name:ty),*) => { $(
        impl Deref for $name {
            type Target = Server;

            fn deref(&self) -> &Server {
                &self.0
            }
        }
    )* };
}
is_a_server!(Postgres, Redis, Nats);
