//! What can be wrong with a configuration: each variant prints one sentence that says what to do.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {what} {}: {error}; check the path and the permissions", path.display())]
    Read { path: PathBuf, what: &'static str, error: std::io::Error },
    #[error("{source_name} is not valid TOML: {reason}")]
    Syntax { source_name: String, reason: String },
    #[error("unknown key `{key}` in {origin}; {advice}")]
    UnknownKey { key: String, origin: String, advice: String },
    #[error("`{key}` in {origin} must be {expected}, but is {found}")]
    WrongType { key: String, origin: String, expected: String, found: String },
    #[error("{origin} cannot be used: {reason}")]
    Invalid { origin: String, reason: String },
    #[error("`{key}` is not set; {advice}")]
    Missing { key: &'static str, advice: String },
}
