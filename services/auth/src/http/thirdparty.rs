//! Look-ups in third-party networks: bridges answer them, and this server has none yet.
//! <https://spec.matrix.org/v1.19/client-server-api/#third-party-lookups>

pub(crate) mod get_location_for_protocol;
pub(crate) mod get_location_for_room_alias;
pub(crate) mod get_protocol;
pub(crate) mod get_protocols;
pub(crate) mod get_user_for_protocol;
pub(crate) mod get_user_for_user_id;
