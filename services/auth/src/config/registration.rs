//! Sections `auth.registration`, `auth.captcha` and `auth.terms`.

use std::collections::BTreeMap;

use matrixon_runtime::config::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a registration must show beyond a way in.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegistrationConfig {
    /// Every new account has a confirmed e-mail address (needs `auth.email`).
    pub require_email: bool,
    /// Who registers without a token solves a captcha (needs `auth.captcha`).
    pub require_captcha: bool,
    /// Who registers agrees to the documents in `auth.terms`.
    pub require_terms: bool,
}

/// The captcha of the stage `m.login.recaptcha`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CaptchaConfig {
    /// Whose captcha it is.
    pub provider: CaptchaProvider,
    /// The public key, told to clients. Empty: there is no captcha.
    pub site_key: String,
    /// The secret key, told to the provider.
    pub secret_key: Secret,
    /// Where answers are verified, instead of the provider's usual address.
    pub verify_url: Option<String>,
    /// The script of the web page, instead of the provider's usual one.
    pub script_url: Option<String>,
}

/// Who makes the captcha.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CaptchaProvider {
    #[default]
    Recaptcha,
    Hcaptcha,
    Turnstile,
}

impl CaptchaConfig {
    pub(crate) fn is_enabled(&self) -> bool {
        !self.site_key.is_empty()
    }

    pub(crate) fn verify_url(&self) -> &str {
        self.verify_url.as_deref().unwrap_or(match self.provider {
            CaptchaProvider::Recaptcha => "https://www.google.com/recaptcha/api/siteverify",
            CaptchaProvider::Hcaptcha => "https://api.hcaptcha.com/siteverify",
            CaptchaProvider::Turnstile => "https://challenges.cloudflare.com/turnstile/v0/siteverify",
        })
    }

    pub(crate) fn script_url(&self) -> &str {
        self.script_url.as_deref().unwrap_or(match self.provider {
            CaptchaProvider::Recaptcha => "https://www.google.com/recaptcha/api.js",
            CaptchaProvider::Hcaptcha => "https://js.hcaptcha.com/1/api.js",
            CaptchaProvider::Turnstile => "https://challenges.cloudflare.com/turnstile/v0/api.js",
        })
    }

    /// The class of the element that the script turns into a captcha.
    pub(crate) fn element_class(&self) -> &'static str {
        match self.provider {
            CaptchaProvider::Recaptcha => "g-recaptcha",
            CaptchaProvider::Hcaptcha => "h-captcha",
            CaptchaProvider::Turnstile => "cf-turnstile",
        }
    }

    /// The field of the form that the script puts the answer into.
    pub(crate) fn form_field(&self) -> &'static str {
        match self.provider {
            CaptchaProvider::Recaptcha => "g-recaptcha-response",
            CaptchaProvider::Hcaptcha => "h-captcha-response",
            CaptchaProvider::Turnstile => "cf-turnstile-response",
        }
    }

    /// Where the captcha's own scripts, frames, styles and requests may come from.
    pub(crate) fn origins(&self) -> Vec<String> {
        let mut origins: Vec<String> = match self.provider {
            CaptchaProvider::Recaptcha => {
                vec!["https://www.google.com/recaptcha/".to_owned(), "https://www.gstatic.com/recaptcha/".to_owned()]
            }
            CaptchaProvider::Hcaptcha => vec!["https://hcaptcha.com".to_owned(), "https://*.hcaptcha.com".to_owned()],
            CaptchaProvider::Turnstile => vec!["https://challenges.cloudflare.com".to_owned()],
        };
        if let Some(script) = &self.script_url {
            // scheme and authority
            origins = vec![script.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")];
        }
        origins
    }
}

/// The documents by their id, such as `privacy_policy`.
pub type Terms = BTreeMap<String, TermsPolicy>;

/// A document that people agree to.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TermsPolicy {
    /// Its version: whoever registers agrees to this one.
    pub version: String,
    /// The document by language, such as `en`.
    pub languages: BTreeMap<String, TermsDocument>,
}

/// A document in one language.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TermsDocument {
    /// Its title.
    pub name: String,
    /// Where it can be read.
    pub url: String,
}
