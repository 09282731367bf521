//! Ends daemons when the program that owns them is gone, however it went: a panic, `kill -9`, or a
//! `static` that is never dropped. A shell waits for the end of a pipe that only we hold open.

use std::{
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};

use crate::process::MARKER;

const SCRIPT: &str = r#"
while read -r line; do [ "$line" = done ] && exit 0; done
owned() { grep -lzFx -e "$1=$2" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3; }
pids=$(owned "$1" "$2"); [ -n "$pids" ] && kill -QUIT $pids 2>/dev/null && sleep 1
pids=$(owned "$1" "$2"); [ -n "$pids" ] && kill -KILL $pids 2>/dev/null
[ "$3" = remove ] && rm -rf -- "$2"
exit 0
"#;

#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// Watches over the daemons of `owner`; `remove`: the directory goes with them.
    pub(crate) fn start(owner: &Path, remove: bool) -> Result<Self> {
        let shell = Command::new("setsid")
            .args(["sh", "-c", SCRIPT, "watchdog", MARKER])
            .arg(owner)
            .arg(if remove { "remove" } else { "keep" })
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the watchdog")?;
        Ok(Self { shell })
    }
}

impl Drop for Watchdog {
    /// The owner has cleaned up itself.
    fn drop(&mut self) {
        if let Some(mut pipe) = self.shell.stdin.take() {
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.shell.wait();
    }
}
