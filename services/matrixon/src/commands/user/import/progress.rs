//! One line on the terminal that says how far an import is.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use super::Counts;

const EVERY: Duration = Duration::from_millis(200);

pub(super) struct Progress {
    /// None: nobody looks.
    started: Option<Instant>,
    shown: Option<Instant>,
    /// Of the whole file, if that is known.
    bytes: Option<u64>,
}

impl Progress {
    pub(super) fn new(bytes: Option<u64>) -> Self {
        Self { started: io::stderr().is_terminal().then(Instant::now), shown: None, bytes }
    }

    pub(super) fn show(&mut self, counts: Counts, bytes_read: u64) {
        let Some(started) = self.started else { return };
        if self.shown.is_some_and(|shown| shown.elapsed() < EVERY) {
            return;
        }
        self.shown = Some(Instant::now());
        let line = describe(counts, self.bytes.map(|bytes| (bytes_read, bytes)), started.elapsed());
        let mut err = io::stderr().lock();
        // the terminal may be gone
        let _gone = write!(err, "\r\u{1b}[K{line}").and_then(|()| err.flush());
    }

    pub(super) fn end(&self) {
        if self.shown.is_some() {
            eprint!("\r\u{1b}[K");
        }
    }
}

fn describe(counts: Counts, bytes: Option<(u64, u64)>, elapsed: Duration) -> String {
    let rate = counts.rows as f64 / elapsed.as_secs_f64().max(0.001);
    let mut line = String::new();
    if let Some((read, all)) = bytes.filter(|(_, all)| *all > 0) {
        let share = (read as f64 / all as f64).min(1.0);
        let full = (share * 20.0) as usize;
        let left = elapsed.as_secs_f64() / share.max(0.000_001) - elapsed.as_secs_f64();
        line = format!("[{}{}] {:>3.0} %  {left:.0} s left  ", "#".repeat(full), " ".repeat(20 - full), share * 100.0);
    }
    format!("{line}{} rows, {rate:.0} a second, {} refused", counts.rows, counts.refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line() {
        let counts = Counts { rows: 500, created: 498, existing: 0, refused: 2 };
        let line = describe(counts, Some((50, 200)), Duration::from_secs(2));
        assert_eq!(line, "[#####               ]  25 %  6 s left  500 rows, 250 a second, 2 refused");
        assert_eq!(describe(counts, None, Duration::from_secs(2)), "500 rows, 250 a second, 2 refused");
    }
}
