//! One request: counted while it is in flight, told about the drain, its body followed to the end.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::ConnectInfo,
    http::{HeaderValue, Request, Response, Version, header::CONNECTION},
};
use hyper::body::{Frame, Incoming, SizeHint};

use super::HttpService;
use crate::{
    metrics::IntCounter,
    shutdown::{Inflight, Shutdown},
};

/// `drained_requests_total` of the port's service.
#[derive(Clone)]
pub(super) struct Drained {
    pub(super) completed: IntCounter,
    pub(super) cut: IntCounter,
}

/// The hyper service of one connection.
pub(super) struct Requests<S> {
    service: S,
    remote: SocketAddr,
    shutdown: Shutdown,
    drained: Drained,
    seen: Seen,
}

/// Did the connection carry a request yet?
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<AtomicBool>);

impl Seen {
    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl<S> Requests<S> {
    pub(super) fn new(service: S, remote: SocketAddr, shutdown: Shutdown, drained: Drained) -> Self {
        Self { service, remote, shutdown, drained, seen: Seen::default() }
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen.clone()
    }
}

impl<S: HttpService> hyper::service::Service<Request<Incoming>> for Requests<S> {
    type Response = Response<Tracked<Body>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.seen.0.store(true, Ordering::Release);
        let mut in_flight = InFlight {
            ended: false,
            shutdown: self.shutdown.clone(),
            drained: self.drained.clone(),
            _guard: self.shutdown.track(),
        };
        request.extensions_mut().insert(ConnectInfo(self.remote));
        let http1 = request.version() <= Version::HTTP_11;
        let mut service = self.service.clone();
        Box::pin(async move {
            let answered = async {
                match std::future::poll_fn(|cx| service.poll_ready(cx)).await {
                    Ok(()) => service.call(request).await,
                    Err(never) => match never {},
                }
            };
            let mut response = match answered.await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            if http1 && in_flight.shutdown.draining() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            in_flight.ended = response.body().is_end_stream();
            Ok(response.map(|body| Tracked { body, in_flight }))
        })
    }
}

/// A request from its head to the last byte of its response.
struct InFlight {
    ended: bool,
    shutdown: Shutdown,
    drained: Drained,
    _guard: Inflight,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.shutdown.draining() {
            return;
        }
        if self.ended {
            self.drained.completed.inc();
        } else if self.shutdown.stopped() {
            self.drained.cut.inc();
        }
    }
}

/// A response body that knows when it has ended.
pub struct Tracked<B> {
    body: B,
    in_flight: InFlight,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Tracked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.in_flight.ended = true;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
