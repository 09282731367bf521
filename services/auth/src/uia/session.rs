//! What is remembered between the stages, and the rules of completing it.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use matrixon_runtime::random;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{Flow, Stage, seal, stages::Proof};
use crate::state::Auth;

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
    user: Option<String>,
    pub(super) params: Map<String, Value>,
    /// Instead of parameters that are too many to be kept: their digest.
    #[serde(default)]
    params_digest: Option<String>,
    pub(super) completed: Vec<Stage>,
    pub(super) registration_token: Option<String>,
    /// The account that this session made.
    #[serde(default)]
    pub(super) registered: Option<String>,
}

impl Session {
    pub(super) fn new(operation: String, user: Option<&str>) -> Self {
        Self {
            id: random::id(ID_CHARS),
            operation,
            user: user.map(str::to_owned),
            params: Map::new(),
            params_digest: None,
            completed: Vec::new(),
            registration_token: None,
            registered: None,
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
        self.params.clone_from(params);
        self.params_digest = None;
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
        if !self.completed.contains(&stage) {
            self.completed.push(stage);
        }
        if proof.registration_token.is_some() {
            self.registration_token = proof.registration_token;
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
        let sealed = auth.cache.get(&seal::cache_key(id)).await.ok()??;
        let mut session: Self = serde_json::from_slice(&seal::open(id, &sealed)?).ok()?;
        id.clone_into(&mut session.id);
        Some(session)
    }

    /// Losing it only costs the client another round.
    pub(super) async fn save(&self, auth: &Auth) {
        let lifetime = Duration::from_secs(auth.config.interactive_session_seconds.max(1));
        let Ok(plain) = serde_json::to_vec(&self.shortened()) else { return };
        let Some(sealed) = seal::seal(&self.id, plain) else { return };
        if let Err(error) = auth.cache.set(&seal::cache_key(&self.id), sealed.into(), lifetime).await {
            tracing::debug!(%error, "an interactive session could not be kept");
        }
    }

    pub(super) async fn delete(&self, auth: &Auth) {
        if let Err(error) = auth.cache.delete(&seal::cache_key(&self.id)).await {
            tracing::debug!(%error, "an interactive session could not be deleted");
        }
    }
}

fn digest(params: &Map<String, Value>) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(serde_json::to_vec(params).unwrap_or_default()))
}
