//! A page: plain HTML that works without style sheets and with screen readers. Nothing is loaded from elsewhere but the
//! script of a captcha, and the content security policy says so.

use std::fmt::Write as _;

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header};
use matrixon_http::RawResponse;
use matrixon_runtime::random;

use crate::pages::html::escape;

const STYLE: &str = "body{font-family:system-ui,sans-serif;line-height:1.5;color:#1a1a1a;background:#fff;margin:0}\
main{max-width:28rem;margin:0 auto;padding:1.5rem}h1{font-size:1.3rem}label{display:block;margin-top:1rem}\
label.line{display:flex;gap:.5rem;align-items:baseline}input:not([type=checkbox]){box-sizing:border-box;width:100%;\
font:inherit;padding:.5rem;border:1px solid #767676;border-radius:4px}button{font:inherit;margin-top:1.25rem;\
padding:.6rem 1.2rem;color:#fff;background:#1b5e9c;border:0;border-radius:4px;cursor:pointer}:focus-visible{outline:3px \
solid #f5a623;outline-offset:2px}.error{color:#a30000;border-left:4px solid #a30000;padding-left:.75rem}\
@media(prefers-color-scheme:dark){body{color:#eee;background:#181818}a{color:#8ec5ff}input:not([type=checkbox])\
{color:#eee;background:#222}.error{color:#ff9b9b;border-color:#ff9b9b}}";

/// A page under construction.
pub(crate) struct Page {
    status: StatusCode,
    title: String,
    app_name: String,
    error: Option<String>,
    /// Trusted HTML.
    body: String,
    script: Option<String>,
    captcha: Option<Captcha>,
}

struct Captcha {
    script_url: String,
    origins: Vec<String>,
}

impl Page {
    pub(crate) fn new(app_name: &str, title: &str) -> Self {
        Self {
            status: StatusCode::OK,
            title: title.to_owned(),
            app_name: app_name.to_owned(),
            error: None,
            body: String::new(),
            script: None,
            captcha: None,
        }
    }

    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// What went wrong, said first and read aloud.
    pub(crate) fn error(mut self, message: impl Into<String>) -> Self {
        self.error = Some(message.into());
        self
    }

    /// A paragraph of text.
    pub(crate) fn text(mut self, text: &str) -> Self {
        let _infallible = writeln!(self.body, "<p>{}</p>", escape(text));
        self
    }

    /// HTML whose every variable part is escaped.
    pub(crate) fn html(mut self, html: &str) -> Self {
        self.body.push_str(html);
        self
    }

    /// The page's own script.
    pub(crate) fn script(mut self, script: impl Into<String>) -> Self {
        self.script = Some(script.into());
        self
    }

    /// The script of a captcha, and where it may load its parts from.
    pub(crate) fn captcha(mut self, script_url: &str, origins: Vec<String>) -> Self {
        self.captcha = Some(Captcha { script_url: script_url.to_owned(), origins });
        self
    }

    pub(crate) fn build(self) -> RawResponse {
        let nonce = random::id(22);
        let policy = self.policy(&nonce);
        let (title, app_name) = (escape(&self.title), escape(&self.app_name));
        let error =
            self.error.as_deref().map(|error| format!("<p class=\"error\" role=\"alert\">{}</p>\n", escape(error)));
        let script = self.script.as_deref().map(|script| format!("<script nonce=\"{nonce}\">{script}</script>\n"));
        let captcha = self.captcha.as_ref().map(|captcha| {
            format!("<script nonce=\"{nonce}\" src=\"{}\" async defer></script>\n", escape(&captcha.script_url))
        });
        let page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"robots\" content=\"noindex\">\n<link rel=\"icon\" href=\"data:,\">\n<title>{title} – {app_name}</title>\n\
             <style nonce=\"{nonce}\">{STYLE}</style>\n{}</head>\n<body>\n<main>\n<h1>{title}</h1>\n{}{}</main>\n{}</body>\n\
             </html>\n",
            captcha.unwrap_or_default(),
            error.unwrap_or_default(),
            self.body,
            script.unwrap_or_default(),
        );
        let mut response = Response::new(Body::from(page));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        // a captcha's address that is no header value leaves a page on which nothing runs
        let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        RawResponse(response)
    }

    fn policy(&self, nonce: &str) -> String {
        let captcha = self.captcha.as_ref().map_or_else(String::new, |captcha| captcha.origins.join(" "));
        let frames = if captcha.is_empty() { "'none'" } else { &captcha };
        // the captcha of a provider puts styles into its elements
        let style = if captcha.is_empty() { format!("'nonce-{nonce}'") } else { format!("'unsafe-inline' {captcha}") };
        format!(
            "default-src 'none'; script-src 'nonce-{nonce}' {captcha}; style-src {style}; connect-src 'self' {captcha}; \
             img-src data: {captcha}; frame-src {frames}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
    }
}
