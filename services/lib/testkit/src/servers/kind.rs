//! What differs between the three servers: their command line, their way to answer, their way to stop.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use super::{
    postgres,
    tls::{self, Wire},
};
use crate::process::{self, Daemon, Signal};

const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Program, arguments, and the account to run under.
type CommandLine = (PathBuf, Vec<String>, Option<(u32, u32)>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Postgres,
    Redis,
    Nats,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Postgres, Self::Redis, Self::Nats];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Nats => "nats",
        }
    }

    /// The address to give to clients; `PostgreSQL`'s without a database name.
    pub fn url(self, wire: Wire, port: u16) -> String {
        let before = match (self, wire) {
            (Self::Postgres, _) => "postgres://postgres@",
            (Self::Redis, Wire::Plain) => "redis://",
            (Self::Redis, Wire::Tls) => "rediss://",
            (Self::Nats, Wire::Plain) => "nats://",
            (Self::Nats, Wire::Tls) => "tls://",
        };
        format!("{before}127.0.0.1:{port}")
    }

    /// Starts the server with its data under `owner` and waits until it answers. Returns its pid.
    pub(crate) fn start(self, wire: Wire, owner: &Path, log: &Path, port: u16) -> Result<u32> {
        let (program, mut args, user) = self.command(owner, port)?;
        if wire == Wire::Tls {
            args.extend(tls::arguments(self, owner, port)?);
        }
        let pid = Daemon { program: &program, args: &args, owner, log, user }.spawn()?;
        let answers = || if (self, wire) == (Self::Redis, Wire::Tls) { tls::listens(port) } else { self.answers(port) };
        process::wait_until_ready(self.as_str(), pid, log, START_LIMIT, answers)?;
        Ok(pid)
    }

    fn command(self, owner: &Path, port: u16) -> Result<CommandLine> {
        let port = port.to_string();
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        Ok(match self {
            Self::Postgres => {
                let data = postgres::prepare(owner)?;
                let args = words(&["-D", &data.display().to_string(), "-p", &port]);
                (postgres::program("postgres")?, args, postgres::user()?)
            }
            Self::Redis => {
                let text = format!(
                    "--port {port} --bind 127.0.0.1 --save  --appendonly no --daemonize no --set-proc-title no --dir"
                );
                let mut args: Vec<String> = text.split(' ').map(ToOwned::to_owned).collect();
                args.push(owner.display().to_string());
                (process::find_program("redis-server")?, args, None)
            }
            Self::Nats => {
                let mut args = words(&["--addr", "127.0.0.1", "--port", &port]);
                let configuration = owner.join("nats.conf");
                if configuration.exists() {
                    args.extend(words(&["--config", &configuration.display().to_string()]));
                }
                (process::find_program("nats-server")?, args, None)
            }
        })
    }

    /// Does the server answer, in its own protocol?
    fn answers(self, port: u16) -> bool {
        match self {
            Self::Postgres => postgres::is_ready(port),
            Self::Redis => exchange(port, b"PING\r\n").is_some_and(|line| line.starts_with("+PONG")),
            Self::Nats => exchange(port, b"").is_some_and(|line| line.starts_with("INFO")),
        }
    }

    /// Ends the server in its orderly way.
    pub(crate) fn stop(self, pid: u32, owner: &Path) -> Result<()> {
        // PostgreSQL: SIGINT is the fast shutdown, SIGTERM would wait for every client to leave.
        let polite = if self == Self::Postgres { Signal::INT } else { Signal::TERM };
        process::stop(pid, owner, polite, STOP_LIMIT)
    }

    /// SIGKILL; for `PostgreSQL` also waits until its orphaned workers are gone, which would else
    /// keep the next one from starting.
    pub(crate) fn kill(self, pid: u32, owner: &Path) -> Result<()> {
        process::kill(pid, owner)?;
        if self == Self::Postgres {
            postgres::wait_workers_gone(owner)?;
        }
        Ok(())
    }
}

fn exchange(port: u16, question: &[u8]) -> Option<String> {
    let limit = Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    stream.write_all(question).ok()?;
    let mut line = String::new();
    BufReader::new(stream.take(64 * 1024)).read_line(&mut line).ok()?;
    Some(line)
}
