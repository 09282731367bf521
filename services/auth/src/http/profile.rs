pub(crate) mod get_avatar_url;
pub(crate) mod get_display_name;
pub(crate) mod get_profile;
pub(crate) mod set_avatar_url;
pub(crate) mod set_display_name;
