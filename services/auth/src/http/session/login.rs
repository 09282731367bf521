//! `POST /_matrix/client/*/login` — <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3login>
//!
//! Errors: `M_FORBIDDEN` ← unknown user, wrong password or token · `M_USER_DEACTIVATED`, `M_USER_LOCKED` ← the account
//! has ended, or is locked · `M_UNKNOWN` ← a type of log-in that we do not have · `M_MISSING_PARAM` ← nobody is named · `M_LIMIT_EXCEEDED` ←
//! too many at once

use axum::extract::State;
use http::Method;
use matrixon_http::{Matrix, NoAuth};
use ruma::api::{
    IncomingRequest, Metadata,
    client::{
        session::login::v3::{self, DiscoveryInfo, HomeserverInfo, LoginInfo},
        uiaa::UserIdentifier,
    },
    error::DeserializationError,
};
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    error::AuthError,
    sessions::{
        login::{Credentials, Named, login},
        start::DeviceWish,
    },
    state::Auth,
};

#[tracing::instrument(name = "auth.http.session.login", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req: Request(req), meta, .. }: Matrix<Request, NoAuth>,
) -> Result<v3::Response, AuthError> {
    let credentials = match req.login_info {
        LoginInfo::Password(info) => Credentials::Password { named: name_of(&info)?, password: info.password },
        LoginInfo::Token(info) => Credentials::Token(info.token),
        _ => return Err(AuthError::UnknownLoginType),
    };
    let wish = DeviceWish {
        device_id: req.device_id,
        display_name: req.initial_device_display_name,
        refresh_token: req.refresh_token,
    };
    let session = login(&auth, credentials, wish, &meta).await?;
    let mut response = v3::Response::new(session.user_id, session.access_token, session.device_id);
    response.refresh_token = session.refresh_token;
    response.expires_in = session.expires_in;
    response.well_known = auth.client_base_url.clone().map(|url| DiscoveryInfo::new(HomeserverInfo::new(url)));
    Ok(response)
}

fn name_of(info: &v3::Password) -> Result<Named, AuthError> {
    if let Some(identifier) = &info.identifier {
        return Ok(match (identifier, identifier.as_third_party_id()) {
            (UserIdentifier::Matrix(identifier), _) => Named::User(identifier.user.clone()),
            (_, Some((medium, address))) => third_party(medium.as_str(), address),
            // telephone numbers (`m.id.phone`) and what we never heard of
            _ => Named::Nobody,
        });
    }
    #[expect(deprecated, reason = "older clients send `user`, or `medium` and `address`, instead of `identifier`")]
    match (&info.user, &info.medium, &info.address) {
        (Some(user), ..) => Ok(Named::User(user.clone())),
        (None, Some(medium), Some(address)) => Ok(third_party(medium, address)),
        _ => Err(AuthError::MissingParam("`identifier` is missing")),
    }
}

fn third_party(medium: &str, address: &str) -> Named {
    Named::ThirdParty { medium: medium.to_owned(), address: address.to_owned() }
}

/// ruma's request, which panics on a body without `type` (0.17.2).
#[derive(Debug)]
pub(crate) struct Request(v3::Request);

impl Metadata for Request {
    const METHOD: Method = v3::Request::METHOD;
    const RATE_LIMITED: bool = v3::Request::RATE_LIMITED;
    type Authentication = <v3::Request as Metadata>::Authentication;
    type PathBuilder = <v3::Request as Metadata>::PathBuilder;
    const PATH_BUILDER: Self::PathBuilder = v3::Request::PATH_BUILDER;
}

impl IncomingRequest for Request {
    type EndpointError = <v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = <v3::Request as IncomingRequest>::OutgoingResponse;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        #[derive(Deserialize)]
        struct HasType {
            #[serde(rename = "type")]
            _type: IgnoredAny,
        }
        serde_json::from_slice::<HasType>(request.body())?;
        v3::Request::try_from_http_request_inner(request, path_args).map(Self)
    }
}
