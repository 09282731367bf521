//! Group commit: many appends, one transaction.

use std::{future::Future, sync::Arc};

use matrixon_runtime::query_stats::{self, Stats};
use tokio::sync::{mpsc, oneshot};
use tracing::{Instrument as _, Span};

use crate::{Db, StoreError, Tx};

/// One verdict an item: what it got, or why it dropped out.
pub type Verdicts<W> = Vec<Result<<W as StreamWriter>::Done, <W as StreamWriter>::Refusal>>;

/// Writes one stream (or several that always change together).
pub trait StreamWriter: Sized + Send + Sync + 'static {
    type Item: Send + Sync + 'static;
    /// What an accepted item gets back, such as its position.
    type Done: Send + Sync + 'static;
    /// Why an item drops out of its batch while its neighbours go on, such as "the room has moved on".
    type Refusal: Send + Sync + 'static;

    /// Called first in the transaction, to wait for what it must hold. What has queued up meanwhile joins the batch.
    fn prepare(&self, _tx: &mut Tx) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }

    /// Writes the items in the given order and returns one verdict an item. Takes positions by [`Tx::advance`]
    /// (or the same `update`) as its last step. An `Err` rolls everything back; unless the database is away, the items are then tried singly.
    fn write(
        &self,
        tx: &mut Tx,
        items: &[Self::Item],
    ) -> impl Future<Output = Result<Verdicts<Self>, StoreError>> + Send;

    /// Called after COMMIT and before the callers get their answers: ring the bell. Must not block.
    fn committed(&self, items: &[Self::Item], verdicts: &[Result<Self::Done, Self::Refusal>]);

    /// Rough size of an item, to bound a batch.
    fn bytes(&self, item: &Self::Item) -> usize;
}

#[derive(Debug, thiserror::Error)]
pub enum AppendError<R> {
    #[error("the append was refused")]
    Refused(R),
    /// Rolled back; or, when the connection was lost during COMMIT, unknown.
    #[error(transparent)]
    Store(Arc<StoreError>),
    #[error("the process is shutting down")]
    Closed,
}

/// Bounds of the queue and of one batch.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub queued_items: usize,
    pub batch_items: usize,
    pub batch_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queued_items: 4096, batch_items: 256, batch_bytes: 4 << 20 }
    }
}

type Outcome<W> = Result<<W as StreamWriter>::Done, AppendError<<W as StreamWriter>::Refusal>>;
/// With what the whole batch cost in the database, for the access log of each request in it.
type Reply<W> = oneshot::Sender<(Outcome<W>, Stats)>;

struct Queued<W: StreamWriter> {
    item: W::Item,
    waiter: Waiter<W>,
}

/// Who waits for the outcome, and on behalf of what.
struct Waiter<W: StreamWriter> {
    reply: Reply<W>,
    span: Span,
}

/// A handle on the queue of one writer. Its task ends, after what is queued, when the last handle is dropped.
pub struct Appender<W: StreamWriter> {
    queue: mpsc::Sender<Queued<W>>,
}

impl<W: StreamWriter> Clone for Appender<W> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

/// The outcome of an append that is already queued.
pub struct Pending<W: StreamWriter>(oneshot::Receiver<(Outcome<W>, Stats)>);

impl<W: StreamWriter> Pending<W> {
    pub async fn wait(self) -> Outcome<W> {
        let (outcome, stats) = self.0.await.unwrap_or((Err(AppendError::Closed), Stats::default()));
        query_stats::add(stats);
        outcome
    }
}

impl<W: StreamWriter> Appender<W> {
    pub fn spawn(db: Db, writer: W, limits: Limits) -> Self {
        let (queue, receiver) = mpsc::channel(limits.queued_items);
        tokio::spawn(Committer { db, writer, limits, receiver, carried: None }.run());
        Self { queue }
    }

    /// Appends and returns when it is committed (or refused).
    pub async fn append(&self, item: W::Item) -> Outcome<W> {
        self.enqueue(item).await?.wait().await
    }

    /// Takes a place in the queue; batches keep this order. Waits only while the queue is full.
    pub async fn enqueue(&self, item: W::Item) -> Result<Pending<W>, AppendError<W::Refusal>> {
        let (reply, receiver) = oneshot::channel();
        let waiter = Waiter { reply, span: Span::current() };
        self.queue.send(Queued { item, waiter }).await.map_err(|_| AppendError::Closed)?;
        Ok(Pending(receiver))
    }
}

struct Batch<W: StreamWriter> {
    items: Vec<W::Item>,
    waiters: Vec<Waiter<W>>,
    bytes: usize,
    /// Not when its items are tried singly.
    may_grow: bool,
}

