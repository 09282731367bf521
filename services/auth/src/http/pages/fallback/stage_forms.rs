//! The form of each stage, and what was typed into it as the members of an `auth` object.

use std::{collections::HashMap, net::IpAddr};

use matrixon_http::{MatrixError, RawResponse};
use matrixon_runtime::random;
use serde_json::{Map, Value, json};

use crate::{
    config::TermsPolicy,
    http::pages::page::Page,
    pages::html::{Field, escape, form, hidden},
    state::Auth,
    threepids::validate::{Ask, request_token},
    uia::{Stage, fallback::Opened},
};

const CLIENT_SECRET_CHARS: usize = 32;

/// The page of a stage, perhaps after something went wrong.
pub(super) fn build(auth: &Auth, opened: &Opened, error: Option<&str>) -> RawResponse {
    let (title, inside, button) = match opened.stage {
        Stage::Dummy => ("Continue", String::new(), "Continue"),
        Stage::Password => ("Show that it is you", password(opened), "Continue"),
        Stage::RegistrationToken => ("Registration token", token(), "Continue"),
        Stage::EmailIdentity => ("Confirm an e-mail address", email(), "Send a mail"),
        Stage::Terms => ("Terms", terms(auth), "I agree"),
        Stage::Recaptcha => ("Show that you are no robot", captcha(auth), "Continue"),
    };
    let mut page = Page::new(auth.mailer.app_name(), title).html(&form(&inside, button));
    if opened.stage == Stage::Recaptcha {
        page = page.captcha(auth.config.captcha.script_url(), auth.config.captcha.origins());
    }
    match error {
        Some(error) => page.error(error).build(),
        None => page.build(),
    }
}

/// The inner error is a sentence for the person.
pub(super) fn read(
    auth: &Auth,
    opened: &Opened,
    form: &HashMap<String, String>,
) -> Result<Map<String, Value>, &'static str> {
    let text = |name: &str| form.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    let members = match opened.stage {
        Stage::Dummy => json!({}),
        Stage::Password => {
            let password = form.get("password").ok_or("Please type your password.")?;
            match text("user") {
                Some(user) => json!({ "password": password, "user": user }),
                None => json!({ "password": password }),
            }
        }
        Stage::RegistrationToken => json!({ "token": text("token").ok_or("Please type the token.")? }),
        Stage::EmailIdentity => {
            let sid = text("sid").ok_or("Please type your address.")?;
            json!({ "threepid_creds": { "sid": sid, "client_secret": text("client_secret").unwrap_or_default() } })
        }
        Stage::Terms => {
            if !auth.config.terms.keys().all(|id| form.contains_key(&format!("agree-{id}"))) {
                return Err("You can only go on if you agree to every document.");
            }
            json!({})
        }
        Stage::Recaptcha => {
            let field = auth.config.captcha.form_field();
            json!({ "response": text(field).ok_or("Please solve the captcha first.")? })
        }
    };
    Ok(members.as_object().cloned().unwrap_or_default())
}

/// Sends a mail to what was typed, and says what to do next.
pub(super) async fn send_mail(
    auth: &Auth,
    opened: &Opened,
    form: &HashMap<String, String>,
    remote_addr: Option<IpAddr>,
) -> RawResponse {
    let Some(purpose) = opened.purpose else { return build(auth, opened, Some("No address is needed here.")) };
    let client_secret = random::id(CLIENT_SECRET_CHARS);
    let ask = Ask {
        purpose,
        email: form.get("email").cloned().unwrap_or_default(),
        client_secret: client_secret.clone(),
        send_attempt: 1,
        next_link: None,
        remote_addr,
    };
    match request_token(auth, ask).await {
        Ok(sid) => {
            let sent =
                HashMap::from([("sid".to_owned(), sid.to_string()), ("client_secret".to_owned(), client_secret)]);
            wait_for_mail(auth, &sent, None)
        }
        Err(error) => build(auth, opened, Some(&MatrixError::from(error).message)),
    }
}

/// The page while the mail is on its way.
pub(super) fn wait_for_mail(auth: &Auth, sent: &HashMap<String, String>, error: Option<&str>) -> RawResponse {
    let value = |name: &str| sent.get(name).map_or("", String::as_str);
    let inside = hidden("sid", value("sid")) + &hidden("client_secret", value("client_secret"));
    let page = Page::new(auth.mailer.app_name(), "Look into your mail")
        .text("We have sent you a mail. Open the link in it, then return to this page and continue.")
        .html(&form(&inside, "I have opened the link"))
        // this page anew: its form asks for the address
        .html("<p><a href=\"\">No mail, or the link is no longer good? Ask for another mail.</a></p>\n");
    match error {
        Some(_) => page.error("The link in the mail has not been opened yet, or too long ago.").build(),
        None => page.build(),
    }
}

fn password(opened: &Opened) -> String {
    let user = Field { name: "user", label: "Username", kind: "text", autocomplete: "username" };
    let password = Field { name: "password", label: "Password", kind: "password", autocomplete: "current-password" };
    match opened.user() {
        // who it is is known
        Some(user) => format!("<p>{}</p>\n{}", escape(user), password.build()),
        None => user.build() + &password.build(),
    }
}

fn token() -> String {
    let field = Field { name: "token", label: "The token that you were given", kind: "text", autocomplete: "off" };
    field.build()
}

fn email() -> String {
    Field { name: "email", label: "Your e-mail address", kind: "email", autocomplete: "email" }.build()
}

fn captcha(auth: &Auth) -> String {
    let captcha = &auth.config.captcha;
    format!(
        "<div class=\"{}\" data-sitekey=\"{}\"></div>\n<noscript><p>The captcha needs JavaScript.</p></noscript>\n",
        captcha.element_class(),
        escape(&captcha.site_key)
    )
}

/// A box for each document, in English if there is English.
fn terms(auth: &Auth) -> String {
    let one = |(id, policy): (&String, &TermsPolicy)| {
        let document = policy.languages.get("en").or_else(|| policy.languages.values().next());
        let (name, url) =
            document.map_or((id.as_str(), ""), |document| (document.name.as_str(), document.url.as_str()));
        let [id, name, url] = [id.as_str(), name, url].map(escape);
        format!(
            "<label class=\"line\" for=\"agree-{id}\"><input id=\"agree-{id}\" name=\"agree-{id}\" type=\"checkbox\" \
             value=\"yes\" required> <span>I agree to <a href=\"{url}\" target=\"_blank\" rel=\"noopener noreferrer\">\
             {name}</a></span></label>\n"
        )
    };
    auth.config.terms.iter().map(one).collect()
}
