//! The one way to call, wherever the callee is.

use std::{
    future::Future,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use matrixon_rpc::IDEMPOTENCY_KEY;
use matrixon_runtime::random;
use matrixon_store::Db;
use tonic::{Request, Response, Status, metadata::MetadataValue};

use super::{
    local,
    remote::{self, Transport},
};
use crate::{
    cli::AdminArgs,
    failure::{Failure, Fault},
};

/// How long a command tries again: when nobody can be reached, and when somebody was and did not answer.
const PATIENCE_TO_CONNECT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(40);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(crate) struct Connection {
    transport: Transport,
    /// For messages.
    place: String,
    /// Where the callee is in this process.
    db: Option<Db>,
}

impl Connection {
    pub(crate) async fn open(path: Option<&Path>, args: &AdminArgs) -> Result<Self> {
        if let Some(url) = &args.server {
            let transport = remote::connect(url, &remote::read_token(args)?, args.ca_file.as_deref())?;
            return Ok(Self { transport, place: url.clone(), db: None });
        }
        let (transport, db) = local::open(path).await?;
        Ok(Self { transport, place: "the database".to_owned(), db: Some(db) })
    }

    /// Calls until there is an answer, or patience ends. Every attempt has the same idempotency key: what one of them did, the
    /// next finds done.
    pub(crate) async fn call<Q, R, Fut>(
        &self,
        request: Q,
        send: impl Fn(Transport, Request<Q>) -> Fut,
    ) -> Result<R, Failure>
    where
        Q: Clone,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        let key = random::id(22);
        let (started, mut pause, mut maybe_done) = (Instant::now(), FIRST_PAUSE, false);
        loop {
            let mut attempt = Request::new(request.clone());
            if let Ok(key) = MetadataValue::try_from(&key) {
                attempt.metadata_mut().insert(IDEMPOTENCY_KEY, key);
            }
            attempt.set_timeout(ATTEMPT);
            let fault = match send(self.transport.clone(), attempt).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => Fault::new(status),
            };
            maybe_done |= !fault.untouched;
            let pause_now = pause.max(Duration::from_millis(fault.retry_after_ms)).min(LONGEST_PAUSE);
            let patience = if maybe_done { PATIENCE } else { PATIENCE_TO_CONNECT };
            if !fault.passing || started.elapsed() + pause_now > patience {
                return Err(fault.into_failure(&self.place, maybe_done));
            }
            tokio::time::sleep(pause_now).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    pub(crate) async fn close(&self) {
        if let Some(db) = &self.db {
            db.close().await;
        }
    }
}
