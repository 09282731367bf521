//! Accounts in bulk: rows are judged one by one and written in one statement. What exists already is left as it is, so an
//! import that was interrupted is simply run again.

mod judge;
mod taken;

use std::collections::HashSet;

use matrixon_http::MatrixError;
use matrixon_proto::admin::v1::{ImportUsersRequest, ImportUsersResponse, ImportedUser};
use matrixon_store::Tx;
use tokio::task::{JoinError, JoinSet};

use self::{
    judge::{Judged, NewPassword, judge},
    taken::Taken,
};
use crate::{
    audit::{self, Caller, Entry, Outcome},
    error::AuthError,
    outbox::Outbox,
    state::Auth,
    store::{
        administration::{self, BulkEmail, BulkUser},
        registration_tokens,
    },
    threepids::ThreepidError,
};

const MAX_ROWS: usize = 500;
/// Passwords of one import that are hashed at the same time: the others' log-ins go on.
const HASHING: usize = 2;

const CREATED: &str = "created";
const EXISTS: &str = "exists";
const REFUSED: &str = "refused";

pub(crate) async fn import(
    auth: Auth,
    caller: Caller,
    request: ImportUsersRequest,
) -> Result<ImportUsersResponse, MatrixError> {
    let rows = request.users.len();
    if rows > MAX_ROWS {
        return Err(AuthError::InvalidParam(format!("at most {MAX_ROWS} accounts can be imported at once")).into());
    }
    let mut batch = Batch::new(&auth, request).await?;
    if batch.dry_run {
        return Ok(batch.into_answer());
    }
    let entry = Entry::new("user.import", format!("{rows} rows"))
        .with("first", batch.name_of(0))
        .with("last", batch.name_of(rows.saturating_sub(1)));
    match batch.write(&auth, &caller, entry.clone()).await {
        Ok(()) => Ok(batch.into_answer()),
        Err(error) => Err(audit::refused(&auth, (&caller, &entry), error).await),
    }
}

/// The rows of a request with what was decided about each.
struct Batch {
    rows: Vec<Row>,
    dry_run: bool,
}

struct Row {
    judged: Result<Judged, MatrixError>,
    outcome: &'static str,
}

/// The number of a row, and the hash of its password.
type Hashed = (usize, Result<String, AuthError>);

impl Batch {
    async fn new(auth: &Auth, request: ImportUsersRequest) -> Result<Self, AuthError> {
        let judged: Vec<_> = request.users.into_iter().map(|user| judge(auth, user)).collect();
        let mut taken = Taken::load(auth, &judged).await?;
        let rows = judged.into_iter().map(|judged| match judged.and_then(|one| Ok((taken.take(&one)?, one))) {
            Ok((true, one)) => Row { judged: Ok(one), outcome: CREATED },
            Ok((false, one)) => Row { judged: Ok(one), outcome: EXISTS },
            Err(error) => Row { judged: Err(error.into()), outcome: REFUSED },
        });
        Ok(Self { rows: rows.collect(), dry_run: request.dry_run })
    }

    fn name_of(&self, number: usize) -> &str {
        self.rows.get(number).and_then(Row::user_id).unwrap_or_default()
    }

    async fn write(&mut self, auth: &Auth, caller: &Caller, entry: Entry) -> Result<(), AuthError> {
        self.hash_passwords(auth).await?;
        let mut tx = auth.db.begin().await?;
        if let Some(details) = audit::find_done(&mut tx, caller, &entry).await? {
            self.recall(&details);
            return Ok(());
        }
        let mut new: Vec<BulkUser<'_>> = self.rows.iter().filter_map(Row::to_insert).collect();
        if new.is_empty() {
            return Ok(());
        }
        let makes_admin = new.iter().any(|user| user.admin);
        // one order: two imports of the same accounts cannot wait for each other
        new.sort_unstable_by_key(|user| user.user_id);
        let made = administration::insert_users(&mut tx, &new, auth.clock.now_ms()).await?;
        let made: HashSet<String> = made.into_iter().collect();
        self.note_missed(&mut tx, &made).await?;
        if made.is_empty() {
            return Ok(());
        }
        self.write_emails(auth, &mut tx).await?;
        if makes_admin {
            registration_tokens::delete_bootstrap_token(&mut tx).await?;
        }
        let entry = entry.with("created", made.len()).with("others", self.others());
        let mut outbox = Outbox::default();
        for judged in self.rows.iter().filter(|row| row.outcome == CREATED).filter_map(|row| row.judged.as_ref().ok()) {
            outbox.account_made(&judged.user_id);
        }
        if audit::commit(auth, tx, (caller, &entry), outbox).await? == Outcome::DoneBefore {
            // the attempt that was faster made exactly what this one found missing before it
            tracing::debug!("an import was sent twice at the same time");
        }
        Ok(())
    }

