//! Compression of JSON that is there as a whole. Fast levels: the gain over the slow ones is small, their price is not.

use std::io::{self, Write as _};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;

/// Below this the headers eat the gain.
const MIN_BYTES: u64 = 1_024;

/// Above this it would hold up the other requests of the thread.
const MAX_INLINE_BYTES: usize = 128 * 1_024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Zstd,
    Gzip,
}

impl Encoding {
    /// The best one that the client accepts.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let values = || headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let accepts = |name: &str| {
            values().flat_map(|value| value.split(',')).any(|item| {
                let mut parts = item.split(';').map(str::trim);
                let named = parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case(name));
                named && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
            })
        };
        if accepts("zstd") {
            return Some(Self::Zstd);
        }
        accepts("gzip").then_some(Self::Gzip)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    fn encode(self, data: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd => zstd::bulk::compress(data, 1),
            Self::Gzip => {
                let room = Vec::with_capacity(data.len() / 4);
                let mut encoder = flate2::write::GzEncoder::new(room, flate2::Compression::fast());
                encoder.write_all(data)?;
                encoder.finish()
            }
        }
    }
}

pub(super) async fn compress(response: Response<Body>, encoding: Option<Encoding>) -> Response<Body> {
    let Some(encoding) = encoding.filter(|_| is_worth_it(&response)) else { return response };
    Box::pin(encode_body(response, encoding)).await
}

/// JSON that is there as a whole. Streams have no exact length.
fn is_worth_it(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|content_type| content_type.as_bytes().starts_with(b"application/json"));
    is_json
        && !headers.contains_key(header::CONTENT_ENCODING)
        && response.body().size_hint().exact().is_some_and(|length| length >= MIN_BYTES)
}

async fn encode_body(response: Response<Body>, encoding: Encoding) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    // It was collected before: this takes the bytes out without copying them.
    let Ok(data) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return super::error_response(matrixon_http::MatrixError::internal());
    };
    let encoded = if data.len() <= MAX_INLINE_BYTES {
        encoding.encode(&data)
    } else {
        let data = data.clone();
        tokio::task::spawn_blocking(move || encoding.encode(&data))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    };
    let body = match encoded {
        Ok(encoded) => {
            parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.as_str()));
            parts.headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
            parts.headers.remove(header::CONTENT_LENGTH);
            Bytes::from(encoded)
        }
        Err(error) => {
            tracing::error!(%error, "cannot compress");
            data
        }
    };
    Response::from_parts(parts, Body::from(body))
}
