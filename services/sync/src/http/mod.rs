//! The HTTP slice: one file an endpoint, named as ruma names it.

mod account_data;
mod filter;
mod keys;
mod old_sync;
mod presence;
mod push;
mod receipt;
mod sync;
mod tag;
mod to_device;
mod typing;
mod user_directory;

use ::http::Method;
use matrixon_http::{LimitClass, RouteOptions, Routes, UserAuth};
use matrixon_runtime::role::Role;
use ruma::{UserId, presence::PresenceState};

use crate::{error::SyncError, state::Sync};

/// Room keys for some thousand devices.
const MAX_TO_DEVICE_BYTES: usize = 4 << 20;

pub(crate) fn routes() -> Routes<Sync> {
    let read = || RouteOptions::user();
    // content is stored as JSON text, in which NUL is an escape
    let content = || RouteOptions::user().allow_nul().body_limit(64 * 1024);
    let typing = |routes: Routes<Sync>, path| {
        routes.raw(Method::PUT, path, typing::create_typing_event::handler, RouteOptions::user().unless_suspended())
    };
    let routes = Routes::new(Role::Sync)
        .ruma(sync::sync_events::handler, RouteOptions::user().long_poll().limit(LimitClass::None).guests())
        .ruma(filter::create_filter::handler, content())
        .ruma(filter::get_filter::handler, read())
        .ruma(account_data::get_global_account_data::handler, read())
        .ruma(account_data::set_global_account_data::handler, content())
        .ruma(account_data::get_room_account_data::handler, read())
        .ruma(account_data::set_room_account_data::handler, content())
        .ruma(tag::get_tags::handler, read())
        .ruma(tag::create_tag::handler, content())
        .ruma(tag::delete_tag::handler, read())
        .ruma(receipt::create_receipt::handler, RouteOptions::user())
        .ruma(receipt::set_read_marker::handler, RouteOptions::user())
        .ruma(presence::get_presence::handler, read())
        .ruma(presence::set_presence::handler, RouteOptions::user())
        .ruma(user_directory::search_users::handler, RouteOptions::user())
        .ruma(push::get_pushrules_all::handler, read())
        .ruma(push::get_pushrules_global_scope::handler, read())
        .ruma(keys::get_key_changes::handler, read())
        .ruma(to_device::send_event_to_device::handler, content().body_limit(MAX_TO_DEVICE_BYTES).guests())
        .raw(
            Method::GET,
            "/_matrix/client/v3/events",
            old_sync::get_events::handler,
            RouteOptions::user().long_poll().limit(LimitClass::None).guests().alias("/_matrix/client/r0/events"),
        )
        .raw(
            Method::GET,
            "/_matrix/client/v3/initialSync",
            old_sync::initial_sync::handler,
            read().alias("/_matrix/client/r0/initialSync"),
        )
        .raw(
            Method::GET,
            "/_matrix/client/v3/rooms/{room_id}/initialSync",
            old_sync::room_initial_sync::handler,
            read().guests().alias("/_matrix/client/r0/rooms/{room_id}/initialSync"),
        );
    typing::create_typing_event::PATHS.into_iter().fold(routes, typing)
}

/// `M_INVALID_PARAM` ← none of the specification's states
fn check_presence(presence: &PresenceState) -> Result<(), SyncError> {
    match presence {
        PresenceState::Offline | PresenceState::Online | PresenceState::Unavailable => Ok(()),
        _ => Err(SyncError::InvalidParam("presence is `online`, `offline` or `unavailable`")),
    }
}

/// `M_FORBIDDEN` ← the path names somebody else
fn check_own(auth: &UserAuth, user_id: &UserId) -> Result<(), SyncError> {
    if auth.user_id == *user_id { Ok(()) } else { Err(SyncError::Forbidden("this belongs to another user")) }
}
