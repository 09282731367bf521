//! <https://spec.matrix.org/v1.19/client-server-api/#openid>

pub(crate) mod get_openid_userinfo;
pub(crate) mod request_openid_token;
