//! The parameters of `/sync`.

use std::{fmt::Write as _, time::Duration};

use serde_json::Value;

use super::escape;

/// The parameters of `/sync`.
#[derive(Clone, Debug, Default)]
pub struct SyncQuery {
    pub since: Option<String>,
    pub timeout: Duration,
    /// A filter's id, or its JSON.
    pub filter: Option<String>,
    pub full_state: bool,
}

impl SyncQuery {
    pub fn since(token: &str) -> Self {
        Self { since: Some(token.to_owned()), ..Self::default() }
    }

    #[must_use]
    pub fn wait(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    #[must_use]
    pub fn filter(mut self, filter: &Value) -> Self {
        self.filter = Some(filter.as_str().map_or_else(|| filter.to_string(), ToOwned::to_owned));
        self
    }

    pub(super) fn to_path(&self) -> String {
        let mut path = format!("/_matrix/client/v3/sync?timeout={}", self.timeout.as_millis());
        for (name, value) in [("since", &self.since), ("filter", &self.filter)] {
            if let Some(value) = value {
                let _ = write!(path, "&{name}={}", escape(value));
            }
        }
        if self.full_state {
            path += "&full_state=true";
        }
        path
    }
}
