//! What handlers may answer with.

use axum::{body::Body, response::Response};
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, header};
use ruma::api::{OutgoingResponse, OutgoingResponseExt};

use crate::error::MatrixError;

/// A ruma response, [`RawJson`] or [`RawResponse`].
pub trait IntoMatrixResponse {
    fn into_matrix_response(self) -> Result<Response, MatrixError>;
}

/// JSON assembled by the handler, sent as it is with status 200.
#[derive(Clone, Debug)]
pub struct RawJson(pub Bytes);

/// Whatever the handler built.
#[derive(Debug)]
pub struct RawResponse(pub Response);

impl<T: OutgoingResponse> IntoMatrixResponse for T {
    fn into_matrix_response(self) -> Result<Response, MatrixError> {
        match self.try_into_http_response::<BytesMut>() {
            Ok(response) => Ok(response.map(|body| Body::from(body.freeze()))),
            Err(error) => {
                tracing::error!(%error, "a response cannot be encoded");
                Err(MatrixError::internal())
            }
        }
    }
}

impl IntoMatrixResponse for RawJson {
    fn into_matrix_response(self) -> Result<Response, MatrixError> {
        let mut response = Response::new(Body::from(self.0));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }
}

impl IntoMatrixResponse for RawResponse {
    fn into_matrix_response(self) -> Result<Response, MatrixError> {
        Ok(self.0)
    }
}
