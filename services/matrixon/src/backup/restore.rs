//! Putting a backup back.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use matrixon_runtime::config::Secret;
use matrixon_store::{Config as DatabaseConfig, backup as store, migrations};

use super::{
    archive::Reader,
    destination::Destination,
    frames::Frame,
    manifest::{Engine, Manifest},
};
use crate::{connect::connect, failure::Failure, run_file};

/// What becomes of it.
pub(crate) struct Target<'a> {
    pub(crate) database: &'a DatabaseConfig,
    pub(crate) server_name: &'a str,
    /// Nobody may run on it.
    pub(crate) data_dir: &'a Path,
    /// SQLite: move what is there aside.
    pub(crate) replace: bool,
}

/// Restores, brings the schema up to this binary's, and moves the streams ahead so that clients go on with the tokens they have.
pub(crate) async fn restore(
    target: &Target<'_>,
    destination: &Destination,
    manifest: &Manifest,
    key: &Secret,
) -> Result<()> {
    if manifest.server_name != target.server_name {
        let (theirs, ours) = (&manifest.server_name, target.server_name);
        return Err(
            Failure::failed(format!("{} is a backup of {theirs}, and `server.name` is {ours}", manifest.name)).into()
        );
    }
    if let Some(run) = run_file::read(target.data_dir)? {
        return Err(Failure::failed(format!(
            "process {} runs on {}; stop it first",
            run.pid,
            target.data_dir.display()
        ))
        .into());
    }
    let url = &target.database.url;
    match (manifest.engine, sqlite_path(url)) {
        (Engine::Sqlite, Some(path)) => restore_file(&path, target.replace, destination, manifest, key).await?,
        (Engine::Postgres, None) => restore_tables(target.database, destination, manifest, key).await?,
        (Engine::Sqlite, None) => bail!("{} is a backup of SQLite, and `database.url` is PostgreSQL", manifest.name),
        (Engine::Postgres, Some(_)) => {
            bail!("{} is a backup of PostgreSQL, and `database.url` is SQLite", manifest.name)
        }
    }
    let db = connect(target.database).await?;
    migrations::migrate(&db).await?;
    store::skip_positions(&db).await?;
    // one-time keys that were given out since must not be given out again
    matrixon_auth::admin::after_restore(&db).await?;
    db.close().await;
    Ok(())
}

async fn restore_tables(
    database: &DatabaseConfig,
    destination: &Destination,
    manifest: &Manifest,
    key: &Secret,
) -> Result<()> {
    // What cannot be read to its end must not be begun with.
    super::verify(destination, manifest, key).await?;
    let db = connect(database).await?;
    let mut restore = store::Restore::begin(&db, &manifest.schema).await?;
    let mut reader = Reader::open(destination.read(&manifest.name).await?, manifest, key).await?;
    loop {
        match reader.next().await? {
            Frame::Table(head) => {
                let table = store::Table { name: head.name, columns: head.columns };
                let mut expected = None;
                let reader = &mut reader;
                let expects = &mut expected;
                let rows = restore
                    .copy_in(&table, async || match reader.next().await? {
                        Frame::Data(data) => Ok(Some(data)),
                        Frame::TableEnd(end) => {
                            *expects = Some(end.rows);
                            Ok(None)
                        }
                        _ => bail!("the backup is damaged: a table without an end"),
                    })
                    .await??;
                ensure!(expected == Some(rows), "`{}` got {rows} rows of {expected:?}", table.name);
            }
            Frame::End => break,
            _ => bail!("the backup is damaged: rows of no table"),
        }
    }
    restore.commit().await?;
    db.close().await;
    Ok(())
}

async fn restore_file(
    path: &Path,
    replace: bool,
    destination: &Destination,
    manifest: &Manifest,
    key: &Secret,
) -> Result<()> {
    if path.exists() && !replace {
        let advice = "stop Matrixon, then restore with --replace, which moves it aside";
        return Err(Failure::failed(format!("{} exists; {advice}", path.display())).into());
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    crate::files::create_directory(directory)?;
    let fresh = sibling(path, ".restoring");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    let mut reader = Reader::open(destination.read(&manifest.name).await?, manifest, key).await?;
    loop {
        match reader.next().await? {
            Frame::File => {}
            Frame::Data(data) => file.write_all(&data).with_context(|| format!("cannot write {}", fresh.display()))?,
            Frame::End => break,
            _ => bail!("the backup is damaged: a table in a file"),
        }
    }
    file.sync_all()?;
    let (verdict, _) = store::integrity(&fresh).await?;
    ensure!(verdict == "ok", "the database in the backup is damaged: {verdict}");
    if path.exists() {
        let stamp = super::manifest::stamp(matrixon_runtime::clock::Clock::system().now_ms());
        // The log goes with its database: without it the old one would miss its last transactions.
        for suffix in ["", "-wal", "-shm"] {
            let old = sibling(path, suffix);
            if old.exists() {
                fs::rename(&old, sibling(path, &format!(".before-{stamp}{suffix}")))?;
            }
        }
    }
    fs::rename(&fresh, path)?;
    fs::File::open(directory)?.sync_all()?;
    Ok(())
}

fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The file of a `sqlite:` URL.
pub(super) fn sqlite_path(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix("sqlite:")?;
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    Some(PathBuf::from(rest.split_once('?').map_or(rest, |(path, _options)| path)))
}
