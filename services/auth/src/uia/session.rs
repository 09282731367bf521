//! What is remembered between the stages, and the rules of completing it.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures::future::try_join;
use matrixon_cache::CacheError;
use matrixon_runtime::random;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{Flow, Stage, seal, stages::Proof};
use crate::{state::Auth, threepids::Purpose};

/// 143 bits.
const ID_CHARS: usize = 24;
/// Ids longer than this are none of ours.
const MAX_ID_CHARS: usize = 64;
/// Larger bodies are not kept: the client must send them again with each stage, as it should anyway.
const MAX_PARAMS_BYTES: usize = 16 * 1024;

/// Fields are only ever added: versions N and N-1 read each other's.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Session {
    #[serde(skip)]
    pub(super) id: String,
    operation: String,
    pub(super) user: Option<String>,
    /// For what an e-mail address must have been confirmed.
    #[serde(default)]
    pub(super) purpose: Option<Purpose>,
    pub(super) params: Map<String, Value>,
    /// Instead of parameters that are too many to be kept: their digest.
    #[serde(default)]
    params_digest: Option<String>,
    pub(super) completed: Vec<Stage>,
    #[serde(flatten)]
    pub(super) proof: Proof,
    /// The account that this session made.
    #[serde(default)]
    pub(super) registered: Option<String>,
    /// When it was last written.
    #[serde(default)]
    saved_ms: i64,
    /// Something else than completed stages has changed since.
    #[serde(skip)]
    changed: bool,
    /// Completed since, to be written beside it.
    #[serde(skip)]
    fresh: Vec<(Stage, Proof)>,
}

impl Session {
    pub(super) fn new(operation: String, user: Option<&str>, purpose: Option<Purpose>) -> Self {
        Self {
            id: random::id(ID_CHARS),
            operation,
            user: user.map(str::to_owned),
            purpose,
            params: Map::new(),
            params_digest: None,
            completed: Vec::new(),
            proof: Proof::default(),
            registered: None,
            saved_ms: 0,
            changed: true,
            fresh: Vec::new(),
        }
    }

    /// Was it made for this operation by this user?
    pub(super) fn is_for(&self, operation: &str, user: Option<&str>) -> bool {
        self.operation == operation && self.user.as_deref() == user
    }

    /// Was it begun with other parameters than these?
    pub(super) fn began_otherwise(&self, params: &Map<String, Value>) -> bool {
        match &self.params_digest {
            Some(began) => *began != digest(params),
            None => !self.params.is_empty() && self.params != *params,
        }
    }

    pub(super) fn set_params(&mut self, params: &Map<String, Value>) {
        if self.params_digest.is_none() && self.params == *params {
            return;
        }
        self.params.clone_from(params);
        self.params_digest = None;
        self.changed = true;
    }

    /// What is kept of it.
    pub(super) fn shortened(&self) -> Self {
        let mut kept = self.clone();
        if serde_json::to_vec(&kept.params).is_ok_and(|bytes| bytes.len() > MAX_PARAMS_BYTES) {
            kept.params_digest = Some(digest(&kept.params));
            kept.params = Map::new();
        }
        kept
    }

    pub(super) fn complete(&mut self, stage: Stage, proof: Proof) {
        self.fresh.push((stage, proof.clone()));
        self.adopt(stage, proof);
    }

    fn adopt(&mut self, stage: Stage, proof: Proof) {
        if !self.completed.contains(&stage) {
            self.completed.push(stage);
        }
        // what was kept again has the proofs of all stages, perhaps older ones than theirs
        self.proof.merge(proof.of(stage));
    }

    /// The address must be confirmed again: its stage is as if it had not been completed.
    pub(super) async fn forget_address(&mut self, auth: &Auth) {
        const STAGE: Stage = Stage::EmailIdentity;
        self.completed.retain(|stage| *stage != STAGE);
        self.fresh.retain(|(stage, _)| *stage != STAGE);
        self.proof.validation = None;
        self.changed = true;
        let key = stages_key(&seal::cache_key(&self.id));
        if let Err(error) = patiently(auth, || auth.cache.hash_delete(&key, STAGE.name())).await {
            tracing::debug!(%error, "a completed stage could not be taken back");
        }
    }

    /// Every stage of some flow is done. A flow without stages would be no authentication.
    pub(super) fn is_done(&self, flows: &[Flow]) -> bool {
        flows.iter().any(|flow| !flow.is_empty() && flow.iter().all(|stage| self.completed.contains(stage)))
    }

