//! Backups of the database: made while everybody works, verified, restored, pruned. See docs/operations/backup.md.
//!
//! A backup is two objects at the destination: `NAME.mxb`, the archive, and `NAME.json`, its manifest, written last.

mod archive;
mod config;
mod destination;
mod frames;
mod make;
mod manifest;
mod prune;
mod restore;
mod seal;
mod verify;

pub(crate) use self::{
    config::BackupConfig,
    destination::Destination,
    make::{Source, make},
    manifest::Manifest,
    prune::prune,
    restore::{Target, restore},
    verify::verify,
};

use anyhow::{Context as _, Result};

use crate::failure::Failure;

/// The backup of this name, or the newest one.
pub(crate) async fn find(destination: &Destination, name: Option<&str>) -> Result<Manifest> {
    let mut all = destination.list().await?;
    let found = match name {
        None | Some("latest") => all.pop(),
        Some(name) => all.into_iter().find(|manifest| manifest.name == name),
    };
    let missing = || match name {
        None | Some("latest") => {
            format!("there is no backup in {}; `matrixon database backup` makes one", destination.place)
        }
        Some(name) => {
            format!("there is no backup `{name}` in {}; `matrixon database backups` lists them", destination.place)
        }
    };
    let manifest = found.with_context(missing).map_err(|error| Failure::failed(error.to_string()))?;
    if manifest.format > manifest::FORMAT {
        let (found, known) = (manifest.format, manifest::FORMAT);
        let text =
            format!("{} has format {found} and this binary reads {known} at most: use a newer version", manifest.name);
        return Err(Failure::failed(text).into());
    }
    Ok(manifest)
}
