//! `GET /_matrix/static/client/login/` — <https://spec.matrix.org/v1.19/client-server-api/#login-fallback>

use axum::extract::State;
use matrixon_http::{MatrixError, NoAuth, Raw, RawResponse};

use super::page::Page;
use crate::{
    pages::{html::Field, texts::LOGIN},
    state::Auth,
};

#[tracing::instrument(name = "auth.http.pages.login", skip_all)]
pub(crate) async fn show(State(auth): State<Auth>, _: Raw<NoAuth>) -> Result<RawResponse, MatrixError> {
    let user = Field { name: "user", label: "Username or e-mail address", kind: "text", autocomplete: "username" };
    let password = Field { name: "password", label: "Password", kind: "password", autocomplete: "current-password" };
    let form = format!(
        "<p id=\"message\" class=\"error\" role=\"alert\" hidden></p>\n\
         <form id=\"login\" method=\"post\">\n{}{}<button type=\"submit\">Log in</button>\n</form>\n\
         <p id=\"done\" role=\"status\" hidden>You are logged in. You can return to the app.</p>\n\
         <noscript><p>This page needs JavaScript to hand your session over to the app.</p></noscript>\n",
        user.build(),
        password.build()
    );
    Ok(Page::new(auth.mailer.app_name(), "Log in").html(&form).script(LOGIN).build())
}
