//! The push rules of the specification, which every user has until they can be changed.
//! <https://spec.matrix.org/v1.19/client-server-api/#predefined-rules>

use ruma::{UserId, push::Ruleset};

pub(crate) const PUSH_RULES: &str = "m.push_rules";

/// The ruleset as JSON.
pub(crate) fn default_push_rules(user_id: &str) -> Vec<u8> {
    let rules = <&UserId>::try_from(user_id).map(Ruleset::server_default).unwrap_or_default();
    serde_json::to_vec(&rules).unwrap_or_else(|_| b"{}".to_vec())
}
