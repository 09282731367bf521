//! Where backups are: a directory or a bucket.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use futures::TryStreamExt as _;
use matrixon_runtime::config::ServerConfig;
use object_store::{
    ObjectStore, ObjectStoreExt as _, buffered::BufWriter, local::LocalFileSystem, path::Path, prefix::PrefixStore,
};

use super::{config::BackupConfig, manifest::Manifest};

const ARCHIVE: &str = "mxb";
const MANIFEST: &str = "json";
/// One part of an upload: 10,000 of them make 160 GiB.
const PART: usize = 16 << 20;

pub(crate) struct Destination {
    store: Arc<dyn ObjectStore>,
    /// As the operator wrote it.
    pub(crate) place: String,
}

impl Destination {
    pub(crate) fn open(config: &BackupConfig, server: &ServerConfig) -> Result<Self> {
        if let Some(rest) = config.destination.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            ensure!(
                !bucket.is_empty(),
                "`backup.destination` is `s3://…` without a bucket; write it as s3://BUCKET/PREFIX"
            );
            let store = open_bucket(config, bucket)?;
            let store: Arc<dyn ObjectStore> =
                if prefix.is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, Path::from(prefix))) };
            return Ok(Self { store, place: config.destination.clone() });
        }
        let directory = match config.destination.as_str() {
            "" => server.data_dir.join("backups"),
            directory => PathBuf::from(directory),
        };
        crate::files::create_directory(&directory)
            .with_context(|| format!("`backup.destination` is `{}`, which cannot be used", directory.display()))?;
        let store = LocalFileSystem::new_with_prefix(&directory)?.with_fsync(true);
        Ok(Self { store: Arc::new(store), place: directory.display().to_string() })
    }

    pub(super) fn writer(&self, name: &str) -> BufWriter {
        BufWriter::with_capacity(self.store.clone(), archive(name), PART).with_max_concurrency(2)
    }

    pub(super) async fn read(
        &self,
        name: &str,
    ) -> Result<impl futures::Stream<Item = object_store::Result<bytes::Bytes>> + Unpin> {
        Ok(self.store.get(&archive(name)).await.with_context(|| self.unreadable(name))?.into_stream())
    }

    pub(super) async fn put_manifest(&self, manifest: &Manifest) -> Result<()> {
        let text = serde_json::to_vec_pretty(manifest)?;
        self.store.put(&beside(&manifest.name), text.into()).await.with_context(|| self.unwritable())?;
        Ok(())
    }

    /// The newest last.
    pub(crate) async fn list(&self) -> Result<Vec<Manifest>> {
        let mut manifests = Vec::new();
        for (name, extension, _) in self.objects().await? {
            if extension == MANIFEST {
                let found =
                    self.store.get(&beside(&name)).await.with_context(|| self.unreadable(&name))?.bytes().await?;
                // somebody else's file is none of ours
                if let Ok(manifest) = serde_json::from_slice::<Manifest>(&found) {
                    manifests.push(manifest);
                }
            }
        }
        manifests.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(manifests)
    }

    /// Archives without a manifest, with their age: what an interrupted backup left behind.
    pub(super) async fn orphans(&self, now_ms: i64) -> Result<Vec<(String, i64)>> {
        let objects = self.objects().await?;
        let has_manifest =
            |name: &str| objects.iter().any(|(other, extension, _)| other == name && extension == MANIFEST);
        let orphans = objects.iter().filter(|(name, extension, _)| extension == ARCHIVE && !has_manifest(name));
        Ok(orphans.map(|(name, _, modified_ms)| (name.clone(), now_ms - modified_ms)).collect())
    }

    /// The manifest first: half a backup is none.
    pub(super) async fn delete(&self, name: &str) -> Result<()> {
        for path in [beside(name), archive(name)] {
            match self.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error).with_context(|| format!("cannot delete {name} in {}", self.place)),
            }
        }
        Ok(())
    }

    async fn objects(&self) -> Result<Vec<(String, String, i64)>> {
        let found: Vec<_> = self.store.list(None).try_collect().await.with_context(|| self.unlistable())?;
        let ours = found.into_iter().filter_map(|meta| {
            let (name, extension) = meta.location.filename()?.rsplit_once('.')?;
            let is_ours = name.starts_with("matrixon-") && [ARCHIVE, MANIFEST].contains(&extension);
            is_ours.then(|| (name.to_owned(), extension.to_owned(), meta.last_modified.timestamp_millis()))
        });
        Ok(ours.collect())
    }

    fn unlistable(&self) -> String {
        format!("cannot list {}; check `backup.destination`, that it exists, and for a bucket `backup.s3`", self.place)
    }

    pub(super) fn unwritable(&self) -> String {
        format!(
            "cannot write to {}; check that there is room and that we may write there, and for a bucket `backup.s3`",
            self.place
        )
    }

    pub(super) fn unreadable(&self, name: &str) -> String {
        format!("cannot read {name} in {}", self.place)
    }
}

#[cfg(not(feature = "s3"))]
fn open_bucket(config: &BackupConfig, _bucket: &str) -> Result<LocalFileSystem> {
    anyhow::bail!(
        "`backup.destination` is `{}`, and this build cannot use buckets (no feature `s3`)",
        config.destination
    )
}

#[cfg(feature = "s3")]
fn open_bucket(config: &BackupConfig, bucket: &str) -> Result<impl ObjectStore> {
    let s3 = &config.s3;
    // Somebody may have installed it before.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let mut builder = object_store::aws::AmazonS3Builder::new().with_bucket_name(bucket).with_region(&s3.region);
    if !s3.endpoint.is_empty() {
        builder = builder.with_endpoint(&s3.endpoint).with_allow_http(s3.endpoint.starts_with("http://"));
    }
    if !s3.access_key_id.is_empty() {
        builder = builder.with_access_key_id(&s3.access_key_id).with_secret_access_key(s3.secret_access_key.expose());
    }
    builder.build().with_context(|| {
        format!("`backup.destination` is `{}`, which cannot be used with `backup.s3`", config.destination)
    })
}

fn archive(name: &str) -> Path {
    Path::from(format!("{name}.{ARCHIVE}"))
}

fn beside(name: &str) -> Path {
    Path::from(format!("{name}.{MANIFEST}"))
}
