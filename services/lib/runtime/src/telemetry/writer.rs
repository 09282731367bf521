//! The thread that writes log lines. The queue is bounded: when it is full, lines are dropped and counted.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

use crate::metrics;

const QUEUE_LINES: usize = 8_192;
/// Between two batches the thread sleeps instead of waiting on the queue, so that a line costs its sender no wake-up call.
const BATCH_EVERY: Duration = Duration::from_millis(5);
const BATCH_BYTES: usize = 64 * 1024;

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
    thread: Option<thread::JoinHandle<()>>,
}

pub(super) fn start() -> (LineWriter, WriterGuard) {
    let (lines, queue) = sync_channel(QUEUE_LINES);
    let dropped = metrics::counter("log_lines_dropped_total", "Log lines dropped because the queue was full.", &[])
        .with_label_values::<&str>(&[]);
    let thread = thread::Builder::new()
        .name("log-writer".to_owned())
        .stack_size(128 * 1024)
        .spawn(move || write_lines(&queue, &mut io::stderr()))
        .ok();
    (LineWriter { lines: lines.clone(), dropped }, WriterGuard { lines, thread })
}

fn write_lines(queue: &Receiver<Message>, out: &mut impl Write) {
    let mut batch = Vec::new();
    while let Ok(message) = queue.recv() {
        let mut next = Ok(message);
        let finished = loop {
            match next {
                Ok(Message::Line(line)) => batch.extend_from_slice(&line),
                Ok(Message::Finish) | Err(TryRecvError::Disconnected) => break true,
                Err(TryRecvError::Empty) => break false,
            }
            if batch.len() >= BATCH_BYTES {
                break false;
            }
            next = queue.try_recv();
        };
        // When nobody reads stderr there is no place left to say so.
        let _nobody_reads = out.write_all(&batch).and_then(|()| out.flush());
        batch.clear();
        if finished {
            return;
        }
        thread::sleep(BATCH_EVERY);
    }
}

impl Drop for WriterGuard {
    fn drop(&mut self) {
        // A blocking send: the queue may be full, and these last lines matter most.
        if self.lines.send(Message::Finish).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _panicked = thread.join();
        }
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
    use super::*;

    #[test]
    fn lines_are_written_in_order_up_to_the_end() {
        let (lines, queue) = sync_channel(16);
        for line in ["a\n", "b\n"] {
            lines.send(Message::Line(line.as_bytes().into())).unwrap();
        }
        lines.send(Message::Finish).unwrap();
        let mut out = Vec::new();
        write_lines(&queue, &mut out);
        assert_eq!(out, b"a\nb\n");
    }

    #[test]
    fn a_full_queue_drops_instead_of_waiting() {
        let (lines, _queue) = sync_channel(1);
        let dropped = metrics::counter("test_dropped_total", "Test.", &[]).with_label_values::<&str>(&[]);
        let writer = LineWriter { lines, dropped: dropped.clone() };
        for _ in 0..3 {
            (&writer).write_all(b"line\n").unwrap();
        }
        assert_eq!(dropped.get(), 2);
    }
}
