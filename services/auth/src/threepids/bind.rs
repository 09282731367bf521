//! Associations at identity servers, which a client asks us to make and which we later ask to end.

use matrixon_egress::Answer;
use ruma::UserId;
use serde::Deserialize;
use serde_json::json;

use super::{ThreepidError, add::account_of, address::canonical_email};
use crate::{error::AuthError, state::Auth, store::threepids};

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
