//! The whole configuration: one section per role or library, each owned by its crate.

use std::path::Path;

use matrixon_runtime::config::{
    ClusterConfig, ConfigError, ListenConfig, ServerConfig, ShutdownConfig, Source, TelemetryConfig, load,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The configuration of a Matrixon process.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) server: ServerConfig,
    pub(crate) listen: ListenConfig,
    pub(crate) database: matrixon_store::Config,
    pub(crate) bus: matrixon_bus::Config,
    pub(crate) cache: matrixon_cache::Config,
    pub(crate) backup: crate::backup::BackupConfig,
    pub(crate) cluster: ClusterConfig,
    pub(crate) discovery: matrixon_rpc::Config,
    pub(crate) telemetry: TelemetryConfig,
    pub(crate) shutdown: ShutdownConfig,
    pub(crate) egress: matrixon_egress::Config,
    pub(crate) gateway: matrixon_gateway::Config,
    pub(crate) auth: matrixon_auth::Config,
    pub(crate) room: matrixon_room::Config,
    pub(crate) sync: matrixon_sync::Config,
    pub(crate) media: matrixon_media::Config,
    pub(crate) federation: matrixon_federation::Config,
}

/// Loads the configuration as `--config` and the environment say; also tells where it was found.
pub(crate) fn load_from(explicit: Option<&Path>) -> Result<(Config, Source), ConfigError> {
    let source = Source::discover(explicit);
    load(&source).map(|config| (config, source))
}
