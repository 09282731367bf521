//! Responses that must arrive whole.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tonic::body::Body;
use tower::{Service, ServiceExt};

use crate::{Rpc, RpcError, body::Whole, request::CollectResponse};

/// The body of a response from [`call_buffered`].
#[derive(Debug)]
pub enum Buffered {
    Whole {
        data: Bytes,
        trailers: Option<HeaderMap>,
    },
    /// The body is longer than the limit: the rest comes as it arrives, and a loss in the middle of it is an error of the body.
    Streaming(Body),
}

/// Calls, and collects the response body up to `limit` bytes. A replica that dies in the middle of the body counts as one
/// that died before it: the request is done again elsewhere if it may be (see [`crate::request`]).
pub async fn call_buffered(
    rpc: &Rpc,
    mut request: Request<Body>,
    limit: usize,
) -> Result<Response<Buffered>, RpcError> {
    request.extensions_mut().insert(CollectResponse(limit));
    let mut rpc = rpc.clone();
    let ready = rpc.ready().await?;
    let mut response = ready.call(request).await?;
    let whole = response.extensions_mut().remove::<Whole>();
    Ok(response.map(|body| match whole {
        Some(Whole { data, trailers }) => Buffered::Whole { data, trailers },
        None => Buffered::Streaming(body),
    }))
}
