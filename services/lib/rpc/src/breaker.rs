//! Circuit breaker of one replica: five failures in a row keep calls away for a second, then one call tries it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

const FAILURES: u32 = 5;
const OPEN_FOR: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// When calls may go there again; `None`: now.
    pub(crate) fn blocked_until(&self) -> Option<Instant> {
        self.0.lock().open_until.filter(|until| *until > Instant::now())
    }

    /// Called for the chosen replica. After an open period this is the one trial: others stay away for another period,
    /// unless its success closes the breaker before.
    pub(crate) fn enter(&self) {
        let mut state = self.0.lock();
        if state.open_until.is_some() {
            state.open_until = Some(Instant::now() + OPEN_FOR);
        }
    }

    pub(crate) fn succeeded(&self) {
        let mut state = self.0.lock();
        if state.failures != 0 || state.open_until.is_some() {
            *state = State::default();
        }
    }

    pub(crate) fn failed(&self) {
        let mut state = self.0.lock();
        state.failures += 1;
        if state.failures >= FAILURES {
            state.open_until = Some(Instant::now() + OPEN_FOR);
        }
    }
}
