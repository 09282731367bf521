//! A call in flight: it holds its place on a connection until the response body has ended or was dropped.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tonic::{Status, body::Body};

use super::{
    Kind, Replica,
    failure::kind_of,
    pool::{Line, PoolFull},
};

pub(super) struct Lease {
    pub(super) line: Arc<Line>,
    replica: Arc<Replica>,
}

pub(super) fn take(replica: &Arc<Replica>) -> Result<Lease, PoolFull> {
    let line = replica.pool.take()?;
    replica.in_flight.fetch_add(1, Ordering::Relaxed);
    Ok(Lease { line, replica: replica.clone() })
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.line.release();
        self.replica.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The loss of a connection in the middle of a body.
#[derive(Debug, thiserror::Error)]
#[error("the connection to {replica} was lost in the middle of a response: {source}")]
pub(crate) struct BodyLost {
    replica: Arc<str>,
    pub(crate) kind: Kind,
    source: hyper::Error,
}

pub(super) struct LeasedBody {
    body: Incoming,
    lease: Option<Lease>,
}

impl LeasedBody {
    pub(super) fn wrap(body: Incoming, lease: Lease) -> Body {
        let lease = if body.is_end_stream() { None } else { Some(lease) };
        Body::new(Self { body, lease })
    }

    fn lost(&mut self, source: hyper::Error) -> Status {
        let kind = kind_of(&source);
        let message = source.to_string();
        let mut status = Status::unavailable(format!("the response was cut: {message}"));
        if let Some(lease) = self.lease.take() {
            lease.replica.note(kind, &lease);
            status.set_source(Arc::new(BodyLost { replica: lease.replica.name.clone(), kind, source }));
        }
        status
    }
}

impl http_body::Body for LeasedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match polled {
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(self.lost(error)))),
            Poll::Ready(Some(Ok(frame))) => {
                if self.body.is_end_stream() {
                    self.lease = None;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.lease = None;
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
