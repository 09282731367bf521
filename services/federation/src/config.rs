//! Section `federation`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Federation: no settings yet.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}
