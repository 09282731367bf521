//! ruma's request errors carry no Matrix code: this gives them one.

use ruma::api::error::{DeserializationError, FromHttpRequestError};
use serde_json::error::Category;

use super::MatrixError;

/// `M_NOT_JSON` ← syntax · `M_BAD_JSON` ← wrong type or missing member of the body · `M_MISSING_PARAM` ← a query
/// parameter is missing · `M_INVALID_PARAM` ← an id, parameter or header is malformed
pub(crate) fn from_http_request_error(error: &FromHttpRequestError) -> MatrixError {
    let FromHttpRequestError::Deserialization(error) = error else {
        return MatrixError::unrecognized(http::StatusCode::METHOD_NOT_ALLOWED);
    };
    match error {
        DeserializationError::Json(error) => from_json_error(error),
        DeserializationError::Utf8(_) => MatrixError::invalid_param("a parameter is not UTF-8"),
        DeserializationError::Query(error) => {
            let message = shorten(&error.to_string());
            if message.contains("missing field") {
                MatrixError::missing_param(format!("query: {message}"))
            } else {
                MatrixError::invalid_param(format!("query: {message}"))
            }
        }
        other => MatrixError::invalid_param(shorten(&other.to_string())),
    }
}

pub(crate) fn from_json_error(error: &serde_json::Error) -> MatrixError {
    let message = shorten(&error.to_string());
    match error.classify() {
        Category::Data => MatrixError::bad_json(message),
        Category::Syntax | Category::Eof | Category::Io => MatrixError::not_json(message),
    }
}

/// serde quotes the offending value: an answer must not grow with the request.
fn shorten(message: &str) -> String {
    const MAX_CHARS: usize = 300;
    match message.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}
