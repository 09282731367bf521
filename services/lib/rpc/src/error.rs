//! What can go wrong between two processes. What the callee itself says is a response, not one of these.

use std::sync::Arc;

use matrixon_runtime::role::Role;

use crate::{BoxError, detail};

#[derive(Clone, Debug, thiserror::Error)]
pub enum RpcError {
    /// The role neither runs here nor has replicas in the `discovery` section.
    #[error("no replica of the {role} role is configured")]
    NotConfigured { role: Role },
    /// No replica could take the call within the time there was.
    #[error("no replica of the {role} role is available: {reason}")]
    Unavailable { role: Role, reason: String },
    /// The caller's deadline passed.
    #[error("the deadline of a call to the {role} role has passed")]
    DeadlineExceeded { role: Role },
    /// A replica went away with the call, and the call could not be done again.
    #[error("the connection to {replica} of the {role} role was lost")]
    ConnectionLost { role: Role, replica: Arc<str>, source: Arc<dyn std::error::Error + Send + Sync> },
    /// The caller's own request body could not be read.
    #[error("the request body could not be read: {0}")]
    RequestBody(Arc<dyn std::error::Error + Send + Sync>),
    /// A local service failed outside of its own error handling.
    #[error("a call failed: {0}")]
    Other(Arc<dyn std::error::Error + Send + Sync>),
}

impl RpcError {
    /// The typed error behind a boxed one, as tower layers on top of an [`crate::Rpc`] may give.
    pub fn from_boxed(error: impl Into<BoxError>) -> Self {
        match error.into().downcast::<Self>() {
            Ok(typed) => *typed,
            Err(other) => Self::Other(Arc::from(other)),
        }
    }

    /// Nothing is wrong with the call; it may succeed later.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::NotConfigured { .. } | Self::Unavailable { .. } | Self::ConnectionLost { .. })
    }

    /// What a client of the gateway should see.
    pub fn http_status(&self) -> http::StatusCode {
        match self {
            Self::NotConfigured { .. } | Self::Unavailable { .. } | Self::ConnectionLost { .. } => {
                http::StatusCode::SERVICE_UNAVAILABLE
            }
            Self::DeadlineExceeded { .. } => http::StatusCode::GATEWAY_TIMEOUT,
            Self::RequestBody(_) => http::StatusCode::BAD_REQUEST,
            Self::Other(_) => http::StatusCode::BAD_GATEWAY,
        }
    }

    /// What a gRPC caller sees; the detail reads `M_UNKNOWN`, for Matrix has no code for this.
    pub fn to_status(&self) -> tonic::Status {
        detail::encode_status(&detail::ErrorDetail {
            errcode: "M_UNKNOWN".to_owned(),
            message: self.to_string(),
            retry_after_ms: 0,
            http_status: u32::from(self.http_status().as_u16()),
            ..Default::default()
        })
    }
}
