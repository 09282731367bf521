//! A real SMTP server (`tests/clients/smtp`), and the mails that it has got.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use matrixon_testkit::ports;
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;

/// Longer than the lease of a mail that a killed process had taken.
const PATIENCE: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_millis(20);

pub(crate) struct Mailbox {
    directory: TempDir,
    port: u16,
    server: Mutex<Option<Child>>,
}

impl Mailbox {
    pub(crate) fn start() -> Result<Self> {
        let mailbox = Self { directory: tempfile::tempdir()?, port: ports::find_free()?, server: Mutex::new(None) };
        mailbox.open()?;
        Ok(mailbox)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Starts the server, on the same port as before.
    pub(crate) fn open(&self) -> Result<()> {
        let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap());
        let python = super::cache().join("smtp/bin/python");
        ensure!(python.is_file(), "{} is missing: run .ci/install", python.display());
        let mut server = Command::new(python)
            .arg(here.join("tests/clients/smtp/main.py"))
            .arg(self.port.to_string())
            .arg(self.directory.path())
            .arg(here.join("../gateway/testdata/first.crt"))
            .arg(here.join("../gateway/testdata/first.key"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(server.stdout.take().context("no output")?).read_line(&mut line)?;
        ensure!(line.trim() == "ready", "the SMTP server does not start: {line:?}");
        *self.server.lock() = Some(server);
        Ok(())
    }

    /// Nobody answers any more.
    pub(crate) fn close(&self) {
        if let Some(mut server) = self.server.lock().take() {
            let _dead = server.kill();
            let _reaped = server.wait();
        }
    }

    /// The mails to an address so far, in order.
    pub(crate) fn read(&self, address: &str) -> Result<Vec<Value>> {
        let mut paths: Vec<PathBuf> = fs::read_dir(self.directory.path())?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        paths.sort();
        let mut mails = Vec::new();
        for path in paths {
            let mail: Value = serde_json::from_slice(&fs::read(path)?)?;
            if mail["to"][0] == address {
                mails.push(mail);
            }
        }
        Ok(mails)
    }

    /// Waits until there are so many.
    pub(crate) async fn wait_for(&self, address: &str, count: usize) -> Result<Vec<Value>> {
        let started = Instant::now();
        loop {
            let mails = self.read(address)?;
            if mails.len() >= count {
                return Ok(mails);
            }
            if started.elapsed() > PATIENCE {
                bail!("{} of {count} mails to {address}", mails.len());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.close();
    }
}

/// The secret of the link in a mail.
#[track_caller]
pub(crate) fn token(mail: &Value) -> String {
    let text = mail["text"].as_str().unwrap_or_default();
    let link = text.split_whitespace().find(|word| word.starts_with("https://")).unwrap_or_default();
    let (path, token) = link.split_once("?token=").unwrap_or_default();
    assert_eq!(path, format!("https://matrix.example.org{}", super::CONFIRM), "{mail}");
    token.to_owned()
}
