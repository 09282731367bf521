//! May this row become an account?

use argon2::{Algorithm, Params, password_hash::phc::PasswordHash};
use matrixon_proto::admin::v1::ImportUser;
use ruma::{OwnedUserId, ServerName};

use crate::{
    accounts::localpart, admin::users::check_displayname, error::AuthError, state::Auth,
    threepids::address::canonical_email,
};

/// Nobody's log-in may take more than this: 1 GiB, 64 passes, 16 lanes; bcrypt 2^16 rounds.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_ITERATIONS: u32 = 64;
const MAX_LANES: u32 = 16;
const BCRYPT_COSTS: std::ops::RangeInclusive<u8> = 4..=16;
const BCRYPT_CHARS: usize = 60;
const MAX_EMAILS: usize = 10;

pub(super) struct Judged {
    pub user_id: OwnedUserId,
    pub password: NewPassword,
    pub admin: bool,
    pub displayname: String,
    /// Canonical.
    pub emails: Vec<String>,
}

pub(super) enum NewPassword {
    None,
    Plain(String),
    Hash(String),
}

/// `M_INVALID_USERNAME`, `M_WEAK_PASSWORD`, `M_INVALID_PARAM` ← see the messages. Whether the addresses are free is not
/// asked here.
pub(super) fn judge(auth: &Auth, row: ImportUser) -> Result<Judged, AuthError> {
    let user_id = build_user_id(&row.username, &auth.server_name)?;
    let displayname = row.displayname.unwrap_or_else(|| user_id.localpart().to_owned());
    check_displayname(&displayname)?;
    let mut emails: Vec<String> = row.emails.iter().map(|one| canonical_email(one)).collect::<Result<_, _>>()?;
    emails.sort_unstable();
    emails.dedup();
    if emails.len() > MAX_EMAILS {
        return Err(AuthError::InvalidParam(format!(
            "an account is imported with at most {MAX_EMAILS} e-mail addresses"
        )));
    }
    let password = match (row.password, row.password_hash) {
        (Some(_), Some(_)) => {
            return Err(AuthError::InvalidParam("a row has a password or a hash, not both".to_owned()));
        }
        (Some(password), None) => {
            auth.passwords.check_new(&password)?;
            NewPassword::Plain(password)
        }
        (None, Some(hash)) => {
            check_hash(&hash)?;
            NewPassword::Hash(hash)
        }
        (None, None) => NewPassword::None,
    };
    Ok(Judged { user_id, password, admin: row.admin, displayname, emails })
}

/// Exports of other servers name whole user ids, which are kept: in small letters they would be somebody else's. A name
/// alone is that of a new account.
fn build_user_id(name: &str, server_name: &ServerName) -> Result<OwnedUserId, AuthError> {
    let Some(rest) = name.strip_prefix('@') else { return localpart::build_user_id(name, server_name) };
    let localpart = rest.strip_suffix(server_name.as_str()).and_then(|rest| rest.strip_suffix(':'));
    let localpart = localpart.ok_or(AuthError::InvalidUsername("this is a user id of another server"))?;
    localpart::build_historical_id(localpart, server_name)
}

/// `M_INVALID_PARAM` ← neither argon2id (PHC) nor bcrypt, or of an unreasonable cost
fn check_hash(hash: &str) -> Result<(), AuthError> {
    if is_argon2id(hash) || is_bcrypt(hash) {
        return Ok(());
    }
    let rule = "a password hash is argon2id as a PHC string, or bcrypt ($2a$, $2b$, $2y$), of a reasonable cost";
    Err(AuthError::InvalidParam(rule.to_owned()))
}

fn is_argon2id(hash: &str) -> bool {
    let Ok(parsed) = PasswordHash::new(hash) else { return false };
    parsed.algorithm == Algorithm::Argon2id.ident()
        && parsed.salt.is_some()
        && parsed.hash.is_some()
        && Params::try_from(&parsed).is_ok_and(|params| {
            params.m_cost() <= MAX_MEMORY_KIB && params.t_cost() <= MAX_ITERATIONS && params.p_cost() <= MAX_LANES
        })
}

/// `$2b$12$` and 53 characters.
fn is_bcrypt(hash: &str) -> bool {
    if hash.len() != BCRYPT_CHARS || !hash.is_ascii() {
        return false;
    }
    let (head, rest) = hash.split_at(7);
    let cost = head[4..6].parse().is_ok_and(|cost: u8| BCRYPT_COSTS.contains(&cost));
    ["$2a$", "$2b$", "$2y$"].contains(&&head[..4])
        && cost
        && head.ends_with('$')
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'))
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::*;

    #[test]
    fn hashes() {
        let argon2 =
            "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IG5vYm9keSBubw$bm9ib2R5IGhhcyB0aGlzIHBhc3N3b3JkLCBub2JvZHk";
        let bcrypt = "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW";
        for good in [argon2, bcrypt] {
            check_hash(good).unwrap();
        }
        let bad = [
            "",
            "secret",
            "$2b$12$short",
            "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IG5vYm9keSBubw",
            &argon2.replace("argon2id", "argon2d"),
            &argon2.replace("m=19456", "m=99999999"),
            &bcrypt.replace("$12$", "$31$"),
            &bcrypt.replace("$2b$", "$2x$"),
            &bcrypt.replace('E', "\0"),
        ];
        for bad in bad {
            assert!(check_hash(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn whole_user_ids_of_this_server_are_kept() {
        let server = server_name!("a.org");
        for (name, user_id) in [
            ("alice", "@alice:a.org"),
            ("Alice", "@alice:a.org"),
            ("@alice:a.org", "@alice:a.org"),
            ("@Alice:a.org", "@Alice:a.org"),
            ("@O'Brien{1}:a.org", "@O'Brien{1}:a.org"),
        ] {
            assert_eq!(build_user_id(name, server).unwrap().as_str(), user_id);
        }
        for bad in
            ["@alice:b.org", "@Alice:A.org", "@alice", "@:a.org", "@_b:a.org", "@a:b:a.org", "@é:a.org", "O'Brien"]
        {
            assert!(matches!(build_user_id(bad, server), Err(AuthError::InvalidUsername(_))), "{bad:?}");
        }
    }
}
