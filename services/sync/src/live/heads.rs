//! "Where are the streams now?", asked of SQL once for everybody who wants to know at the same time.

use std::sync::atomic::{AtomicU64, Ordering};

use matrixon_store::{Db, StoreError, streams};
use tokio::sync::Mutex;

use crate::token::Token;

/// Callers share one query, but only one that *began after they arrived*: an answer that was already on its way may
/// miss what they have just been told is committed.
#[derive(Default)]
pub(crate) struct Refresher {
    arrived: AtomicU64,
    served: Mutex<Served>,
}

#[derive(Default)]
struct Served {
    /// Everybody who arrived with a ticket up to this may use `heads`.
    upto: u64,
    heads: Token,
}

impl Refresher {
    pub(crate) async fn heads(&self, db: &Db) -> Result<Token, StoreError> {
        let ticket = self.arrived.fetch_add(1, Ordering::AcqRel) + 1;
        let mut served = self.served.lock().await;
        if served.upto >= ticket {
            return Ok(served.heads);
        }
        let upto = self.arrived.load(Ordering::Acquire);
        served.heads = Token::at(streams::heads(db).await?);
        served.upto = upto;
        Ok(served.heads)
    }
}
