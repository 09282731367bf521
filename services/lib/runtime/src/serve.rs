//! The one serving loop of every port: HTTP/1.1 and HTTP/2 by preface, graceful drain, bounded header reading, cheap idle connections.

mod accept;
mod connection;
mod request;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

pub use accept::{Accept, Plain};
use axum::{
    body::{Body, Bytes},
    http::{Request, Response},
};
use hyper::body::Incoming;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::shutdown::Shutdown;

/// How one port is served.
#[derive(Clone, Debug)]
pub struct ServeOptions<A = Plain> {
    /// What metrics call the port's owner.
    pub service: String,
    pub shutdown: Shutdown,
    /// TLS, or [`Plain`].
    pub acceptor: A,
    /// A connection that has not sent a request head within this time is closed; also how long an idle one is kept.
    pub header_timeout: Duration,
    /// More connections than this wait in the kernel's queue.
    pub max_connections: usize,
    /// Concurrent requests on one HTTP/2 connection.
    pub max_streams: u32,
    /// What one HTTP/2 stream may send before the service reads it, in bytes.
    pub stream_window: u32,
}

impl ServeOptions<Plain> {
    /// For ports that strangers reach.
    pub fn public(service: impl Into<String>, shutdown: Shutdown) -> Self {
        Self {
            service: service.into(),
            shutdown,
            acceptor: Plain,
            header_timeout: Duration::from_mins(2),
            max_connections: 250_000,
            max_streams: 250,
            stream_window: 256 * 1024,
        }
    }

    /// For ports that only other processes of the cluster reach: few connections with very many requests.
    pub fn cluster(service: impl Into<String>, shutdown: Shutdown) -> Self {
        let limits = Self::public(service, shutdown);
        Self { max_streams: 1 << 20, stream_window: 1024 * 1024, header_timeout: Duration::from_hours(1), ..limits }
    }
}

impl<A> ServeOptions<A> {
    /// The same with another acceptor.
    pub fn acceptor<B>(self, acceptor: B) -> ServeOptions<B> {
        ServeOptions {
            service: self.service,
            shutdown: self.shutdown,
            acceptor,
            header_timeout: self.header_timeout,
            max_connections: self.max_connections,
            max_streams: self.max_streams,
            stream_window: self.stream_window,
        }
    }
}

/// What can be served: an `axum::Router`, or any cheap-to-clone service with the same types.
pub trait HttpService:
    Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> HttpService for S where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Serves until the process has stopped. Every request carries the peer's address as `axum::extract::ConnectInfo<SocketAddr>`.
pub async fn run<S: HttpService, A: Accept>(listener: TcpListener, service: S, options: ServeOptions<A>) {
    let connections = TaskTracker::new();
    let permits = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
    let port = Arc::new(connection::Port::new(&options));
    let accepting = async {
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let Some((stream, remote)) = accept(&listener).await else { continue };
            let (service, port) = (service.clone(), Arc::clone(&port));
            let acceptor = options.acceptor.clone();
            connections.spawn(async move {
                let _permit = permit;
                connection::serve(stream, remote, acceptor, service, &port).await;
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        () = options.shutdown.wait_closing() => {}
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok((stream, remote)) => {
            // Without it small answers wait for the peer's delayed acknowledgement; a socket that refuses is closing.
            let _closing = stream.set_nodelay(true);
            Some((stream, remote))
        }
        Err(error) => {
            if !is_of_one_connection(&error) {
                tracing::warn!(%error, "cannot accept connections");
                // Out of descriptors, most likely: trying again at once would only burn CPU.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            None
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The body type of every served response.
pub type ResponseBody = request::Tracked<Body>;
/// The data type of every served body.
pub type Data = Bytes;
