//! Where the one process of a data directory listens, for the commands on the same machine: `process.json` beside its database.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct RunFile {
    pub(crate) pid: u32,
    /// Its cluster port.
    pub(crate) cluster: String,
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("process.json")
}

/// Written when the process is ready, removed when the guard is dropped.
pub(crate) struct Written(PathBuf);

pub(crate) fn write(data_dir: &Path, cluster: &str) -> Result<Written> {
    let path = path(data_dir);
    let run = RunFile { pid: std::process::id(), cluster: cluster.to_owned() };
    fs::write(&path, serde_json::to_vec(&run)?).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Written(path))
}

impl Drop for Written {
    fn drop(&mut self) {
        // A file of a process that is gone is recognised by its pid.
        let _gone = fs::remove_file(&self.0);
    }
}

/// `None` when no process runs on the directory.
pub(crate) fn read(data_dir: &Path) -> Result<Option<RunFile>> {
    let path = path(data_dir);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let run: RunFile =
        serde_json::from_str(&text).with_context(|| format!("{} is damaged; delete it", path.display()))?;
    let pid = i32::try_from(run.pid).ok().and_then(Pid::from_raw);
    let alive = pid.is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH));
    Ok(Some(run).filter(|_| alive))
}
