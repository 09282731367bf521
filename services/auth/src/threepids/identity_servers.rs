//! Requests to identity servers.

use std::sync::Arc;

use bytes::Bytes;
use http::header;
use matrixon_egress::{Answer, Egress};
use ruma::{
    OwnedServerName, ServerName,
    api::federation::authentication::{XMatrix, XMatrixSigningInput},
    signatures::Ed25519KeyPair,
};
use serde_json::Value;

use super::ThreepidError;

const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The identity servers that we work with.
pub(crate) struct IdentityServers {
    /// As configured: a host, or a whole address such as `http://127.0.0.1:8090`.
    known: Vec<String>,
    egress: Option<Egress>,
    signing_key: Option<Arc<Ed25519KeyPair>>,
}

impl IdentityServers {
    pub(crate) fn new(known: &[String], egress: Option<Egress>, signing_key: Option<Arc<Ed25519KeyPair>>) -> Self {
        Self { known: known.to_vec(), egress, signing_key }
    }

    /// Where a server that clients name by its host is. `M_SERVER_NOT_TRUSTED` ← not configured
    fn find(&self, id_server: &str) -> Result<(String, &Egress), ThreepidError> {
        let host =
            |known: &str| known.split_once("://").map_or(known, |(_, rest)| rest).trim_end_matches('/').to_owned();
        let known = self.known.iter().find(|known| host(known).eq_ignore_ascii_case(id_server));
        let (Some(known), Some(egress)) = (known, &self.egress) else { return Err(ThreepidError::ServerNotTrusted) };
        let scheme = known.split_once("://").map_or("https", |(scheme, _)| scheme);
        Ok((format!("{scheme}://{}", host(known)), egress))
    }

    pub(super) async fn post(
        &self,
        id_server: &str,
        path: &str,
        authorization: &str,
        body: &Value,
    ) -> Result<Answer, ThreepidError> {
        let (base, egress) = self.find(id_server)?;
        let away = |error: &dyn std::fmt::Display| {
            tracing::warn!(%error, id_server, "an identity server could not be asked");
            ThreepidError::ServerAway
        };
        let request = egress.post(&format!("{base}{path}")).map_err(|error| away(&error))?;
        let request = request.header(header::AUTHORIZATION, authorization).json(body);
        egress.send(request, MAX_ANSWER_BYTES).await.map_err(|error| away(&error))
    }

    /// The signature of this homeserver under a request.
    pub(super) fn sign(
        &self,
        (server_name, id_server): (&ServerName, &str),
        path: &str,
        body: &Value,
    ) -> Result<String, ThreepidError> {
        let Some(signing_key) = &self.signing_key else { return Err(ThreepidError::ServerNotTrusted) };
        let destination: OwnedServerName = id_server.try_into().map_err(|_| ThreepidError::ServerNotTrusted)?;
        let request = http::Request::post(path).body(Bytes::from(body.to_string()));
        let request = request.map_err(|_| ThreepidError::ServerNotTrusted)?;
        let input = XMatrixSigningInput::new(server_name.to_owned(), destination, signing_key);
        let signed = XMatrix::sign_http_request(&request, input).map_err(|error| {
            tracing::error!(%error, "a request to an identity server could not be signed");
            ThreepidError::ServerAway
        })?;
        Ok(signed.to_string())
    }
}
