pub(super) mod get_presence;
pub(super) mod set_presence;
