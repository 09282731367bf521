//! Is a process ready? One plain HTTP request to its internal port, without an HTTP library.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use anyhow::Result;

use crate::process;

const START_LIMIT: Duration = Duration::from_mins(1);

/// Waits for 200 from `/readyz` on the internal port.
pub(crate) fn wait_ready(what: &str, pid: u32, internal_url: &str, log: &Path) -> Result<()> {
    let probe = || status(internal_url, "/readyz") == Some(200);
    process::wait_until_ready(what, pid, log, START_LIMIT, probe)
}

/// The status of `GET path`, if anybody answers.
pub(crate) fn status(url: &str, path: &str) -> Option<u16> {
    let host = url.strip_prefix("http://")?;
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&host.parse().ok()?, limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
    let mut line = [0; 12];
    stream.read_exact(&mut line).ok()?;
    std::str::from_utf8(&line[9..]).ok()?.parse().ok()
}
