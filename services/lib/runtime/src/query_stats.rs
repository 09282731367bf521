//! How many database queries a request made and how long they took: the access log prints both, which finds N+1 queries by itself.

use std::{cell::Cell, future::Future, time::Duration};

/// What one scope cost in the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub queries: u32,
    pub elapsed_us: u64,
}

tokio::task_local! {
    static STATS: Cell<Stats>;
}

/// Runs `future` and counts what it records; work it spawns on other tasks is not counted.
pub async fn scope<F: Future>(future: F) -> (F::Output, Stats) {
    STATS
        .scope(Cell::new(Stats::default()), async {
            let output = future.await;
            (output, STATS.with(Cell::get))
        })
        .await
}

/// Counts one query; outside a scope it does nothing.
pub fn record(elapsed: Duration) {
    add(Stats { queries: 1, elapsed_us: elapsed.as_micros() as u64 });
}

/// Adds what another process did on behalf of this scope.
pub fn add(more: Stats) {
    // Outside a scope there is nobody to tell, which is not an error.
    let _outside_a_scope = STATS.try_with(|stats| {
        let before = stats.get();
        stats.set(Stats { queries: before.queries + more.queries, elapsed_us: before.elapsed_us + more.elapsed_us });
    });
}

/// What the current scope cost so far.
pub fn current() -> Stats {
    STATS.try_with(Cell::get).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_scope_counts_its_own_queries_only() {
        record(Duration::from_millis(9));
        let (answer, stats) = scope(async {
            record(Duration::from_micros(40));
            record(Duration::from_micros(2));
            42
        })
        .await;
        assert_eq!((answer, stats), (42, Stats { queries: 2, elapsed_us: 42 }));
        assert_eq!(current(), Stats::default());
    }
}
