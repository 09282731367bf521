//! Making a backup.

use std::{collections::BTreeMap, io::Read as _, path::Path};

use anyhow::{Context as _, Result};
use matrixon_runtime::{clock::Clock, random};
use matrixon_store::{Db, backup as store};

use super::{
    archive::Writer,
    config::BackupConfig,
    destination::Destination,
    frames::{Frame, TableEnd, TableHead},
    manifest::{Engine, FORMAT, Manifest, stamp},
};

/// Rows are gathered to frames of about this size.
const PIECE: usize = 256 * 1024;

/// What a backup is of.
pub(crate) struct Source<'a> {
    pub(crate) db: &'a Db,
    pub(crate) server_name: &'a str,
    /// Where SQLite's copy may lie for a moment.
    pub(crate) scratch: &'a Path,
}

/// Makes one and enters it in the database, where monitoring finds it.
pub(crate) async fn make(source: &Source<'_>, config: &BackupConfig, destination: &Destination) -> Result<Manifest> {
    let clock = Clock::system();
    let started_ms = clock.now_ms();
    let name = format!("matrixon-{}-{}", stamp(started_ms), random::id(6).to_lowercase());
    let mut writer = Writer::create(destination, &name, &config.encryption_key, config.compression_level).await?;
    let contents = match write(source, &mut writer).await {
        Ok(contents) => contents,
        Err(error) => {
            writer.abort().await;
            return Err(error);
        }
    };
    let written = writer.finish().await.with_context(|| destination.unwritable())?;
    let manifest = Manifest {
        format: FORMAT,
        name,
        server_name: source.server_name.to_owned(),
        engine: contents.engine,
        schema: contents.schema,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_ms,
        finished_ms: clock.now_ms(),
        bytes: written.bytes,
        plain_bytes: written.plain_bytes,
        sha256: written.sha256,
        encrypted: !config.encryption_key.is_empty(),
        tables: contents.tables,
    };
    destination.put_manifest(&manifest).await?;
    let run = store::Run {
        name: &manifest.name,
        destination: &destination.place,
        started_ms,
        finished_ms: manifest.finished_ms,
        bytes: manifest.bytes as i64,
    };
    // the backup is made; that monitoring does not know is worth a word, not a failure
    if let Err(error) = store::record_run(source.db, &run).await {
        eprintln!(
            "matrixon: the backup is made but could not be entered in the database, so an alert may come: {error}"
        );
    }
    Ok(manifest)
}

struct Contents {
    engine: Engine,
    schema: Vec<i64>,
    tables: BTreeMap<String, u64>,
}

async fn write(source: &Source<'_>, writer: &mut Writer) -> Result<Contents> {
    match store::Snapshot::begin(source.db).await? {
        Some(snapshot) => write_tables(snapshot, writer).await,
        None => write_file(source, writer).await,
    }
}

async fn write_tables(mut snapshot: store::Snapshot, writer: &mut Writer) -> Result<Contents> {
    let schema = snapshot.migrations().await?;
    let mut tables = BTreeMap::new();
    for table in snapshot.tables().await? {
        writer.push(&Frame::Table(TableHead { name: table.name.clone(), columns: table.columns.clone() })).await?;
        let mut piece = Vec::with_capacity(PIECE);
        let rows = {
            let (writer, piece) = (&mut *writer, &mut piece);
            snapshot
                .copy_out(&table, async |chunk: &[u8]| {
                    piece.extend_from_slice(chunk);
                    if piece.len() >= PIECE {
                        writer.push(&Frame::Data(std::mem::take(piece))).await?;
                    }
                    Ok::<(), anyhow::Error>(())
                })
                .await??
        };
        if !piece.is_empty() {
            writer.push(&Frame::Data(piece)).await?;
        }
        writer.push(&Frame::TableEnd(TableEnd { rows })).await?;
        tables.insert(table.name, rows);
    }
    Ok(Contents { engine: Engine::Postgres, schema, tables })
}

async fn write_file(source: &Source<'_>, writer: &mut Writer) -> Result<Contents> {
    let scratch = tempfile::Builder::new()
        .prefix(".backup-")
        .tempdir_in(source.scratch)
        .with_context(|| format!("cannot make a copy in {}; check that there is room", source.scratch.display()))?;
    let copy = scratch.path().join("copy.db");
    store::copy_into(source.db, &copy)
        .await
        .context("the database cannot be copied; check that there is room for a second one")?;
    let (verdict, schema) = store::integrity(&copy).await?;
    anyhow::ensure!(
        verdict == "ok",
        "the database is damaged ({verdict}): restore an earlier backup, or save what can be saved with `sqlite3 matrixon.db .recover`"
    );
    writer.push(&Frame::File).await?;
    let mut file = std::fs::File::open(&copy)?;
    loop {
        let mut piece = vec![0; PIECE];
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        piece.truncate(read);
        writer.push(&Frame::Data(piece)).await?;
    }
    Ok(Contents { engine: Engine::Sqlite, schema, tables: BTreeMap::new() })
}