    /// None: not there, or the cache is away, which comes to the same.
    pub(super) async fn find(auth: &Auth, id: &str) -> Option<Self> {
        if id.len() > MAX_ID_CHARS {
            return None;
        }
        let key = seal::cache_key(id);
        let stages = stages_key(&key);
        let read = || try_join(auth.cache.get(&key), auth.cache.hash_all(&stages));
        let (sealed, completed) = patiently(auth, read).await.ok()?;
        let mut session: Self = serde_json::from_slice(&seal::open(id, &sealed?)?).ok()?;
        id.clone_into(&mut session.id);
        for sealed in completed.into_values() {
            let opened = seal::open(id, &sealed);
            let opened = opened.and_then(|plain| serde_json::from_slice::<(Stage, Proof)>(&plain).ok());
            if let Some((stage, proof)) = opened {
                session.adopt(stage, proof);
            }
        }
        Some(session)
    }

    /// Writes what has changed. Losing it only costs the client another round.
    pub(super) async fn save(&self, auth: &Auth) {
        let lifetime = lifetime(auth);
        let age_ms = auth.clock.now_ms().saturating_sub(self.saved_ms);
        // a client that waits keeps its session alive, and rewrites it no more often than it must
        let renew = u128::try_from(age_ms).unwrap_or(0) * 2 > lifetime.as_millis();
        if self.changed || renew {
            self.write_base(auth, lifetime).await;
        }
        let fresh = self.fresh.iter().map(|(stage, proof)| (*stage, proof.clone()));
        let all = self.completed.iter().map(|stage| (*stage, self.proof.clone()));
        let due: Vec<(Stage, Proof)> = if renew { all.collect() } else { fresh.collect() };
        for entry in due {
            self.write_stage(auth, &entry, lifetime).await;
        }
    }

    /// The same when the session is in the cache no more.
    pub(super) async fn save_whole(&self, auth: &Auth) {
        self.write_base(auth, lifetime(auth)).await;
    }

    async fn write_base(&self, auth: &Auth, lifetime: Duration) {
        let mut kept = self.shortened();
        kept.saved_ms = auth.clock.now_ms();
        let sealed = serde_json::to_vec(&kept).ok().and_then(|plain| seal::seal(&self.id, plain));
        let Some(sealed) = sealed else { return };
        let (key, sealed) = (seal::cache_key(&self.id), Bytes::from(sealed));
        if let Err(error) = patiently(auth, || auth.cache.set(&key, sealed.clone(), lifetime)).await {
            tracing::debug!(%error, "an interactive session could not be kept");
        }
    }

    async fn write_stage(&self, auth: &Auth, entry: &(Stage, Proof), lifetime: Duration) {
        let sealed = serde_json::to_vec(entry).ok().and_then(|plain| seal::seal(&self.id, plain));
        let Some(sealed) = sealed else { return };
        let (key, sealed) = (stages_key(&seal::cache_key(&self.id)), Bytes::from(sealed));
        let write = || auth.cache.hash_set(&key, entry.0.name(), sealed.clone(), lifetime);
        if let Err(error) = patiently(auth, write).await {
            tracing::debug!(%error, "a completed stage could not be kept");
        }
    }

    pub(super) async fn delete(&self, auth: &Auth) {
        let key = seal::cache_key(&self.id);
        let stages = stages_key(&key);
        let delete = || try_join(auth.cache.delete(&key), auth.cache.delete(&stages));
        if let Err(error) = patiently(auth, delete).await {
            tracing::debug!(%error, "an interactive session could not be deleted");
        }
    }
}

/// How often a request to the cache is made while its connection breaks.
const TRIES: usize = 3;

/// A lost session is a page filled in for nothing: a connection that breaks is waited for, and the request made again.
async fn patiently<T, F>(auth: &Auth, request: impl Fn() -> F) -> Result<T, CacheError>
where
    F: Future<Output = Result<T, CacheError>>,
{
    for _ in 1..TRIES {
        match request().await {
            Err(CacheError::Unavailable) => auth.cache.settle().await,
            result => return result,
        }
    }
    request().await
}

fn lifetime(auth: &Auth) -> Duration {
    Duration::from_secs(auth.config.interactive_session_seconds.max(1))
}

/// Beside the session: what is completed, a field a stage.
fn stages_key(session: &str) -> String {
    format!("{session}:stages")
}

fn digest(params: &Map<String, Value>) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(serde_json::to_vec(params).unwrap_or_default()))
}
