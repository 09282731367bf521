//! Configuration: one TOML file with a section per role or library, every field overridable by the environment.
//!
//! `MATRIXON__SECTION__FIELD=value` overrides a field, `MATRIXON__SECTION__FIELD_FILE=/path` reads it from a file.
//! Unknown keys and wrong types are errors that name the key, found by walking the JSON schema of the configuration.

mod authorities;
mod env;
mod error;
mod generate;
mod load;
mod schema;
mod secret;
mod sections;
mod source;
#[cfg(test)]
mod tests;

pub use authorities::{BadAuthorities, find_bad_certificate, find_distrust, read_authorities, system_authorities};
pub use error::ConfigError;
pub use generate::generate;
pub use load::load;
pub use secret::Secret;
pub use sections::{ClusterConfig, ListenConfig, LogFormat, ServerConfig, ShutdownConfig, TelemetryConfig};
pub use source::Source;
