//! Frames, compressed, sealed when there is a key, and hashed, on their way to a destination and back.
//!
//! `MXBK`, version 1, 1 when encrypted, then 32 bytes of salt; all the rest is zstd, sealed or not.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail, ensure};
use futures::{Stream, StreamExt as _, stream::Fuse};
use matrixon_runtime::config::Secret;
use object_store::buffered::BufWriter;
use ring::digest::{Context as Digest, SHA256};
use tokio::io::AsyncWriteExt as _;

use super::{
    destination::Destination,
    frames::{self, Frame},
    manifest::Manifest,
    seal::{SALT, Seal},
};

const MAGIC: &[u8; 5] = b"MXBK\x01";

pub(super) struct Writer {
    zstd: zstd::stream::write::Encoder<'static, Vec<u8>>,
    seal: Option<Seal>,
    out: BufWriter,
    digest: Digest,
    pub(super) bytes: u64,
    pub(super) plain_bytes: u64,
    frame: Vec<u8>,
}

impl Writer {
    pub(super) async fn create(destination: &Destination, name: &str, key: &Secret, level: i32) -> Result<Self> {
        let salt = Seal::new_salt();
        let seal = if key.is_empty() { None } else { Some(Seal::new(key, &salt)?) };
        let mut writer = Self {
            zstd: zstd::stream::write::Encoder::new(Vec::new(), level.clamp(1, 19))?,
            out: destination.writer(name),
            digest: Digest::new(&SHA256),
            bytes: 0,
            plain_bytes: 0,
            frame: Vec::new(),
            seal,
        };
        let mut head = MAGIC.to_vec();
        head.push(writer.seal.is_some().into());
        if writer.seal.is_some() {
            head.extend_from_slice(&salt);
        }
        writer.emit(&head).await?;
        Ok(writer)
    }

    pub(super) async fn push(&mut self, frame: &Frame) -> Result<()> {
        self.frame.clear();
        frames::encode(frame, &mut self.frame)?;
        self.plain_bytes += self.frame.len() as u64;
        self.zstd.write_all(&self.frame)?;
        let ready = std::mem::take(self.zstd.get_mut());
        self.pass_on(&ready).await
    }

    /// Makes it whole; returns the hash of what is stored.
    pub(super) async fn finish(mut self) -> Result<Written> {
        self.push(&Frame::End).await?;
        let zstd = std::mem::replace(&mut self.zstd, zstd::stream::write::Encoder::new(Vec::new(), 1)?);
        let rest = zstd.finish()?;
        self.pass_on(&rest).await?;
        if let Some(seal) = &mut self.seal {
            let last = seal.seal_last()?;
            self.emit(&last).await?;
        }
        self.out.shutdown().await?;
        Ok(Written { sha256: hex(self.digest.finish().as_ref()), bytes: self.bytes, plain_bytes: self.plain_bytes })
    }

    /// Leaves nothing behind.
    pub(super) async fn abort(mut self) {
        if let Err(error) = self.out.abort().await {
            eprintln!("matrixon: what was written of the unfinished backup could not be removed: {error}");
        }
    }

    async fn pass_on(&mut self, ready: &[u8]) -> Result<()> {
        match &mut self.seal {
            None => self.emit(ready).await,
            Some(seal) => {
                let sealed = seal.seal(ready)?;
                self.emit(&sealed).await
            }
        }
    }

    async fn emit(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes).await?;
        Ok(())
    }
}

pub(super) struct Written {
    pub(super) sha256: String,
    pub(super) bytes: u64,
    pub(super) plain_bytes: u64,
}

pub(super) struct Reader<S> {
    stream: Fuse<S>,
    digest: Option<Digest>,
    sha256: String,
    seal: Option<Seal>,
    zstd: zstd::stream::write::Decoder<'static, Vec<u8>>,
    plain: Vec<u8>,
    ended: bool,
}

impl<S: Stream<Item = object_store::Result<bytes::Bytes>> + Unpin> Reader<S> {
    pub(super) async fn open(stream: S, manifest: &Manifest, key: &Secret) -> Result<Self> {
        let mut stream = stream.fuse();
        let mut head = Vec::new();
        let mut digest = Digest::new(&SHA256);
        while head.len() < MAGIC.len() + 1 + SALT {
            let Some(chunk) = stream.next().await else { break };
            let chunk = chunk?;
            digest.update(&chunk);
            head.extend_from_slice(&chunk);
        }
        ensure!(
            head.starts_with(MAGIC) && head.len() > MAGIC.len(),
            "{} is no backup of Matrixon, or damaged",
            manifest.name
        );
        let encrypted = head[MAGIC.len()] == 1;
        let mut rest = head.split_off(MAGIC.len() + 1);
        let mut seal = None;
        if encrypted {
            ensure!(
                !key.is_empty(),
                "{} is encrypted: set `backup.encryption_key` to the key that it was made with",
                manifest.name
            );
            let after = if rest.len() < SALT { bail!("{} is cut off", manifest.name) } else { rest.split_off(SALT) };
            let salt: [u8; SALT] = rest.as_slice().try_into().context("the salt")?;
            seal = Some(Seal::new(key, &salt)?);
            rest = after;
        }
        let zstd = zstd::stream::write::Decoder::new(Vec::new())?;
        let sha256 = manifest.sha256.clone();
        let mut reader = Self { stream, digest: Some(digest), sha256, seal, zstd, plain: Vec::new(), ended: false };
        reader.take(&rest)?;
        Ok(reader)
    }

    /// `Frame::End` comes once all has been read and its hash is right.
    pub(super) async fn next(&mut self) -> Result<Frame> {
        loop {
            match frames::decode(&mut self.plain)? {
                Some(Frame::End) => {
                    self.drain().await?;
                    return Ok(Frame::End);
                }
                Some(frame) => return Ok(frame),
                None if self.ended => bail!("the backup is cut off"),
                None => self.read_on().await?,
            }
        }
    }

    async fn drain(&mut self) -> Result<()> {
        while !self.ended {
            self.read_on().await?;
        }
        ensure!(self.plain.is_empty(), "the backup goes on after its end");
        let digest = self.digest.take().context("read to its end twice")?;
        let found = hex(digest.finish().as_ref());
        ensure!(found == self.sha256, "the backup is damaged: its SHA-256 is {found} and was {}", self.sha256);
        Ok(())
    }

    async fn read_on(&mut self) -> Result<()> {
        let Some(chunk) = self.stream.next().await else {
            self.ended = true;
            if let Some(seal) = &mut self.seal {
                let plain = seal.open_last()?;
                self.zstd.write_all(&plain)?;
            }
            self.zstd.flush()?;
            self.plain.append(self.zstd.get_mut());
            return Ok(());
        };
        let chunk = chunk?;
        if let Some(digest) = &mut self.digest {
            digest.update(&chunk);
        }
        self.take(&chunk)
    }

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        match &mut self.seal {
            None => self.zstd.write_all(chunk)?,
            Some(seal) => self.zstd.write_all(&seal.open(chunk)?)?,
        }
        self.plain.append(self.zstd.get_mut());
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // writing to a String cannot fail
        let _written = write!(text, "{byte:02x}");
        text
    })
}
