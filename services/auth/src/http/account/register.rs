//! `POST /_matrix/client/*/register` — <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3register>
//!
//! Errors: `M_FORBIDDEN` ← nobody may register, or a guest asks · `M_USER_IN_USE` ← taken · `M_INVALID_USERNAME` ←
//! against the grammar · `M_WEAK_PASSWORD` ← too short · `M_MISSING_PARAM` ← no password · 401 ← authentication is
//! not complete

use axum::extract::State;
use matrixon_http::{Matrix, NoAuth, RawJson, RequestMeta};
use ruma::{
    OwnedDeviceId, OwnedUserId,
    api::client::account::register::{RegistrationKind, v3},
};
use serde::Serialize;

use crate::{
    accounts::{
        create::{self, NewAccount},
        guests,
    },
    error::AuthError,
    http::to_json,
    metrics,
    sessions::start::{DeviceWish, Session},
    state::Auth,
    threepids::Purpose,
    uia::{self, Done, Failure, Policy, Stage, Uia},
};

const TOKEN_SPENT: Failure =
    Failure { errcode: "M_UNAUTHORIZED", message: "this registration token is not valid any more" };

#[tracing::instrument(name = "auth.http.account.register", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req: request, meta, .. }: Matrix<Uia<v3::Request>, NoAuth>,
) -> Result<RawJson, AuthError> {
    let flows = auth.config.registration_flows();
    let policy = Policy { flows, user: None, purpose: Some(Purpose::Register), params_may_change: true };
    if let Some(req) = request.request()
        && is_guest(req)?
    {
        return respond(guests::create_guest(&auth, req.initial_device_display_name.clone(), &meta).await?);
    }
    if let Some(done) = resume(&auth, &request, &policy, &meta).await? {
        return respond(done);
    }
    if let Some(req) = request.request() {
        check(&auth, req).await?;
    }
    if policy.flows.is_empty() {
        return Err(AuthError::RegistrationClosed);
    }
    let is_replay = request.is_replay();
    let done = uia::authenticate(&auth, request, &policy).await?;
    if is_replay {
        check(&auth, &done.req).await?;
    }
    let (operation, record) = (done.operation.clone(), done.record());
    match register(&auth, done, &meta).await {
        Err(AuthError::RegistrationTokenSpent) => Err(uia::reject(&auth, operation, &policy, TOKEN_SPENT).await),
        Err(error) => Err(error),
        Ok(made) => {
            record.remember(&auth, &made.0).await;
            respond(made)
        }
    }
}

/// Registration is idempotent: the same request, or the same interactive session, makes no second account.
async fn resume(
    auth: &Auth,
    request: &Uia<v3::Request>,
    policy: &Policy<'_>,
    meta: &RequestMeta,
) -> Result<Option<(OwnedUserId, Option<Session>)>, AuthError> {
    if let Some(req) = request.request()
        && let Some(done) = create::resume_account(auth, device_wish(req), meta).await?
    {
        return Ok(Some(done));
    }
    let Some((user_id, req)) = uia::find_registered(auth, request, policy).await? else { return Ok(None) };
    create::resume_registered(auth, &user_id, device_wish(&req), meta).await.map(Some)
}

async fn register(
    auth: &Auth,
    done: Done<v3::Request>,
    meta: &RequestMeta,
) -> Result<(OwnedUserId, Option<Session>), AuthError> {
    let terms = done.has_completed(Stage::Terms);
    let Done { req, proof, .. } = done;
    let device = device_wish(&req);
    let upgrades = find_upgrade(auth, &req).await?;
    let password = req.password.ok_or(AuthError::MissingParam("`password` is missing"))?;
    let password_hash = auth.passwords.hash(password).await?;
    let account = NewAccount {
        username: req.username,
        upgrades,
        password_hash,
        registration_token: proof.registration_token,
        validation: proof.validation,
        terms,
        device: device.clone(),
    };
    let created = match create::create_account(auth, account, meta).await {
        // an earlier attempt at this request, thought dead, may have finished meanwhile
        Err(error @ (AuthError::UserInUse | AuthError::RegistrationTokenSpent)) => {
            return create::resume_account(auth, device, meta).await?.ok_or(error);
        }
        created => created?,
    };
    metrics::count_registration();
    tracing::info!(user_id = %created.0, "account created");
    Ok(created)
}

/// The checks that the specification wants before authentication. Whatever happens to the name meanwhile, the
/// database finds.
async fn check(auth: &Auth, req: &v3::Request) -> Result<(), AuthError> {
    if find_upgrade(auth, req).await?.is_none()
        && let Some(username) = &req.username
    {
        create::check_available(auth, username).await?;
    }
    if let Some(password) = &req.password {
        auth.passwords.check_new(password)?;
    }
    device_wish(req).unwrap_or_default().check()
}

/// The guest that the request would make a full account of.
async fn find_upgrade(auth: &Auth, req: &v3::Request) -> Result<Option<OwnedUserId>, AuthError> {
    match &req.guest_access_token {
        Some(token) => guests::find_upgrade(auth, token, req.username.as_deref()).await.map(Some),
        None => Ok(None),
    }
}

/// `M_UNKNOWN` ← a type that only appservices use · `M_INVALID_PARAM` ← neither `user` nor `guest`
fn is_guest(req: &v3::Request) -> Result<bool, AuthError> {
    match req.kind {
        RegistrationKind::User if req.login_type.is_none() => Ok(false),
        RegistrationKind::User => Err(AuthError::UnknownLoginType),
        RegistrationKind::Guest => Ok(true),
        _ => Err(AuthError::InvalidParam("`kind` must be `user` or `guest`".to_owned())),
    }
}

/// None: the client does not want to be logged in.
fn device_wish(req: &v3::Request) -> Option<DeviceWish> {
    (!req.inhibit_login).then(|| DeviceWish {
        device_id: req.device_id.clone(),
        display_name: req.initial_device_display_name.clone(),
        refresh_token: req.refresh_token,
    })
}

fn respond((user_id, session): (OwnedUserId, Option<Session>)) -> Result<RawJson, AuthError> {
    let mut answer = Answer { user_id, device_id: None, access_token: None, refresh_token: None, expires_in_ms: None };
    if let Some(session) = session {
        answer.device_id = Some(session.device_id);
        answer.access_token = Some(session.access_token);
        answer.refresh_token = session.refresh_token;
        answer.expires_in_ms = session.expires_in.map(|expires_in| expires_in.as_millis() as u64);
    }
    Ok(RawJson(to_json(&answer)?))
}

/// ruma's response (0.17.2) says `"device_id": null` where there is none.
#[derive(Serialize)]
struct Answer {
    user_id: OwnedUserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<OwnedDeviceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_ms: Option<u64>,
}
