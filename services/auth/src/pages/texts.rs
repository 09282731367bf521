//! Scripts of pages, and what is the same on several.

/// Tells the client that a stage is completed, as the specification has it.
/// <https://spec.matrix.org/v1.19/client-server-api/#fallback>
pub(crate) const AUTH_DONE: &str = r#"
if (window.onAuthDone) {
    window.onAuthDone();
} else if (window.opener && window.opener.postMessage) {
    window.opener.postMessage("authDone", "*");
}
"#;

/// The log-in page: asks for the flows, logs in, tells the client.
/// <https://spec.matrix.org/v1.19/client-server-api/#login-fallback>
pub(crate) const LOGIN: &str = include_str!("login.js");
