//! The HTTP slice of the room service: one file an endpoint, named as in ruma.

mod alias;
mod context;
mod directory;
mod knock;
mod membership;
mod message;
mod redact;
mod reporting;
mod room;
mod state;

use ::http::Method;
use matrixon_http::{Affinity, LimitClass, RouteOptions, Routes};
use matrixon_runtime::role::Role;

use crate::service::Room;

/// The content of one event is at most this long; the rest of the event must fit into the same 64 KiB.
const EVENT_BODY: usize = 128 * 1024;
/// A createRoom request holds many events.
const CREATE_ROOM_BODY: usize = 1024 * 1024;

pub(crate) fn routes() -> Routes<Room> {
    writing().merge(memberships()).merge(reading()).merge(directories()).merge(reporting())
}

/// A path parameter that names a room by id or alias.
fn named(limit: LimitClass) -> RouteOptions {
    RouteOptions::any().affinity(Affinity::Path("room_id_or_alias")).limit(limit)
}

fn writing() -> Routes<Room> {
    let send = || RouteOptions::room().limit(LimitClass::Message).body_limit(EVENT_BODY);
    Routes::new(Role::Room)
        .ruma(
            room::create_room::handler,
            RouteOptions::any()
                .limit(LimitClass::CreateRoom)
                .body_limit(CREATE_ROOM_BODY)
                .allow_nul()
                .unless_suspended(),
        )
        .ruma(message::send_message_event::handler, send().allow_nul().guests())
        .ruma(
            state::send_state_event::handler,
            send()
                .allow_nul()
                .guests()
                .unless_suspended()
                .alias("/_matrix/client/r0/rooms/{room_id}/state/{event_type}")
                .alias("/_matrix/client/r0/rooms/{room_id}/state/{event_type}/")
                .alias("/_matrix/client/v3/rooms/{room_id}/state/{event_type}")
                .alias("/_matrix/client/v3/rooms/{room_id}/state/{event_type}/"),
        )
        .ruma(redact::redact_event::handler, send())
}

fn memberships() -> Routes<Room> {
    Routes::new(Role::Room)
        .ruma(
            membership::join_room_by_id::handler,
            RouteOptions::room().limit(LimitClass::Join).guests().unless_suspended(),
        )
        .ruma(membership::join_room_by_id_or_alias::handler, named(LimitClass::Join).guests().unless_suspended())
        .ruma(knock::knock_room::handler, named(LimitClass::Join).unless_suspended())
        .ruma(membership::invite_user::handler, RouteOptions::room().limit(LimitClass::Invite).unless_suspended())
        .ruma(membership::leave_room::handler, RouteOptions::room().guests())
        .ruma(membership::kick_user::handler, RouteOptions::room().unless_suspended())
        .ruma(membership::ban_user::handler, RouteOptions::room().unless_suspended())
        .ruma(membership::unban_user::handler, RouteOptions::room().unless_suspended())
        .ruma(membership::forget_room::handler, RouteOptions::room())
}

fn reading() -> Routes<Room> {
    Routes::new(Role::Room)
        .raw(
            Method::GET,
            "/_matrix/client/v3/events/{event_id}",
            room::get_one_event::handler,
            RouteOptions::any().alias("/_matrix/client/r0/events/{event_id}"),
        )
        .ruma(membership::joined_rooms::handler, RouteOptions::user())
        .ruma(membership::get_mutual_rooms::handler, RouteOptions::user())
        .ruma(membership::get_mutual_rooms::unstable_handler, RouteOptions::user())
        .ruma(membership::joined_members::handler, RouteOptions::room())
        .ruma(membership::get_member_events::handler, RouteOptions::room().guests())
        .ruma(message::get_message_events::handler, RouteOptions::room().guests())
        .ruma(context::get_context::handler, RouteOptions::room().guests())
        .ruma(room::get_room_event::handler, RouteOptions::room().guests())
        .ruma(room::aliases::handler, RouteOptions::room())
        .ruma(state::get_state_events::handler, RouteOptions::room().guests())
        .ruma(
            state::get_state_event_for_key::handler,
            RouteOptions::room()
                .guests()
                .alias("/_matrix/client/r0/rooms/{room_id}/state/{event_type}")
                .alias("/_matrix/client/r0/rooms/{room_id}/state/{event_type}/")
                .alias("/_matrix/client/v3/rooms/{room_id}/state/{event_type}")
                .alias("/_matrix/client/v3/rooms/{room_id}/state/{event_type}/"),
        )
}

fn reporting() -> Routes<Room> {
    Routes::new(Role::Room)
        .ruma(reporting::report_room::handler, RouteOptions::room())
        .ruma(reporting::report_content::handler, RouteOptions::room())
        .ruma(reporting::report_user::handler, RouteOptions::any())
}

fn directories() -> Routes<Room> {
    Routes::new(Role::Room)
        .ruma(alias::create_alias::handler, RouteOptions::any().unless_suspended())
        .ruma(alias::delete_alias::handler, RouteOptions::any().unless_suspended())
        .ruma(alias::get_alias::handler, RouteOptions::any())
        .ruma(directory::get_room_visibility::handler, RouteOptions::room())
        .ruma(directory::set_room_visibility::handler, RouteOptions::room().unless_suspended())
        .ruma(directory::get_public_rooms::handler, RouteOptions::any())
        .ruma(directory::get_public_rooms_filtered::handler, RouteOptions::any())
}
