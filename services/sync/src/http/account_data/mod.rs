pub(super) mod get_global_account_data;
pub(super) mod get_room_account_data;
pub(super) mod set_global_account_data;
pub(super) mod set_room_account_data;
