//! `matrixon database backup|backups|verify|restore|prune`

use anyhow::{Context as _, Result};

use super::super::show;
use crate::{
    backup::{self, Destination, Manifest, Source, Target},
    cli::DatabaseCommand,
    connect::{connect_migrated, without_password},
    settings::Settings,
};

/// The commands that need the destination of backups.
pub(super) enum Command<'a> {
    Backup { prune: bool },
    List,
    Verify { name: Option<&'a str> },
    Restore { name: &'a str, replace: bool },
    Prune { dry: bool },
}

impl<'a> Command<'a> {
    pub(super) fn of(command: &'a DatabaseCommand) -> Option<Self> {
        Some(match command {
            DatabaseCommand::Backup { prune } => Self::Backup { prune: *prune },
            DatabaseCommand::Backups => Self::List,
            DatabaseCommand::Verify { name } => Self::Verify { name: name.as_deref() },
            DatabaseCommand::Restore { name, replace } => Self::Restore { name, replace: *replace },
            DatabaseCommand::Prune { dry_run } => Self::Prune { dry: *dry_run },
            _ => return None,
        })
    }
}

pub(super) async fn run(settings: &Settings, command: &Command<'_>) -> Result<()> {
    let config = &settings.config.backup;
    let key = &config.encryption_key;
    let destination = Destination::open(config, &settings.config.server)?;
    match command {
        Command::Backup { prune } => {
            make(settings, &destination).await?;
            if *prune {
                self::prune(settings, &destination, false).await?;
            }
        }
        Command::List => list(&destination).await?,
        Command::Verify { name } => {
            let manifest = backup::find(&destination, *name).await?;
            backup::verify(&destination, &manifest, key).await.with_context(|| {
                format!("{} must not be relied on: make another backup, and look at the storage", manifest.name)
            })?;
            show(format_args!("{} is whole", manifest.name));
        }
        Command::Restore { name, replace } => restore(settings, &destination, name, *replace).await?,
        Command::Prune { dry } => prune(settings, &destination, *dry).await?,
    }
    Ok(())
}

async fn make(settings: &Settings, destination: &Destination) -> Result<()> {
    let db = connect_migrated(settings).await?;
    let source =
        Source { db: &db, server_name: &settings.config.server.name, scratch: &settings.config.server.data_dir };
    let manifest = backup::make(&source, &settings.config.backup, destination).await?;
    db.close().await;
    let seconds = (manifest.finished_ms - manifest.started_ms) as f64 / 1_000.0;
    let (bytes, plain) = (manifest.bytes, manifest.plain_bytes);
    show(format_args!("{}: {bytes} bytes of {plain} in {seconds:.1} s, in {}", manifest.name, destination.place));
    Ok(())
}

async fn list(destination: &Destination) -> Result<()> {
    show(format_args!(
        "{:<36} {:<10} {:>7} {:>14} {:<10} {}",
        "name", "engine", "schema", "bytes", "encrypted", "server"
    ));
    for manifest in destination.list().await? {
        let Manifest { name, server_name, bytes, .. } = &manifest;
        let engine = format!("{:?}", manifest.engine).to_lowercase();
        let encrypted = if manifest.encrypted { "yes" } else { "no" };
        let schema = manifest.schema_version();
        show(format_args!("{name:<36} {engine:<10} {schema:>7} {bytes:>14} {encrypted:<10} {server_name}"));
    }
    Ok(())
}

async fn restore(settings: &Settings, destination: &Destination, name: &str, replace: bool) -> Result<()> {
    let config = &settings.config;
    let manifest = backup::find(destination, Some(name)).await?;
    let data_dir = &config.server.data_dir;
    let target = Target { database: &config.database, server_name: &config.server.name, data_dir, replace };
    backup::restore(&target, destination, &manifest, &config.backup.encryption_key).await?;
    show(format_args!("{} is restored into {}", manifest.name, without_password(&config.database.url)));
    let key = config.server.signing_key_path();
    if !key.exists() {
        show(format_args!(
            "the signing key {} is not there: backups do not hold it, bring it from where you keep it",
            key.display()
        ));
    }
    Ok(())
}

async fn prune(settings: &Settings, destination: &Destination, dry: bool) -> Result<()> {
    let names = backup::prune(&settings.config.backup, destination, dry).await?;
    for name in &names {
        show(format_args!("{} {name}", if dry { "would delete" } else { "deleted" }));
    }
    if names.is_empty() {
        show(format_args!(
            "nothing in {} is older than {} days",
            destination.place, settings.config.backup.retention_days
        ));
    }
    Ok(())
}
