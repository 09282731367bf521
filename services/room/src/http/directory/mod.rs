pub(crate) mod get_public_rooms;
pub(crate) mod get_public_rooms_filtered;
pub(crate) mod get_room_visibility;
pub(crate) mod set_room_visibility;
