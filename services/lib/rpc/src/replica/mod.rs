//! One replica of a role: its state, its connections and the calls in flight to it.

mod connect;
mod failure;
mod lease;
pub(crate) mod members;
mod pool;
mod probe;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
};

pub(crate) use failure::{Failure, Kind};
use http::{Request, Response, Uri, uri::PathAndQuery};
pub(crate) use lease::BodyLost;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use self::{lease::LeasedBody, pool::Pool};
use crate::{Address, ReplicaState, ReplicaStatus, breaker::Breaker, select, timing::Timing};

pub(crate) struct Replica {
    pub(crate) address: Address,
    pub(crate) name: Arc<str>,
    /// Stands for the replica in rendezvous hashing; the same wherever the replica is known by the same address.
    pub(crate) seed: u64,
    pub(crate) breaker: Breaker,
    state: AtomicU8,
    /// Discovery says that it should get no new calls, whatever it answers itself.
    held: AtomicBool,
    in_flight: AtomicUsize,
    pool: Pool,
    /// Wakes the prober: something has gone wrong, look now.
    look: Notify,
    /// Wakes calls that wait for a replica.
    changed: watch::Sender<u64>,
    retired: CancellationToken,
    timing: Timing,
}

impl Replica {
    pub(crate) fn start(
        address: Address,
        changed: watch::Sender<u64>,
        stop: &CancellationToken,
        timing: Timing,
    ) -> Arc<Self> {
        let name: Arc<str> = address.to_string().into();
        let replica = Arc::new(Self {
            seed: select::stable_hash(name.as_bytes()),
            pool: Pool::new(address.clone(), timing),
            address,
            name,
            breaker: Breaker::default(),
            state: AtomicU8::new(to_byte(ReplicaState::Unknown)),
            held: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            look: Notify::new(),
            changed,
            retired: stop.child_token(),
            timing,
        });
        tokio::spawn(probe::run(replica.clone()));
        replica
    }

    /// It is not in the list any more: no new calls; those in flight finish.
    pub(crate) fn retire(&self) {
        self.retired.cancel();
    }

    pub(crate) fn state(&self) -> ReplicaState {
        match from_byte(self.state.load(Ordering::Acquire)) {
            ReplicaState::Ready if self.held.load(Ordering::Acquire) => ReplicaState::Draining,
            state => state,
        }
    }

    /// Whoever waits for a replica hears of it by the update of the list.
    pub(crate) fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Release);
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn status(&self) -> ReplicaStatus {
        ReplicaStatus {
            address: self.name.to_string(),
            state: self.state(),
            in_flight: self.in_flight(),
            connections: self.pool.len(),
        }
    }

    /// Something a call saw. The prober looks at once and has the last word.
    pub(crate) fn suspect(&self, state: ReplicaState) {
        self.set_state(state);
        self.look.notify_one();
    }

    fn set_state(&self, state: ReplicaState) {
        let before = from_byte(self.state.swap(to_byte(state), Ordering::AcqRel));
        if before == state {
            return;
        }
        tracing::debug!(replica = %self.name, ?before, ?state, "replica changed");
        if state == ReplicaState::Ready {
            // Whatever failed before has answered since.
            self.breaker.succeeded();
        }
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// One attempt. Times out only when a connection cannot be opened: how long to wait for an answer is the caller's choice.
    pub(crate) async fn send(self: &Arc<Self>, mut request: Request<Body>) -> Result<Response<Body>, Failure> {
        *request.uri_mut() = self.absolute(request.uri());
        *request.version_mut() = http::Version::HTTP_2;
        let lease = match lease::take(self) {
            Ok(lease) => lease,
            Err(error) => return Err(Failure::unsent(Kind::Overloaded, error, request)),
        };
        let sender = match lease.line.sender().await {
            Ok(sender) => sender,
            Err(error) => {
                self.note(Kind::Refused, &lease);
                return Err(Failure::unsent(Kind::Refused, error, request));
            }
        };
        let mut sender = sender.clone();
        match sender.try_send_request(request).await {
            Ok(response) => {
                self.breaker.succeeded();
                Ok(response.map(|body| LeasedBody::wrap(body, lease)))
            }
            Err(mut error) => {
                let unsent = error.take_message();
                let failure = Failure::of(error.into_error(), unsent);
                self.note(failure.kind, &lease);
                Err(failure)
            }
        }
    }

    /// Draws the conclusions of a failure: one per connection, however many calls were on it.
    fn note(&self, kind: Kind, lease: &lease::Lease) {
        match kind {
            Kind::Lost | Kind::Refused => {
                if lease.line.condemn() {
                    self.breaker.failed();
                    self.suspect(ReplicaState::Down);
                }
            }
            Kind::Reset => self.breaker.failed(),
            Kind::GoingAway => {
                lease.line.condemn();
                self.look.notify_one();
            }
            Kind::Draining | Kind::Overloaded => {}
        }
    }

    fn absolute(&self, uri: &Uri) -> Uri {
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Uri::builder()
            .scheme("http")
            .authority(&*self.name)
            .path_and_query(path)
            .build()
            .expect("an address is a valid authority")
    }
}

fn to_byte(state: ReplicaState) -> u8 {
    match state {
        ReplicaState::Unknown => 0,
        ReplicaState::Ready => 1,
        ReplicaState::Draining => 2,
        ReplicaState::Down => 3,
    }
}

fn from_byte(byte: u8) -> ReplicaState {
    match byte {
        0 => ReplicaState::Unknown,
        1 => ReplicaState::Ready,
        2 => ReplicaState::Draining,
        _ => ReplicaState::Down,
    }
}
