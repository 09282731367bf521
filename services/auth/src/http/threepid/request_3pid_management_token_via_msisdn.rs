//! `POST /_matrix/client/*/account/3pid/msisdn/requestToken` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3pidmsisdnrequesttoken>
//!
//! Errors: `M_THREEPID_MEDIUM_NOT_SUPPORTED` ← always: this server sends no text messages

use axum::extract::State;
use matrixon_http::{Matrix, NoAuth};
use ruma::api::client::account::request_3pid_management_token_via_msisdn::v3;

use crate::{error::AuthError, state::Auth, threepids::ThreepidError};

#[tracing::instrument(name = "auth.http.threepid.request_3pid_management_token_via_msisdn", skip_all)]
pub(crate) async fn handler(State(_): State<Auth>, _: Matrix<v3::Request, NoAuth>) -> Result<v3::Response, AuthError> {
    Err(ThreepidError::MediumNotSupported.into())
}
