//! One connection, from the handshake to its graceful end.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::net::TcpStream;

use super::{
    Accept, HttpService, ServeOptions,
    request::{Drained, Requests, Seen},
};
use crate::{
    metrics::{IntGauge, counter, gauge},
    shutdown::Shutdown,
};

/// Dead peers behind a NAT are noticed by HTTP/2 pings.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What all connections of a port share.
pub(super) struct Port {
    builder: auto::Builder<TokioExecutor>,
    shutdown: Shutdown,
    first_request_within: Duration,
    open: IntGauge,
    pub(super) drained: Drained,
}

/// Long filters travel in the query; the gateway refuses longer paths with a proper error.
const MAX_HEADER_BYTES: u32 = 128 << 10;

impl Port {
    pub(super) fn new<A>(options: &ServeOptions<A>) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(options.header_timeout);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_header_list_size(MAX_HEADER_BYTES)
            .max_concurrent_streams(options.max_streams)
            .initial_stream_window_size(options.stream_window)
            .initial_connection_window_size(options.stream_window.saturating_mul(8));
        let drained = counter("drained_requests_total", "Requests in flight while draining.", &["service", "result"]);
        Self {
            builder,
            shutdown: options.shutdown.clone(),
            first_request_within: options.header_timeout.min(Duration::from_secs(30)),
            open: gauge("http_connections", "Open connections.", &["service"]).with_label_values(&[&options.service]),
            drained: Drained {
                completed: drained.with_label_values(&[options.service.as_str(), "completed"]),
                cut: drained.with_label_values(&[options.service.as_str(), "cut"]),
            },
        }
    }
}

pub(super) async fn serve<S: HttpService, A: Accept>(
    stream: TcpStream,
    remote: SocketAddr,
    acceptor: A,
    service: S,
    port: &Arc<Port>,
) {
    let handshake = tokio::time::timeout(port.first_request_within, acceptor.accept(stream));
    let stream = tokio::select! {
        accepted = handshake => match accepted {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, %remote, "handshake failed"),
            Err(_elapsed) => return tracing::debug!(%remote, "handshake took too long"),
        },
        () = port.shutdown.wait_stopped() => return,
    };
    port.open.inc();
    serve_stream(TokioIo::new(stream), remote, service, port).await;
    port.open.dec();
}

async fn serve_stream<S, I>(io: TokioIo<I>, remote: SocketAddr, service: S, port: &Arc<Port>)
where
    S: HttpService,
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let requests = Requests::new(service, remote, port.shutdown.clone(), port.drained.clone());
    let seen = requests.seen();
    let mut connection = pin!(port.builder.serve_connection(io, requests));
    let ended = tokio::select! {
        outcome = connection.as_mut() => Some(outcome),
        () = port.shutdown.wait_closing() => None,
        () = silent(seen, port.first_request_within) => return,
    };
    let outcome = if let Some(outcome) = ended {
        outcome
    } else {
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            outcome = connection => outcome,
            () = port.shutdown.wait_stopped() => return,
        }
    };
    if let Err(error) = outcome {
        // Peers go away at any time; what matters is counted by request.
        tracing::debug!(error, %remote, "connection ended");
    }
}

/// Returns when the connection asked for nothing within the time, whatever its protocol.
async fn silent(seen: Seen, within: Duration) {
    tokio::time::sleep(within).await;
    if seen.any() {
        std::future::pending::<()>().await;
    }
}
