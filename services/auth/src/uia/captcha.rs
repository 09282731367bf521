//! Captchas are verified by who makes them: reCAPTCHA, hCaptcha and Turnstile have the same interface.

use matrixon_egress::Egress;
use matrixon_runtime::config::Secret;
use serde::Deserialize;

use crate::config::CaptchaConfig;

const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Longer ones are none: the longest known have about 2,000.
const MAX_RESPONSE_BYTES: usize = 8 * 1024;

pub(crate) struct Captcha {
    egress: Egress,
    verify_url: String,
    site_key: String,
    secret_key: Secret,
}

#[derive(Debug, thiserror::Error)]
#[error("the captcha cannot be verified: {0}")]
pub(crate) struct CaptchaAway(String);

#[derive(Deserialize)]
struct Verdict {
    success: bool,
}

impl Captcha {
    pub(crate) fn new(config: &CaptchaConfig, egress: Egress) -> Self {
        Self {
            egress,
            verify_url: config.verify_url().to_owned(),
            site_key: config.site_key.clone(),
            secret_key: config.secret_key.clone(),
        }
    }

    fn build_form(&self, response: &str) -> String {
        form_urlencoded::Serializer::new(String::new())
            .append_pair("secret", self.secret_key.expose())
            .append_pair("response", response)
            .append_pair("sitekey", &self.site_key)
            .finish()
    }

    /// Is this the answer to a captcha of ours, given for the first time?
    pub(crate) async fn verify(&self, response: &str) -> Result<bool, CaptchaAway> {
        if response.is_empty() || response.len() > MAX_RESPONSE_BYTES {
            return Ok(false);
        }
        let request = self.egress.post(&self.verify_url).map_err(|error| CaptchaAway(error.to_string()))?;
        let request = request
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(self.build_form(response));
        let answer = self.egress.send(request, MAX_ANSWER_BYTES).await;
        let answer = answer.map_err(|error| CaptchaAway(error.to_string()))?;
        let verdict: Verdict = serde_json::from_slice(&answer.body)
            .map_err(|_| CaptchaAway(format!("it answered {} and no verdict", answer.status)))?;
        Ok(verdict.success)
    }
}
