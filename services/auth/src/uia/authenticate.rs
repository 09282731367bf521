//! One step of user-interactive authentication.

use ruma::{UserId, api::IncomingRequest};

use super::{
    Challenge, Flow, build_params,
    request::Uia,
    session::Session,
    stages::{Failure, Proof, Stage, TOO_LONG_AGO, Who},
};
use crate::{
    error::AuthError,
    state::Auth,
    threepids::{Credentials, Purpose, validate},
};

/// What an endpoint asks for.
#[derive(Clone, Debug)]
pub(crate) struct Policy<'a> {
    pub flows: Vec<Flow>,
    /// Who asks, where somebody is logged in already.
    pub user: Option<&'a UserId>,
    /// For what an e-mail address must have been confirmed.
    pub purpose: Option<Purpose>,
    /// The client may change its parameters from stage to stage (a username that was taken meanwhile, say).
    /// Otherwise what is confirmed is what was asked for first.
    pub params_may_change: bool,
}

impl<'a> Policy<'a> {
    /// The requester shows the password of the account again.
    pub(crate) fn password(user: &'a UserId) -> Self {
        Self { flows: vec![vec![Stage::Password]], user: Some(user), purpose: None, params_may_change: false }
    }
}

/// A completed flow.
pub(crate) struct Done<R> {
    pub req: R,
    /// What was authenticated, for [`reject`].
    pub operation: String,
    /// What the stages have left to be used up.
    pub proof: Proof,
    session: Session,
}

impl<R> Done<R> {
    /// The confirmed address, still to be made use of.
    pub(crate) fn validation(&self) -> Option<&Credentials> {
        self.proof.validation.as_ref()
    }

    pub(crate) fn has_completed(&self, stage: Stage) -> bool {
        self.session.completed.contains(&stage)
    }

    /// What it takes to remember the account that this session makes.
    pub(crate) fn record(&self) -> Record {
        Record(self.session.clone())
    }
}

/// A completed session that may be shown again.
pub(crate) struct Record(Session);

impl Record {
    /// From now on the session, shown with the same parameters, leads to this account.
    pub(crate) async fn remember(mut self, auth: &Auth, user_id: &UserId) {
        self.0.registered = Some(user_id.to_string());
        self.0.save_whole(auth).await;
    }
}

/// The account that the session of this request has made already, and the request as it was then.
/// `M_FORBIDDEN` ← the session is of another operation, or the parameters, and so the password, are not the same
pub(crate) async fn find_registered<R: IncomingRequest>(
    auth: &Auth,
    request: &Uia<R>,
    policy: &Policy<'_>,
) -> Result<Option<(String, R)>, AuthError> {
    let Some(id) = request.auth.as_ref().and_then(|dict| dict.session.as_deref()) else { return Ok(None) };
    let (session, _) = open_session(auth, request, Some(id), policy).await?;
    let Some(user_id) = session.registered.clone() else { return Ok(None) };
    if !request.params.is_empty() && session.began_otherwise(&request.params) {
        return Err(AuthError::Forbidden("this session has made another account"));
    }
    let params = if request.params.is_empty() { &session.params } else { &request.params };
    let req = request.build(params).map_err(|_| AuthError::MissingParam("the parameters must be sent again"))?;
    Ok(Some((user_id, req)))
}

