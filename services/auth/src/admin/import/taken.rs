//! Who has the user ids and addresses that rows want.

use std::collections::HashSet;

use super::judge::Judged;
use crate::{error::AuthError, state::Auth, store::administration, threepids::ThreepidError};

/// What belongs to accounts, and to rows that came before.
pub(super) struct Taken {
    user_ids: HashSet<String>,
    /// The same in small letters: no two accounts differ in capitals only.
    names: HashSet<String>,
    emails: HashSet<String>,
}

impl Taken {
    pub(super) async fn load(auth: &Auth, rows: &[Result<Judged, AuthError>]) -> Result<Self, AuthError> {
        let names: Vec<String> = rows.iter().flatten().map(name_of).collect();
        let addresses: Vec<&str> = rows.iter().flatten().flat_map(|one| &one.emails).map(String::as_str).collect();
        let user_ids = administration::load_alike(&auth.db, &names).await?;
        let emails = administration::load_taken(&auth.db, &addresses).await?;
        Ok(Self {
            names: user_ids.iter().map(|user_id| user_id.to_ascii_lowercase()).collect(),
            user_ids: user_ids.into_iter().collect(),
            emails: emails.into_iter().collect(),
        })
    }

    /// False: the account exists. Nothing of it is changed, so it does not matter whose the addresses are.
    /// `M_USER_IN_USE` ← another account's user id differs in capitals only · `M_THREEPID_IN_USE` ← another's address
    pub(super) fn take(&mut self, one: &Judged) -> Result<bool, AuthError> {
        let new = !self.user_ids.contains(one.user_id.as_str());
        if new && self.names.contains(&name_of(one)) {
            return Err(AuthError::UserInUse);
        }
        if new && one.emails.iter().any(|email| self.emails.contains(email)) {
            return Err(ThreepidError::InUse.into());
        }
        self.emails.extend(one.emails.iter().cloned());
        self.names.insert(name_of(one));
        self.user_ids.insert(one.user_id.to_string());
        Ok(new)
    }
}

fn name_of(one: &Judged) -> String {
    one.user_id.as_str().to_ascii_lowercase()
}
