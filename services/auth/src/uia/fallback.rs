//! Stages completed on a web page, for clients that do not know them.
//! <https://spec.matrix.org/v1.19/client-server-api/#fallback>

use ruma::UserId;
use serde_json::{Map, Value};

use super::{
    session::Session,
    stages::{Failure, Stage, Who},
};
use crate::{error::AuthError, state::Auth, threepids::Purpose};

/// What a page must know of its session.
#[derive(Clone)]
pub(crate) struct Opened {
    pub stage: Stage,
    pub purpose: Option<Purpose>,
    /// The stage is completed already.
    pub completed: bool,
    session: Session,
}

impl Opened {
    /// Whose session it is, where that is known.
    pub(crate) fn user(&self) -> Option<&str> {
        self.session.user.as_deref()
    }
}

/// None: there is no such session any more.
pub(crate) async fn open(auth: &Auth, session_id: &str, stage: Stage) -> Option<Opened> {
    let session = Session::find(auth, session_id).await?;
    Some(Opened { stage, purpose: session.purpose, completed: session.completed.contains(&stage), session })
}

/// Completes the stage with what was typed. The inner error is the person's, the outer one is not.
pub(crate) async fn complete(
    auth: &Auth,
    mut opened: Opened,
    members: &Map<String, Value>,
) -> Result<Result<(), Failure>, AuthError> {
    let user = opened.session.user.clone();
    let user = user.as_deref().and_then(|user| <&UserId>::try_from(user).ok());
    let who = Who { user, purpose: opened.purpose };
    match opened.stage.check(auth, who, members).await? {
        Ok(proof) => {
            opened.session.complete(opened.stage, proof);
            opened.session.save(auth).await;
            Ok(Ok(()))
        }
        Err(failure) => Ok(Err(failure)),
    }
}
