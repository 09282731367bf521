//! What a new password must be like.

use serde_json::{Map, Value};

use super::common::is_common;
use crate::{config::PasswordConfig, error::AuthError};

pub(super) struct Policy(PasswordConfig);

impl Policy {
    pub(super) fn new(config: &PasswordConfig) -> Self {
        Self(PasswordConfig { minimum_length: config.minimum_length.max(1), ..config.clone() })
    }

    /// `M_WEAK_PASSWORD` ← too short, without a character of a class that is required, or one of the commonest
    pub(super) fn check(&self, password: &str) -> Result<(), AuthError> {
        let weak = |message: &str| Err(AuthError::WeakPassword(message.to_owned()));
        if password.chars().count() < self.0.minimum_length {
            return weak(&format!("a password needs at least {} characters", self.0.minimum_length));
        }
        let lacks = |required: bool, class: fn(char) -> bool| required && !password.chars().any(class);
        if lacks(self.0.require_digit, char::is_numeric) {
            return weak("a password needs a digit");
        }
        if lacks(self.0.require_symbol, |one| !one.is_alphanumeric()) {
            return weak("a password needs a symbol");
        }
        if lacks(self.0.require_uppercase, char::is_uppercase) {
            return weak("a password needs a capital letter");
        }
        if lacks(self.0.require_lowercase, char::is_lowercase) {
            return weak("a password needs a small letter");
        }
        if self.0.refuse_common && is_common(password) {
            return weak("this is one of the commonest passwords, which everybody tries first");
        }
        Ok(())
    }

    /// [MSC2000](https://github.com/matrix-org/matrix-spec-proposals/pull/2000). What is not required is left out.
    pub(super) fn describe(&self) -> Value {
        let mut policy = Map::new();
        policy.insert("m.minimum_length".to_owned(), self.0.minimum_length.into());
        let classes = [
            ("m.require_digit", self.0.require_digit),
            ("m.require_symbol", self.0.require_symbol),
            ("m.require_uppercase", self.0.require_uppercase),
            ("m.require_lowercase", self.0.require_lowercase),
        ];
        for (name, _) in classes.into_iter().filter(|(_, required)| *required) {
            policy.insert(name.to_owned(), true.into());
        }
        policy.into()
    }
}
