//! Changing a field of one's profile.

use ruma::UserId;

use super::field::{self, AVATAR_URL, DISPLAYNAME, FieldValue};
use crate::{
    error::AuthError,
    outbox::{self, Outbox},
    state::Auth,
    store::profiles::{self, Profile},
};

/// What to do with a field, and who hears of it.
pub(crate) struct SetField<'a> {
    pub key: &'a str,
    /// None: remove it.
    pub value: Option<FieldValue>,
    /// Shall the user's rooms hear of it? Only of the name and the avatar anyway.
    pub propagate: bool,
}

/// Only a change is written; asking twice does nothing more.
///
/// `M_PROFILE_TOO_LARGE` ← 64 KiB or more · `M_FORBIDDEN` ← a field that the server keeps itself
pub(crate) async fn set_field(auth: &Auth, user_id: &UserId, set: SetField<'_>) -> Result<(), AuthError> {
    if auth.config.profiles.disallowed_fields.iter().any(|field| field == set.key) {
        return Err(AuthError::Forbidden("this field of the profile is kept by the server"));
    }
    let mut tx = auth.db.begin().await?;
    let unknown = || AuthError::UnknownUser(user_id.to_string());
    let before = profiles::lock_profile(&mut tx, user_id.as_str()).await?.ok_or_else(unknown)?;
    let after = changed(&before, &set);
    if after == before {
        return Ok(tx.rollback().await?);
    }
    if set.value.is_some() {
        field::check_size(&after)?;
    }
    match set.key {
        DISPLAYNAME => profiles::update_displayname(&mut tx, before.account, after.displayname.as_deref()).await?,
        AVATAR_URL => profiles::update_avatar_url(&mut tx, before.account, after.avatar_url.as_deref()).await?,
        key => match &set.value {
            Some(FieldValue::Json(json)) => profiles::upsert_field(&mut tx, before.account, key, json).await?,
            Some(FieldValue::Text(_)) | None => profiles::delete_field(&mut tx, before.account, key).await?,
        },
    }
    let in_rooms = matches!(set.key, DISPLAYNAME | AVATAR_URL);
    let propagate = set.propagate && in_rooms && auth.config.profiles.propagate;
    let mut outbox = Outbox::default();
    outbox.profile_changed(user_id, set.key, propagate);
    Ok(outbox::commit(auth, tx, outbox).await?)
}

fn changed(before: &Profile, set: &SetField<'_>) -> Profile {
    let mut after = before.clone();
    match (set.key, &set.value) {
        (DISPLAYNAME, Some(FieldValue::Text(text))) => after.displayname.clone_from(text),
        (AVATAR_URL, Some(FieldValue::Text(text))) => after.avatar_url.clone_from(text),
        (DISPLAYNAME, None) => after.displayname = None,
        (AVATAR_URL, None) => after.avatar_url = None,
        (key, value) => {
            after.fields.retain(|(field, _)| field != key);
            if let Some(FieldValue::Json(json)) = value {
                after.fields.push((key.to_owned(), json.clone()));
                after.fields.sort();
            }
        }
    }
    after
}
