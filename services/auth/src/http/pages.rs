//! Web pages.

pub(crate) mod confirm;
pub(crate) mod fallback;
pub(crate) mod login;
mod page;

use std::collections::HashMap;

use http::StatusCode;
use matrixon_http::{MatrixError, RawResponse};

use self::page::Page;
use crate::{error::AuthError, state::Auth};

/// Fields of a form, or parameters of a query; of several with one name the first.
fn fields(encoded: &[u8]) -> HashMap<String, String> {
    let mut fields = HashMap::new();
    for (name, value) in form_urlencoded::parse(encoded) {
        // databases do not know NUL, and nobody types it
        fields.entry(name.into_owned()).or_insert_with(|| value.replace('\0', ""));
    }
    fields
}

/// An error, for people.
fn failed(auth: &Auth, title: &str, error: AuthError) -> RawResponse {
    let error = MatrixError::from(error);
    let status = if error.status == StatusCode::UNAUTHORIZED { StatusCode::FORBIDDEN } else { error.status };
    Page::new(auth.mailer.app_name(), title).status(status).error(error.message).build()
}
