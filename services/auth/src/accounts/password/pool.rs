//! Threads of their own for hashing. The scheduler gives way to everything else first, so that log-ins never make the
//! sends of others wait; the queue before them is bounded.

use std::{collections::VecDeque, io, sync::Arc, thread};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::hasher::Memory;
use crate::{config::PasswordConfig, error::AuthError};

/// A process that does everything still answers while all of them are busy.
const NICENESS: i32 = 10;

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

pub(super) struct Pool {
    shared: Arc<Shared>,
    most_waiting: usize,
}

struct Shared {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Pool {
    pub(super) fn start(config: &PasswordConfig) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = if config.concurrency == 0 { cores } else { config.concurrency };
        let shared = Arc::new(Shared { state: Mutex::default(), more: Condvar::new() });
        // made first: if a thread cannot start, the others end with it
        let pool = Self { shared: shared.clone(), most_waiting: config.queue.max(1) };
        for number in 0..threads {
            let shared = shared.clone();
            thread::Builder::new().name(format!("password-{number}")).spawn(move || work(&shared))?;
        }
        Ok(pool)
    }

    /// `M_LIMIT_EXCEEDED` ← too many are waiting already
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, AuthError> {
        let (answer, answered) = oneshot::channel();
        let job = move |memory: &mut Memory| {
            // who has gone away needs no answer
            if !answer.is_closed() {
                let _gone = answer.send(work(memory));
            }
        };
        {
            let mut state = self.shared.state.lock();
            if state.jobs.len() >= self.most_waiting {
                return Err(AuthError::Busy);
            }
            state.jobs.push_back(Box::new(job));
        }
        self.shared.more.notify_one();
        answered.await.map_err(|_| AuthError::Internal("a password thread has died".to_owned()))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.more.notify_all();
    }
}

fn work(shared: &Shared) {
    // of this thread alone; where it is not allowed hashing competes with the rest
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "password threads run at normal priority");
    }
    let mut memory = Memory::new();
    while let Some(job) = next(shared, &mut memory) {
        let run = std::panic::AssertUnwindSafe(|| job(&mut memory));
        if std::panic::catch_unwind(run).is_err() {
            tracing::error!("a password could not be hashed: the thread panicked");
        }
    }
}

fn next(shared: &Shared, memory: &mut Memory) -> Option<Job> {
    let mut state = shared.state.lock();
    loop {
        if let Some(job) = state.jobs.pop_front() {
            return Some(job);
        }
        if state.closed {
            return None;
        }
        // nothing to do: 19 MiB a thread are worth more elsewhere
        *memory = Memory::new();
        shared.more.wait(&mut state);
    }
}