impl<W: StreamWriter> Batch<W> {
    fn single(item: W::Item, waiter: Waiter<W>) -> Self {
        Self { items: vec![item], waiters: vec![waiter], bytes: 0, may_grow: false }
    }
}

struct Committer<W: StreamWriter> {
    db: Db,
    writer: W,
    limits: Limits,
    receiver: mpsc::Receiver<Queued<W>>,
    /// Did not fit in the last batch.
    carried: Option<Queued<W>>,
}

impl<W: StreamWriter> Committer<W> {
    async fn run(mut self) {
        while let Some(Queued { item, waiter }) = self.next().await {
            // The batch belongs to the trace of the request that began it, and is linked to the others in it.
            let span = tracing::info_span!(parent: &waiter.span, "db.commit", items = tracing::field::Empty);
            let batch = Batch { bytes: self.writer.bytes(&item), may_grow: true, ..Batch::single(item, waiter) };
            self.commit(batch).instrument(span).await;
        }
    }

    async fn next(&mut self) -> Option<Queued<W>> {
        match self.carried.take() {
            Some(queued) => Some(queued),
            None => self.receiver.recv().await,
        }
    }

    /// Adds what has queued up, within the limits.
    fn fill(&mut self, batch: &mut Batch<W>) {
        while batch.may_grow && self.carried.is_none() && batch.items.len() < self.limits.batch_items {
            let Ok(next) = self.receiver.try_recv() else { break };
            batch.bytes += self.writer.bytes(&next.item);
            if batch.bytes > self.limits.batch_bytes {
                self.carried = Some(next);
                break;
            }
            batch.items.push(next.item);
            batch.waiters.push(next.waiter);
        }
    }

    async fn commit(&mut self, mut batch: Batch<W>) {
        let (result, stats) = query_stats::scope(self.transact(&mut batch)).await;
        let Batch { items, waiters, may_grow, .. } = batch;
        if may_grow {
            let span = Span::current();
            span.record("items", items.len());
            for other in waiters.iter().skip(1) {
                span.follows_from(&other.span);
            }
        }
        match result {
            Ok(verdicts) => {
                self.writer.committed(&items, &verdicts);
                for (waiter, verdict) in waiters.into_iter().zip(verdicts) {
                    // nobody waits any more: committed all the same
                    let _gone = waiter.reply.send((verdict.map_err(AppendError::Refused), stats));
                }
            }
            Err(Failure { error, begun: true }) if items.len() > 1 && !error.is_unavailable() => {
                tracing::warn!(items = items.len(), error = %error, "batch refused by the database, trying its items singly");
                for (item, waiter) in items.into_iter().zip(waiters) {
                    Box::pin(self.commit(Batch::single(item, waiter))).await;
                }
            }
            Err(Failure { error, .. }) => {
                let error = Arc::new(error);
                for waiter in waiters {
                    let _gone = waiter.reply.send((Err(AppendError::Store(Arc::clone(&error))), stats));
                }
            }
        }
    }

    async fn transact(&mut self, batch: &mut Batch<W>) -> Result<Verdicts<W>, Failure> {
        let mut tries = 0;
        loop {
            match self.try_transact(batch).await {
                Err(Failure { error: StoreError::Retry(reason), .. }) if tries < 5 => {
                    tries += 1;
                    tracing::debug!(tries, reason, "transaction runs again");
                }
                result => return result,
            }
        }
    }

    async fn try_transact(&mut self, batch: &mut Batch<W>) -> Result<Verdicts<W>, Failure> {
        let failure = |error| Failure { error, begun: true };
        self.fill(batch);
        let mut tx = self.db.begin().await.map_err(|error| Failure { error, begun: false })?;
        self.writer.prepare(&mut tx).await.map_err(failure)?;
        self.fill(batch);
        let verdicts = self.writer.write(&mut tx, &batch.items).await.map_err(failure)?;
        debug_assert_eq!(verdicts.len(), batch.items.len(), "one verdict an item");
        if verdicts.iter().all(Result::is_err) {
            // nothing to keep, so no fsync to pay for; a failed rollback is a dropped connection, which rolls back too
            if let Err(error) = tx.rollback().await {
                tracing::debug!(%error, "rollback failed");
            }
            return Ok(verdicts);
        }
        // A lost connection here means unknown. Running it again could append twice, so it is reported, not retried.
        tx.commit().await.map_err(|error| failure(unknown(error)))?;
        Ok(verdicts)
    }
}

struct Failure {
    error: StoreError,
    begun: bool,
}

/// Only a definite answer of the database says that a COMMIT did not happen.
fn unknown(error: StoreError) -> StoreError {
    match error {
        StoreError::Other(error) => StoreError::Unavailable(format!("commit: {error}")),
        error => error,
    }
}
