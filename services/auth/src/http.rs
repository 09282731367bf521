//! The HTTP slice: one file an endpoint, named like ruma's modules.

mod account;
mod device;
mod discovery;
mod profile;
mod session;

use bytes::Bytes;
use matrixon_http::{LimitClass, RouteOptions, Routes};
use matrixon_runtime::role::Role;
use serde::Serialize;

use crate::{error::AuthError, state::Auth};

/// Every route of this service.
pub(crate) fn routes() -> Routes<Auth> {
    Routes::new(Role::Auth).merge(account_routes()).merge(session_routes()).merge(user_routes())
}

fn account_routes() -> Routes<Auth> {
    let any = RouteOptions::any;
    Routes::new(Role::Auth)
        .ruma(account::register::handler, any().limit(LimitClass::Register))
        .ruma(account::get_username_availability::handler, any())
        .ruma(account::check_registration_token_validity::handler, any().limit(LimitClass::Login))
        .ruma(account::change_password::handler, any().limit(LimitClass::Login))
        .ruma(account::whoami::handler, any().guests())
        .ruma(account::get_3pids::handler, any())
        .ruma(discovery::get_capabilities::handler, any())
}

fn session_routes() -> Routes<Auth> {
    let any = RouteOptions::any;
    Routes::new(Role::Auth)
        .ruma(session::get_login_types::handler, any())
        .ruma(session::login::handler, any().limit(LimitClass::Login))
        .ruma(session::refresh_token::handler, any())
        .ruma(session::logout::handler, any().guests().even_locked())
        .ruma(session::logout_all::handler, any().guests().even_locked())
}

fn user_routes() -> Routes<Auth> {
    let any = RouteOptions::any;
    Routes::new(Role::Auth)
        .ruma(device::get_devices::handler, any().guests())
        .ruma(device::get_device::handler, any().guests())
        .ruma(device::update_device::handler, any().guests())
        .ruma(device::delete_device::handler, any())
        .ruma(device::delete_devices::handler, any())
        .ruma(profile::get_profile::handler, any())
        .ruma(profile::get_display_name::handler, any())
        .ruma(profile::set_display_name::handler, any().guests().unless_suspended())
        .ruma(profile::get_avatar_url::handler, any())
        .ruma(profile::set_avatar_url::handler, any().unless_suspended())
}

/// The body of an answer that ruma's types would not say well.
fn to_json<T: Serialize>(answer: &T) -> Result<Bytes, AuthError> {
    serde_json::to_vec(answer).map(Bytes::from).map_err(|error| AuthError::Internal(format!("an answer: {error}")))
}
