//! What is remembered between the stages, and the rules of completing it.

use std::time::Duration;

use matrixon_runtime::random;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    pub(super) completed: Vec<Stage>,
    pub(super) registration_token: Option<String>,
}

impl Session {
    pub(super) fn new(operation: String, user: Option<&str>) -> Self {
        Self {
            id: random::id(ID_CHARS),
            operation,
            user: user.map(str::to_owned),
            params: Map::new(),
            completed: Vec::new(),
            registration_token: None,
        }
    }

    /// Was it made for this operation by this user?
    pub(super) fn is_for(&self, operation: &str, user: Option<&str>) -> bool {
        self.operation == operation && self.user.as_deref() == user
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
        let Ok(mut plain) = serde_json::to_vec(self) else { return };
        if plain.len() > MAX_PARAMS_BYTES {
            let small = Self { params: Map::new(), ..self.clone() };
            plain = serde_json::to_vec(&small).unwrap_or_default();
        }
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
