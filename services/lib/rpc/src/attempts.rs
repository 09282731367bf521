//! The attempts of one call to the replicas of a role.

use std::{error::Error as _, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body as _;
use tokio::time::Instant;
use tonic::body::Body;

use crate::{
    RpcError,
    body::{Gathered, Patience, Whole, gather},
    call::{Call, UNARY_LIMIT, collect},
    metrics,
    replica::{BodyLost, Failure, Kind, Replica, members::Members},
    request::{AffinityKey, DRAINING},
};

const ATTEMPTS: usize = 3;

/// What is sent: again and again, or once.
enum Payload {
    Replay(Whole),
    Once(Option<Body>),
}

struct Attempts {
    parts: Parts,
    payload: Payload,
    idempotent: bool,
    made: usize,
    /// The first retry after a replica went away costs nothing: all that was in flight to a dead replica must go elsewhere,
    /// however much that is, and no call can do so twice.
    free_retry: bool,
}

enum Outcome {
    Answer(Response<Body>),
    /// An answer that says only that the replica goes away.
    Draining(Response<Body>),
    Failed(Failure),
}

pub(crate) async fn run(members: &Members, call: Call) -> Result<Response<Body>, RpcError> {
    let Call { role, request, deadline, is_grpc, idempotent, collect } = call;
    let key = request.extensions().get::<AffinityKey>().map(|key| key.0);
    let mut attempts = Attempts::new(request, is_grpc, idempotent).await?;
    let mut tried: Vec<Arc<Replica>> = Vec::new();
    let mut reason = "none is ready".to_owned();
    members.budget.deposit();
    loop {
        let patience = Instant::now() + members.timing.patience;
        let until = deadline.map_or(patience, |deadline| deadline.min(patience));
        let Some(replica) = members.choose(key, &tried, until).await else {
            return Err(RpcError::Unavailable { role, reason });
        };
        let outcome = attempt(&replica, attempts.next(), collect).await;
        let (failure, answer) = match outcome {
            Outcome::Answer(response) => return Ok(response),
            Outcome::Draining(response) => (Failure::new(Kind::Draining, "the replica is draining"), Some(response)),
            Outcome::Failed(failure) => (failure, None),
        };
        let Failure { kind, source, unsent } = failure;
        attempts.restore(unsent);
        let again = attempts.may_repeat(kind, members);
        metrics::failed_attempt(role, kind.as_str(), again);
        tracing::debug!(%role, replica = %replica.name, kind = kind.as_str(), error = %source, again, "attempt failed");
        if !again {
            return match answer {
                Some(response) => Ok(response),
                None => Err(given_up(role, &replica, kind, source)),
            };
        }
        reason = format!("{}: {source}", replica.name);
        tried.push(replica);
    }
}

async fn attempt(replica: &Arc<Replica>, request: Request<Body>, limit: Option<usize>) -> Outcome {
    let response = match replica.send(request).await {
        Ok(response) => response,
        Err(failure) => return Outcome::Failed(failure),
    };
    if response.headers().get(DRAINING).is_some_and(|value| value == "1") {
        replica.suspect(crate::ReplicaState::Draining);
        return Outcome::Draining(response);
    }
    let Some(limit) = limit else { return Outcome::Answer(response) };
    match collect(response, limit).await {
        Ok(response) => Outcome::Answer(response),
        Err(status) => {
            let lost = status.source().and_then(|source| source.downcast_ref::<BodyLost>());
            let kind = match lost.map(|lost| lost.kind) {
                // It answered, so it has done something.
                Some(Kind::Reset) => Kind::Reset,
                _ => Kind::Lost,
            };
            Outcome::Failed(Failure::new(kind, status))
        }
    }
}

impl Attempts {
    async fn new(request: Request<Body>, is_grpc: bool, idempotent: bool) -> Result<Self, RpcError> {
        let (parts, body) = request.into_parts();
        let is_bounded = body.size_hint().upper().is_some_and(|upper| upper <= UNARY_LIMIT as u64);
        let payload = if is_bounded || is_grpc {
            // A gRPC body does not say whether it is one message or a stream: what is there at once is a message.
            let patience = if is_bounded && idempotent { Patience::Wait } else { Patience::Immediate };
            match gather(body, UNARY_LIMIT, patience).await {
                Ok(Gathered::Whole(whole)) => Payload::Replay(whole),
                Ok(Gathered::Open(body)) => Payload::Once(Some(body)),
                Err(status) => return Err(RpcError::RequestBody(Arc::new(status))),
            }
        } else {
            Payload::Once(Some(body))
        };
        Ok(Self { parts, payload, idempotent, made: 0, free_retry: true })
    }

    fn next(&mut self) -> Request<Body> {
        self.made += 1;
        let body = match &mut self.payload {
            Payload::Replay(whole) => whole.clone().into_body(),
            Payload::Once(body) => {
                body.take().unwrap_or_else(|| Whole { data: Bytes::new(), trailers: None }.into_body())
            }
        };
        Request::from_parts(self.parts.clone(), body)
    }

    /// A request of which nothing was sent can be sent, even if only once.
    fn restore(&mut self, unsent: Option<Box<Request<Body>>>) {
        if let (Payload::Once(body), Some(request)) = (&mut self.payload, unsent) {
            *body = Some(request.into_body());
        }
    }

    fn may_repeat(&mut self, kind: Kind, members: &Members) -> bool {
        let has_body = !matches!(self.payload, Payload::Once(None));
        if self.made >= ATTEMPTS || !has_body || !(self.idempotent || kind.is_untouched()) {
            return false;
        }
        let replica_is_gone = !matches!(kind, Kind::Reset | Kind::Overloaded);
        if replica_is_gone && std::mem::take(&mut self.free_retry) {
            return true;
        }
        members.budget.withdraw()
    }
}

fn given_up(
    role: matrixon_runtime::role::Role,
    replica: &Replica,
    kind: Kind,
    source: Arc<dyn std::error::Error + Send + Sync>,
) -> RpcError {
    if kind.is_untouched() {
        return RpcError::Unavailable { role, reason: format!("{}: {source}", replica.name) };
    }
    RpcError::ConnectionLost { role, replica: replica.name.clone(), source }
}
