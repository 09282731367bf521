//! `GET` and `POST /_matrix/client/unstable/org.matrixon/email/confirm`: where links in mails lead.
//!
//! The page that a link opens changes nothing: programs that scan mails open links, too. The button on it does. Unless
//! `auth.email.confirm_links` says otherwise, and never for a new password.

use axum::extract::State;
use matrixon_http::{MatrixError, NoAuth, Raw, RawResponse};

use super::{failed, fields, page::Page};
use crate::{
    pages::html::{escape, form, hidden},
    state::Auth,
    threepids::{
        Purpose,
        validate::{Linked, confirm, find_linked},
    },
};

const TITLE: &str = "Confirm your e-mail address";

#[tracing::instrument(name = "auth.http.pages.confirm.show", skip_all)]
pub(crate) async fn show(State(auth): State<Auth>, raw: Raw<NoAuth>) -> Result<RawResponse, MatrixError> {
    let query = fields(raw.parts.uri.query().unwrap_or_default().as_bytes());
    let token = query.get("token").map_or("", String::as_str);
    let linked = match find_linked(&auth, token).await {
        Ok(linked) => linked,
        Err(error) => return Ok(failed(&auth, TITLE, error)),
    };
    if linked.confirmed {
        return Ok(confirmed(&auth, &linked));
    }
    if !auth.config.email.confirm_links && linked.purpose != Purpose::Password {
        return Ok(confirm(&auth, token)
            .await
            .map_or_else(|error| failed(&auth, TITLE, error), |it| confirmed(&auth, &it)));
    }
    let (title, text, button) = match linked.purpose {
        Purpose::Password => (
            "Reset your password",
            "Somebody asked for a new password of your account. If it was you, confirm it. If it was not you, close this \
             page: your password stays as it is.",
            "Confirm the new password",
        ),
        _ => (TITLE, "Is this your address? If you did not ask for this, close the page.", "Confirm this address"),
    };
    let address = format!("<p><strong>{}</strong></p>\n", escape(&linked.address));
    let button = form(&hidden("token", token), button);
    Ok(Page::new(auth.mailer.app_name(), title).text(text).html(&address).html(&button).build())
}

#[tracing::instrument(name = "auth.http.pages.confirm.submit", skip_all)]
pub(crate) async fn submit(State(auth): State<Auth>, raw: Raw<NoAuth>) -> Result<RawResponse, MatrixError> {
    let form = fields(&raw.body);
    Ok(match confirm(&auth, form.get("token").map_or("", String::as_str)).await {
        Ok(linked) => confirmed(&auth, &linked),
        Err(error) => failed(&auth, TITLE, error),
    })
}

fn confirmed(auth: &Auth, linked: &Linked) -> RawResponse {
    let page = Page::new(auth.mailer.app_name(), "Confirmed");
    let page = page.text("Thank you. You can return to the app, which goes on by itself.");
    let Some(link) = &linked.next_link else { return page.build() };
    // a client's address, not ours: nobody is sent there without seeing it
    let link = escape(link);
    page.html(&format!("<p>Or go on to <a href=\"{link}\" rel=\"noreferrer\">{link}</a></p>\n")).build()
}
