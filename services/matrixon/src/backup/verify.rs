//! Reading a backup to its end: it can be decrypted, it is whole, and it holds what its manifest says.

use std::{collections::BTreeMap, io::Write as _};

use anyhow::{Result, bail, ensure};
use matrixon_runtime::config::Secret;
use matrixon_store::backup as store;

use super::{
    archive::Reader,
    destination::Destination,
    frames::Frame,
    manifest::{Engine, Manifest},
};

/// Fails with what is wrong. SQLite: the file itself is checked, too.
pub(crate) async fn verify(destination: &Destination, manifest: &Manifest, key: &Secret) -> Result<()> {
    let stream = destination.read(&manifest.name).await?;
    let mut reader = Reader::open(stream, manifest, key).await?;
    let mut tables: BTreeMap<String, u64> = BTreeMap::new();
    let mut open: Option<String> = None;
    let mut lines = 0;
    let mut file = None;
    loop {
        match reader.next().await? {
            Frame::Table(head) => (open, lines) = (Some(head.name), 0),
            Frame::File => file = Some(tempfile::NamedTempFile::new()?),
            Frame::Data(data) => match &mut file {
                Some(file) => file.write_all(&data)?,
                None => lines += store::count_lines(&data),
            },
            Frame::TableEnd(end) => {
                let Some(name) = open.take() else { bail!("the backup is damaged: rows of no table") };
                ensure!(lines == end.rows, "the backup is damaged: `{name}` has {lines} rows of {}", end.rows);
                tables.insert(name, end.rows);
            }
            Frame::End => break,
        }
    }
    if let Some(file) = file {
        let (verdict, schema) = store::integrity(file.path()).await?;
        ensure!(verdict == "ok", "the database in the backup is damaged: {verdict}");
        ensure!(schema == manifest.schema, "the backup holds another schema than its manifest says");
    }
    ensure!(tables == manifest.tables, "the backup holds other tables or rows than its manifest says");
    ensure!((manifest.engine == Engine::Sqlite) == tables.is_empty(), "the backup is empty");
    Ok(())
}
