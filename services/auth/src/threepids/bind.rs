//! Associations at identity servers, which a client asks us to make and which we later ask to end.

use std::sync::Arc;

use bytes::Bytes;
use http::header;
use matrixon_egress::{Answer, Egress};
use ruma::{
    OwnedServerName, ServerName, UserId,
    api::federation::authentication::{XMatrix, XMatrixSigningInput},
    signatures::Ed25519KeyPair,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ThreepidError, add::account_of, address::canonical_email};
use crate::{error::AuthError, state::Auth, store::threepids};

const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The identity servers that we work with.
pub(crate) struct IdentityServers {
    /// As configured: a host, or a whole address such as `http://127.0.0.1:8090`.
    known: Vec<String>,
    egress: Option<Egress>,
    signing_key: Option<Arc<Ed25519KeyPair>>,
}

/// Whether an identity server has been told that an association is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unbound {
    Success,
    NoSupport,
}

/// Somebody's proof to an identity server.
pub(crate) struct Binding<'a> {
    pub id_server: &'a str,
    pub id_access_token: &'a str,
    pub sid: &'a str,
    pub client_secret: &'a str,
}

#[derive(Deserialize)]
struct Association {
    medium: String,
    address: String,
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

    async fn post(
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
    fn sign(
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

/// Has the identity server associate an address, and remembers it. `M_SERVER_NOT_TRUSTED` ← not configured ·
/// what the identity server says is handed on
pub(crate) async fn bind(auth: &Auth, user_id: &UserId, binding: &Binding<'_>) -> Result<(), AuthError> {
    let account = account_of(auth, user_id).await?;
    let body = json!({ "sid": binding.sid, "client_secret": binding.client_secret, "mxid": user_id });
    let bearer = format!("Bearer {}", binding.id_access_token);
    let servers = &auth.identity_servers;
    let answer = servers.post(binding.id_server, "/_matrix/identity/v2/3pid/bind", &bearer, &body).await?;
    if answer.status != 200 {
        return Err(foreign(&answer).into());
    }
    let Ok(made) = serde_json::from_slice::<Association>(&answer.body) else {
        return Err(ThreepidError::ServerAway.into());
    };
    let address = canonical_form(&made.medium, &made.address);
    threepids::insert_binding(&auth.db, account, (&made.medium, &address), binding.id_server).await?;
    Ok(())
}

/// Has the identity server that is named, or every one that is known to have it, forget an association.
pub(crate) async fn unbind(
    auth: &Auth,
    user_id: &UserId,
    (medium, address): (&str, &str),
    id_server: Option<&str>,
) -> Result<Unbound, AuthError> {
    const PATH: &str = "/_matrix/identity/v2/3pid/unbind";
    let account = account_of(auth, user_id).await?;
    let address = canonical_form(medium, address);
    let known = match id_server {
        Some(id_server) => vec![id_server.to_owned()],
        None => threepids::list_bindings(&auth.db, account, medium, &address).await?,
    };
    let mut result = if known.is_empty() { Unbound::NoSupport } else { Unbound::Success };
    for id_server in known {
        let body = json!({ "mxid": user_id, "threepid": { "medium": medium, "address": address } });
        let asked = match auth.identity_servers.sign((&auth.server_name, &id_server), PATH, &body) {
            Ok(signature) => auth.identity_servers.post(&id_server, PATH, &signature, &body).await,
            Err(error) => Err(error),
        };
        match asked {
            Ok(answer) if answer.status == 200 => {
                threepids::delete_binding(&auth.db, account, (medium, &address), &id_server).await?;
            }
            // it does not do that, or is none of ours
            Ok(Answer { status: 400 | 404 | 405 | 501, .. }) | Err(ThreepidError::ServerNotTrusted) => {
                result = Unbound::NoSupport;
            }
            Ok(answer) => return Err(foreign(&answer).into()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(result)
}

/// The end of an account: the identity servers that are known to have them, or the one that is named, forget all of its
/// associations. An identity server that is away holds nobody up: what it was not told counts as not supported.
pub(crate) async fn unbind_all(auth: &Auth, user_id: &UserId, id_server: Option<&str>) -> Result<Unbound, AuthError> {
    let account = account_of(auth, user_id).await?;
    let mut result = Unbound::Success;
    for (medium, address) in threepids::list_bound(&auth.db, account).await? {
        let unbound = unbind(auth, user_id, (&medium, &address), id_server).await;
        if !matches!(unbound, Ok(Unbound::Success)) {
            result = Unbound::NoSupport;
        }
    }
    Ok(result)
}

/// The form in which an address is stored; those that we could not have stored stay as they are.
pub(crate) fn canonical_form(medium: &str, address: &str) -> String {
    let email = (medium == super::EMAIL).then(|| canonical_email(address).ok()).flatten();
    email.unwrap_or_else(|| address.to_owned())
}

fn foreign(answer: &Answer) -> ThreepidError {
    #[derive(Deserialize)]
    struct Said {
        errcode: String,
        #[serde(default)]
        error: String,
    }
    match serde_json::from_slice::<Said>(&answer.body) {
        Ok(said) => ThreepidError::Foreign { status: answer.status, errcode: said.errcode, message: said.error },
        Err(_) => ThreepidError::ServerAway,
    }
}
