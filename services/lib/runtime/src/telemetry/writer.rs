//! The thread that writes log lines. The queue is bounded: when it is full, lines are dropped and counted, as are those that
//! cannot be written.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use tracing_subscriber::fmt::MakeWriter;

use crate::metrics;

const QUEUE_LINES: usize = 8_192;
/// Between two batches the thread sleeps instead of waiting on the queue, so that a line costs its sender no wake-up call.
const BATCH_EVERY: Duration = Duration::from_millis(5);
const BATCH_BYTES: usize = 64 * 1024;
/// What the last lines may take: whoever reads them may have stopped without going away.
const FAREWELL: Duration = Duration::from_secs(2);

enum Message {
    Line(Box<[u8]>),
    Finish,
}

#[derive(Clone)]
pub(super) struct LineWriter {
    lines: SyncSender<Message>,
    dropped: metrics::IntCounter,
}

/// Dropping it ends the thread after the last line.
pub(super) struct WriterGuard {
    lines: SyncSender<Message>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
}

pub(super) fn start() -> (LineWriter, WriterGuard) {
    let help = "Log lines that were dropped because the queue was full, or could not be written.";
    let dropped = metrics::counter("log_lines_dropped_total", help, &[]).with_label_values::<&str>(&[]);
    start_on(io::stderr(), dropped)
}

fn start_on(mut out: impl Write + Send + 'static, dropped: metrics::IntCounter) -> (LineWriter, WriterGuard) {
    let (lines, queue) = sync_channel(QUEUE_LINES);
    let (end, ended) = sync_channel(0);
    let lost = dropped.clone();
    let write = move || {
        write_lines(&queue, &mut out, &lost);
        drop(end);
    };
    // Without a thread there is no queue either, and every line counts as dropped.
    let _thread = thread::Builder::new().name("log-writer".to_owned()).stack_size(128 * 1024).spawn(write);
    (LineWriter { lines: lines.clone(), dropped }, WriterGuard { lines, ended })
}

fn write_lines(queue: &Receiver<Message>, out: &mut impl Write, lost: &metrics::IntCounter) {
    let mut batch = Vec::new();
    while let Ok(message) = queue.recv() {
        let mut next = Ok(message);
        let mut lines = 0;
        let finished = loop {
            match next {
                Ok(Message::Line(line)) => {
                    batch.extend_from_slice(&line);
                    lines += 1;
                }
                Ok(Message::Finish) | Err(TryRecvError::Disconnected) => break true,
                Err(TryRecvError::Empty) => break false,
            }
            if batch.len() >= BATCH_BYTES {
                break false;
            }
            next = queue.try_recv();
        };
        if out.write_all(&batch).and_then(|()| out.flush()).is_err() {
            lost.inc_by(lines);
        }
        batch.clear();
        if finished {
            return;
        }
        thread::sleep(BATCH_EVERY);
    }
}

impl Drop for WriterGuard {
    fn drop(&mut self) {
        let end = Instant::now() + FAREWELL;
        // The queue may be full, and these last lines matter most.
        while let Err(TrySendError::Full(_)) = self.lines.try_send(Message::Finish) {
            if Instant::now() >= end {
                return;
            }
            thread::sleep(BATCH_EVERY);
        }
        let _ended_or_late = self.ended.recv_timeout(end.saturating_duration_since(Instant::now()));
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &LineWriter {
    /// The subscriber writes every event in one piece.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Message::Line(line.into())).is_err() {
            self.dropped.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::unix::net::UnixStream};

    use super::*;

    fn counter(name: &'static str) -> metrics::IntCounter {
        metrics::counter(name, "Test.", &[]).with_label_values::<&str>(&[])
    }

    #[test]
    fn lines_are_written_in_order_up_to_the_end() {
        let (out, mut reader) = UnixStream::pair().unwrap();
        let (writer, guard) = start_on(out, counter("test_written_total"));
        for line in ["a\n", "b\n"] {
            (&writer).write_all(line.as_bytes()).unwrap();
        }
        drop(guard);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\nb\n");
    }

    #[test]
    fn lines_that_nobody_takes_are_counted() {
        let (out, reader) = UnixStream::pair().unwrap();
        drop(reader);
        let dropped = counter("test_untaken_total");
        let (writer, guard) = start_on(out, dropped.clone());
        (&writer).write_all(b"a\n").unwrap();
        (&writer).write_all(b"b\n").unwrap();
        drop(guard);
        assert_eq!(dropped.get(), 2);
    }

    /// As when a terminal is stopped or a pipe is full.
    #[test]
    fn a_reader_that_stops_does_not_keep_the_process() {
        let (out, reader) = UnixStream::pair().unwrap();
        let (writer, guard) = start_on(out, counter("test_stuck_total"));
        for _ in 0..2 * QUEUE_LINES {
            (&writer).write_all(&[b'x'; 1_024]).unwrap();
        }
        drop(guard);
        drop(reader);
    }

    #[test]
    fn a_full_queue_drops_instead_of_waiting() {
        let (lines, _queue) = sync_channel(1);
        let dropped = counter("test_dropped_total");
        let writer = LineWriter { lines, dropped: dropped.clone() };
        for _ in 0..3 {
            (&writer).write_all(b"line\n").unwrap();
        }
        assert_eq!(dropped.get(), 2);
    }
}
