//! The `params` of a challenge.

use serde_json::{Map, Value, json};

use super::{Flow, Stage};
use crate::{config::Terms, state::Auth};

/// What clients must know to show the stages of these flows.
pub(crate) fn build_params(auth: &Auth, flows: &[Flow]) -> Map<String, Value> {
    let asks = |stage: Stage| flows.iter().flatten().any(|one| *one == stage);
    let mut params = Map::new();
    if asks(Stage::Recaptcha) {
        let public_key = auth.config.captcha.site_key.as_str();
        params.insert(Stage::Recaptcha.name().to_owned(), json!({ "public_key": public_key }));
    }
    if asks(Stage::Terms) {
        params.insert(Stage::Terms.name().to_owned(), json!({ "policies": policies(&auth.config.terms) }));
    }
    params
}

/// <https://spec.matrix.org/v1.19/client-server-api/#terms-of-service-at-registration>
fn policies(terms: &Terms) -> Map<String, Value> {
    let policy = |policy: &crate::config::TermsPolicy| {
        let mut described = Map::new();
        described.insert("version".to_owned(), policy.version.as_str().into());
        for (language, document) in &policy.languages {
            described.insert(language.clone(), json!({ "name": document.name, "url": document.url }));
        }
        Value::from(described)
    };
    terms.iter().map(|(id, one)| (id.clone(), policy(one))).collect()
}
