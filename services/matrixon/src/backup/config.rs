//! Section `backup`.

use matrixon_runtime::config::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where `matrixon database backup` puts what it makes.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BackupConfig {
    /// A directory, or `s3://BUCKET/PREFIX`. Empty: `backups` in `server.data_dir`.
    pub(crate) destination: String,
    /// `matrixon database prune` deletes what is older.
    pub(crate) retention_days: u32,
    /// And never goes below so many backups.
    pub(crate) keep_at_least: u32,
    /// zstd, 1 (fast) to 19 (small).
    pub(crate) compression_level: i32,
    /// Backups are encrypted with it (ChaCha20-Poly1305, a key derived for each backup); at least
    /// 32 characters, for example from `openssl rand -hex 32`. Keep it elsewhere too: without it a backup is noise. Empty: plain.
    pub(crate) encryption_key: Secret,
    /// The bucket's server, for `s3://` destinations.
    pub(crate) s3: S3Config,
}

/// Amazon S3, or what speaks like it.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct S3Config {
    /// Such as `https://minio.example.org`; empty: Amazon's of the region.
    pub(crate) endpoint: String,
    pub(crate) region: String,
    /// Empty: the instance's or pod's own role.
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Secret,
}

impl Default for BackupConfig {
    fn default() -> Self {
        Self {
            destination: String::new(),
            retention_days: 30,
            keep_at_least: 3,
            compression_level: 3,
            encryption_key: Secret::default(),
            s3: S3Config::default(),
        }
    }
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            region: "us-east-1".to_owned(),
            access_key_id: String::new(),
            secret_access_key: Secret::default(),
        }
    }
}
