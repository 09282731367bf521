//! `GET` and `POST /_matrix/client/*/auth/{authType}/fallback/web` —
//! <https://spec.matrix.org/v1.19/client-server-api/#fallback>
//!
//! 404 ← a stage that we do not have, or a session that has ended

mod stage_forms;

use axum::extract::State;
use http::StatusCode;
use matrixon_http::{MatrixError, NoAuth, Raw, RawResponse};

use super::{failed, fields, page::Page};
use crate::{
    pages::texts::AUTH_DONE,
    state::Auth,
    uia::{
        Stage,
        fallback::{self, Opened},
    },
};

#[tracing::instrument(name = "auth.http.pages.fallback.show", skip_all)]
pub(crate) async fn show(State(auth): State<Auth>, raw: Raw<NoAuth>) -> Result<RawResponse, MatrixError> {
    Ok(match open(&auth, &raw).await {
        Some(opened) if opened.completed => done(&auth),
        Some(opened) => stage_forms::build(&auth, &opened, None),
        None => ended(&auth),
    })
}

#[tracing::instrument(name = "auth.http.pages.fallback.submit", skip_all)]
pub(crate) async fn submit(State(auth): State<Auth>, raw: Raw<NoAuth>) -> Result<RawResponse, MatrixError> {
    let Some(opened) = open(&auth, &raw).await else { return Ok(ended(&auth)) };
    if opened.completed {
        return Ok(done(&auth));
    }
    let form = fields(&raw.body);
    if opened.stage == Stage::EmailIdentity && form.contains_key("email") {
        return Ok(stage_forms::send_mail(&auth, &opened, &form, raw.meta.remote_addr).await);
    }
    let members = match stage_forms::read(&auth, &opened, &form) {
        Ok(members) => members,
        Err(message) => return Ok(stage_forms::build(&auth, &opened, Some(message))),
    };
    let again = opened.clone();
    Ok(match fallback::complete(&auth, opened, &members).await {
        Ok(Ok(())) => done(&auth),
        Ok(Err(failure)) if again.stage == Stage::EmailIdentity => {
            stage_forms::wait_for_mail(&auth, &form, Some(failure.message))
        }
        Ok(Err(failure)) => stage_forms::build(&auth, &again, Some(failure.message)),
        Err(error) => failed(&auth, "This did not work", error),
    })
}

async fn open(auth: &Auth, raw: &Raw<NoAuth>) -> Option<Opened> {
    let stage = Stage::from_name(raw.path_args.first()?)?;
    let query = fields(raw.parts.uri.query()?.as_bytes());
    fallback::open(auth, query.get("session")?, stage).await
}

fn done(auth: &Auth) -> RawResponse {
    Page::new(auth.mailer.app_name(), "Thank you")
        .text("This step is done. You can close this window and return to the app.")
        .script(AUTH_DONE)
        .build()
}

fn ended(auth: &Auth) -> RawResponse {
    Page::new(auth.mailer.app_name(), "This page is no longer valid")
        .status(StatusCode::NOT_FOUND)
        .error("The time for this step is over, or there is no such step. Please return to the app and begin again.")
        .build()
}