    /// Somebody else has made what is missing since the rows were judged: these accounts, or others of their names.
    async fn note_missed(&mut self, tx: &mut Tx, made: &HashSet<String>) -> Result<(), AuthError> {
        let missed: Vec<&mut Row> = self.rows.iter_mut().filter(|row| row.is_missing(made)).collect();
        if missed.is_empty() {
            return Ok(());
        }
        let user_ids: Vec<&str> = missed.iter().filter_map(|row| row.user_id()).collect();
        let existing: HashSet<String> = administration::load_existing(tx, &user_ids).await?.into_iter().collect();
        for row in missed {
            if row.user_id().is_some_and(|user_id| existing.contains(user_id)) {
                row.outcome = EXISTS;
            } else {
                row.outcome = REFUSED;
                row.judged = Err(AuthError::UserInUse.into());
            }
        }
        Ok(())
    }

    /// `M_THREEPID_IN_USE` ← somebody took one since the rows were judged; nothing is written
    async fn write_emails(&self, auth: &Auth, tx: &mut Tx) -> Result<(), AuthError> {
        let created = self.rows.iter().filter(|row| row.outcome == CREATED).filter_map(|row| row.judged.as_ref().ok());
        let emails: Vec<BulkEmail<'_>> = created
            .flat_map(|one| one.emails.iter().map(|address| BulkEmail { user_id: one.user_id.as_str(), address }))
            .collect();
        if emails.is_empty() {
            return Ok(());
        }
        let written = administration::insert_emails(tx, &emails, auth.clock.now_ms()).await?;
        if written < emails.len() as u64 {
            return Err(ThreepidError::InUse.into());
        }
        Ok(())
    }

    async fn hash_passwords(&mut self, auth: &Auth) -> Result<(), AuthError> {
        let mut hashing = JoinSet::new();
        for at in 0..self.rows.len() {
            let row = &mut self.rows[at];
            let Ok(judged) = &mut row.judged else { continue };
            let NewPassword::Plain(password) = &mut judged.password else { continue };
            if row.outcome != CREATED {
                continue;
            }
            let (passwords, password) = (auth.passwords.clone(), std::mem::take(password));
            if hashing.len() >= HASHING {
                self.take_hash(hashing.join_next().await)?;
            }
            hashing.spawn(async move { (at, passwords.hash(password).await) });
        }
        while let Some(hashed) = hashing.join_next().await {
            self.take_hash(Some(hashed))?;
        }
        Ok(())
    }

    fn take_hash(&mut self, hashed: Option<Result<Hashed, JoinError>>) -> Result<(), AuthError> {
        let Some(hashed) = hashed else { return Ok(()) };
        let (at, hash) = hashed.map_err(|error| AuthError::Internal(format!("hashing a password: {error}")))?;
        let hash = hash?;
        if let Ok(judged) = &mut self.rows[at].judged {
            judged.password = NewPassword::Hash(hash);
        }
        Ok(())
    }

    /// The numbers of the rows that were not created.
    fn others(&self) -> Vec<usize> {
        (0..self.rows.len()).filter(|at| self.rows[*at].outcome != CREATED).collect()
    }

    /// An earlier attempt at this very request did it: what it created, this one reports.
    fn recall(&mut self, details: &str) {
        let details: serde_json::Value = serde_json::from_str(details).unwrap_or_default();
        let others: HashSet<u64> =
            details["others"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64).collect();
        for (at, row) in self.rows.iter_mut().enumerate() {
            if row.outcome == EXISTS && !others.contains(&(at as u64)) {
                row.outcome = CREATED;
            }
        }
    }

    fn into_answer(self) -> ImportUsersResponse {
        ImportUsersResponse { users: self.rows.into_iter().map(Row::into_answer).collect() }
    }
}

impl Row {
    /// None: the row is refused.
    fn user_id(&self) -> Option<&str> {
        self.judged.as_ref().ok().map(|judged| judged.user_id.as_str())
    }

    fn is_missing(&self, made: &HashSet<String>) -> bool {
        self.outcome == CREATED && self.user_id().is_some_and(|user_id| !made.contains(user_id))
    }

    fn to_insert(&self) -> Option<BulkUser<'_>> {
        let judged = self.judged.as_ref().ok().filter(|_| self.outcome == CREATED)?;
        let password_hash = match &judged.password {
            NewPassword::Hash(hash) => Some(hash.as_str()),
            NewPassword::Plain(_) | NewPassword::None => None,
        };
        Some(BulkUser {
            user_id: judged.user_id.as_str(),
            small: judged.user_id.as_str().to_ascii_lowercase(),
            password_hash,
            admin: judged.admin,
            displayname: &judged.displayname,
        })
    }

    fn into_answer(self) -> ImportedUser {
        let outcome = self.outcome.to_owned();
        match self.judged {
            Ok(judged) => ImportedUser { user_id: judged.user_id.to_string(), outcome, ..Default::default() },
            Err(MatrixError { errcode, message, .. }) => {
                ImportedUser { user_id: String::new(), outcome, errcode, message }
            }
        }
    }
}
