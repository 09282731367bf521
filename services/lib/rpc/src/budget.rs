//! Retry budget of one role: retries may add a fifth to the traffic (and ten a second), so that they cannot feed an overload.

use parking_lot::Mutex;
use tokio::time::Instant;

const SHARE: f64 = 0.2;
const PER_SECOND: f64 = 10.0;
const MOST: f64 = 1000.0;

pub(crate) struct Budget(Mutex<State>);

struct State {
    tokens: f64,
    filled: Instant,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State { tokens: PER_SECOND, filled: Instant::now() }))
    }

    /// A call came in.
    pub(crate) fn deposit(&self) {
        let mut state = self.0.lock();
        state.tokens = (state.tokens + SHARE).min(MOST);
    }

    /// May one more retry be made?
    pub(crate) fn withdraw(&self) -> bool {
        let mut state = self.0.lock();
        let now = Instant::now();
        let earned = now.duration_since(state.filled).as_secs_f64() * PER_SECOND;
        // Time alone never saves up more than a second's worth.
        state.tokens = state.tokens.max((state.tokens + earned).min(PER_SECOND));
        state.filled = now;
        if state.tokens < 1.0 {
            return false;
        }
        state.tokens -= 1.0;
        true
    }
}