/// The request, once its flow is complete.
///
/// 401 with the flows ← not complete yet, a stage failed, or the address was confirmed too long ago · `M_FORBIDDEN` ←
/// the session is of another operation, user or body · `M_MISSING_PARAM` ← nothing but `auth` was sent and the session
/// is unknown
pub(crate) async fn authenticate<R: IncomingRequest>(
    auth: &Auth,
    mut request: Uia<R>,
    policy: &Policy<'_>,
) -> Result<Done<R>, AuthError> {
    let dict = request.auth.take().unwrap_or_default();
    let (mut session, known) = open_session(auth, &request, dict.session.as_deref(), policy).await?;
    adopt_params(&mut session, &request, known, policy)?;
    let req = match request.req.take() {
        Some(req) if !request.params.is_empty() || session.params.is_empty() => req,
        _ => {
            request.build(&session.params).map_err(|_| AuthError::MissingParam("the parameters must be sent again"))?
        }
    };
    // without a stage: a first request, or a client that asks how far it is, perhaps after a fallback page
    if let Some(name) = dict.stage.as_deref() {
        let Some(stage) = Stage::from_name(name).filter(|stage| may_complete(auth, *stage, policy)) else {
            let failure = Failure { errcode: "M_UNRECOGNIZED", message: "this stage is in none of the flows" };
            return Err(challenge(auth, session, policy, Some(failure)).await);
        };
        let who = Who { user: policy.user, purpose: policy.purpose };
        match stage.check(auth, who, &dict.members).await? {
            Ok(proof) => session.complete(stage, proof),
            Err(failure) => return Err(challenge(auth, session, policy, Some(failure)).await),
        }
    }
    if !session.is_done(&policy.flows) {
        return Err(challenge(auth, session, policy, None).await);
    }
    if has_aged(auth, &session).await? {
        session.forget_address(auth).await;
        return Err(challenge(auth, session, policy, Some(TOO_LONG_AGO)).await);
    }
    if known {
        session.delete(auth).await;
    }
    Ok(Done { req, operation: request.operation(), proof: session.proof.clone(), session })
}

/// Is it too late to make use of the address that was confirmed, so long have the other stages taken?
async fn has_aged(auth: &Auth, session: &Session) -> Result<bool, AuthError> {
    match &session.proof.validation {
        Some(creds) => validate::is_over(auth, creds).await,
        None => Ok(false),
    }
}

/// A captcha may be solved where none is asked for: it harms nobody, and clients try.
fn may_complete(auth: &Auth, stage: Stage, policy: &Policy<'_>) -> bool {
    let in_flows = policy.flows.iter().flatten().any(|known| *known == stage);
    in_flows || (stage == Stage::Recaptcha && auth.captcha.is_some())
}

/// A challenge for what failed only after the last stage, such as a registration token whose last use somebody
/// else got.
pub(crate) async fn reject(auth: &Auth, operation: String, policy: &Policy<'_>, failure: Failure) -> AuthError {
    let session = Session::new(operation, policy.user.map(UserId::as_str), policy.purpose);
    challenge(auth, session, policy, Some(failure)).await
}

/// The session that the client names, if it is for this operation; a new one if it names none or the cache lost it.
async fn open_session<R: IncomingRequest>(
    auth: &Auth,
    request: &Uia<R>,
    id: Option<&str>,
    policy: &Policy<'_>,
) -> Result<(Session, bool), AuthError> {
    let operation = request.operation();
    let user = policy.user.map(UserId::as_str);
    if let Some(id) = id
        && let Some(session) = Session::find(auth, id).await
    {
        if !session.is_for(&operation, user) {
            return Err(AuthError::Forbidden("this session was made for another operation"));
        }
        return Ok((session, true));
    }
    Ok((Session::new(operation, user, policy.purpose), false))
}

fn adopt_params<R>(session: &mut Session, request: &Uia<R>, known: bool, policy: &Policy<'_>) -> Result<(), AuthError> {
    if request.params.is_empty() {
        return Ok(());
    }
    if known && session.began_otherwise(&request.params) && !policy.params_may_change {
        return Err(AuthError::Forbidden("the operation has changed since the session began"));
    }
    session.set_params(&request.params);
    Ok(())
}

async fn challenge(auth: &Auth, session: Session, policy: &Policy<'_>, failure: Option<Failure>) -> AuthError {
    session.save(auth).await;
    AuthError::Challenge(Box::new(Challenge {
        flows: policy.flows.clone(),
        params: build_params(auth, &policy.flows),
        completed: session.completed,
        session: session.id,
        failure,
    }))
}
