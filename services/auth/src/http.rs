//! The HTTP slice: one file an endpoint, named like ruma's modules.

mod account;
mod admin;
mod administration;
mod backup;
mod device;
mod discovery;
mod keys;
mod openid;
mod pages;
mod profile;
mod rendezvous;
mod session;
mod thirdparty;
mod threepid;

use ::http::Method;
use bytes::Bytes;
use matrixon_http::{Affinity, LimitClass, RouteOptions, Routes};
use matrixon_runtime::role::Role;
use serde::Serialize;

use self::rendezvous::{PATH, SESSION_PATH};
use crate::{error::AuthError, mail::CONFIRM_PATH, rendezvous::MAX_BYTES, state::Auth};

const POLICY_PATH: &str = "/_matrix/client/v3/password_policy";
const SUBMIT_TOKEN_PATH: &str = "/_matrix/client/unstable/org.matrixon/email/submit_token";
const FALLBACK_PATH: &str = "/_matrix/client/v3/auth/{auth_type}/fallback/web";
const FALLBACK_PATH_R0: &str = "/_matrix/client/r0/auth/{auth_type}/fallback/web";
const LOGIN_PATH: &str = "/_matrix/static/client/login/";
/// What people type into forms is short, but the answer to a captcha is not.
const MAX_FORM_BYTES: usize = 32 * 1024;

/// Every route of this service.
pub(crate) fn routes() -> Routes<Auth> {
    Routes::new(Role::Auth)
        .merge(account_routes())
        .merge(session_routes())
        .merge(user_routes())
        .merge(key_routes())
        .merge(backup_routes())
        .merge(admin_routes())
        .merge(rendezvous_routes())
        .merge(administration::routes())
        .merge(profile_routes())
        .merge(threepid_routes())
        .merge(page_routes())
}

fn account_routes() -> Routes<Auth> {
    let any = RouteOptions::any;
    Routes::new(Role::Auth)
        .ruma(account::register::handler, any().limit(LimitClass::Register))
        .ruma(account::get_username_availability::handler, any())
        .ruma(account::check_registration_token_validity::handler, any().limit(LimitClass::Login))
        .ruma(account::change_password::handler, any().limit(LimitClass::Login))
        .ruma(account::deactivate::handler, any().limit(LimitClass::Login))
        .ruma(account::whoami::handler, any().guests())
        .raw(Method::GET, POLICY_PATH, account::get_password_policy::handler, policy_aliases())
        .ruma(discovery::get_capabilities::handler, any())
}

fn policy_aliases() -> RouteOptions {
    RouteOptions::any().alias("/_matrix/client/r0/password_policy").alias("/_matrix/client/unstable/password_policy")
}

fn threepid_routes() -> Routes<Auth> {
    let any = RouteOptions::any;
    let mail = || RouteOptions::any().limit(LimitClass::Login);
    let ending = || RouteOptions::any().unless_suspended();
    Routes::new(Role::Auth)
        .ruma(threepid::get_3pids::handler, any())
        .ruma(threepid::post_3pids::handler, mail())
        .ruma(threepid::add_3pid::handler, mail().alias("/_matrix/client/unstable/account/3pid/add"))
        .ruma(threepid::bind_3pid::handler, any().alias("/_matrix/client/unstable/account/3pid/bind"))
        .ruma(threepid::unbind_3pid::handler, ending().alias("/_matrix/client/unstable/account/3pid/unbind"))
        .ruma(threepid::delete_3pid::handler, ending().alias("/_matrix/client/unstable/account/3pid/delete"))
        .ruma(threepid::request_registration_token_via_email::handler, mail())
        .ruma(threepid::request_registration_token_via_msisdn::handler, mail())
        .ruma(threepid::request_3pid_management_token_via_email::handler, mail())
        .ruma(threepid::request_3pid_management_token_via_msisdn::handler, mail())
        .ruma(threepid::request_password_change_token_via_email::handler, mail())
        .ruma(threepid::request_password_change_token_via_msisdn::handler, mail())
        .raw(Method::POST, SUBMIT_TOKEN_PATH, threepid::submit_token::handler, mail())
}

/// Web pages, for people.
fn page_routes() -> Routes<Auth> {
    let page = || RouteOptions::any().raw_body().body_limit(MAX_FORM_BYTES);
    let form = || page().limit(LimitClass::Login);
    Routes::new(Role::Auth)
        .raw(Method::GET, FALLBACK_PATH, pages::fallback::show, page().alias(FALLBACK_PATH_R0))
        .raw(Method::POST, FALLBACK_PATH, pages::fallback::submit, form().alias(FALLBACK_PATH_R0))
        .raw(Method::GET, CONFIRM_PATH, pages::confirm::show, form())
        .raw(Method::POST, CONFIRM_PATH, pages::confirm::submit, form())
        .raw(Method::GET, LOGIN_PATH, pages::login::show, page().alias("/_matrix/static/client/login"))
}

fn session_routes() -> Routes<Auth> {
    let any = RouteOptions::any;
    Routes::new(Role::Auth)
        .ruma(session::get_login_types::handler, any())
        .ruma(session::get_login_token::handler, any().limit(LimitClass::Login))
        .ruma(session::login::handler, any().limit(LimitClass::Login))
        .ruma(session::refresh_token::handler, any())
        .ruma(session::logout::handler, any().guests().even_locked())
        .ruma(session::logout_all::handler, any().guests().even_locked())
}

/// Each handler refuses who is no administrator, before it looks anybody up.
fn admin_routes() -> Routes<Auth> {
    let any = RouteOptions::any;
    Routes::new(Role::Auth)
        .ruma(admin::get_user_info::handler, any())
        .ruma(admin::is_user_locked::handler, any())
        .ruma(admin::lock_user::handler, any())
        .ruma(admin::is_user_suspended::handler, any())
        .ruma(admin::suspend_user::handler, any())
}

/// Nobody is logged in yet, so limits are per address.
fn rendezvous_routes() -> Routes<Auth> {
    let text = || RouteOptions::any().raw_body().body_limit(MAX_BYTES);
    Routes::new(Role::Auth)
        .raw(Method::POST, PATH, rendezvous::create_rendezvous_session::handler, text().limit(LimitClass::Login))
        .raw(Method::GET, SESSION_PATH, rendezvous::get_rendezvous_session::handler, text())
        .raw(Method::PUT, SESSION_PATH, rendezvous::update_rendezvous_session::handler, text())
        .raw(Method::DELETE, SESSION_PATH, rendezvous::delete_rendezvous_session::handler, text())
}

fn user_routes() -> Routes<Auth> {
    let any = RouteOptions::any;
    Routes::new(Role::Auth)
        .ruma(device::get_devices::handler, any().guests())
        .ruma(device::get_device::handler, any().guests())
        .ruma(device::update_device::handler, any().guests())
        .ruma(device::delete_device::handler, any())
        .ruma(device::delete_devices::handler, any())
        .ruma(openid::request_openid_token::handler, any())
        .raw(Method::GET, openid::get_openid_userinfo::PATH, openid::get_openid_userinfo::handler, any())
        .ruma(thirdparty::get_protocols::handler, any())
        .ruma(thirdparty::get_protocol::handler, any())
        .ruma(thirdparty::get_location_for_protocol::handler, any())
        .ruma(thirdparty::get_location_for_room_alias::handler, any())
        .ruma(thirdparty::get_user_for_protocol::handler, any())
        .ruma(thirdparty::get_user_for_user_id::handler, any())
}

fn profile_routes() -> Routes<Auth> {
    let any = RouteOptions::any;
    let field = |routes: Routes<Auth>, path| {
        routes
            .raw(Method::GET, path, profile::get_profile_field::handler, any().guests())
            // guests may give themselves a name, nothing else: the handlers look
            .raw(Method::PUT, path, profile::set_profile_field::handler, any().guests().unless_suspended())
            .raw(Method::DELETE, path, profile::delete_profile_field::handler, any().guests().unless_suspended())
    };
    let routes = Routes::new(Role::Auth).ruma(profile::get_profile::handler, any().guests());
    profile::FIELD_PATHS.into_iter().fold(routes, field)
}

/// An upload of as many keys as a device may have.
const UPLOAD_BODY_LIMIT: usize = 4 << 20;
/// A client that uploads 100,000 sessions in a few requests.
const BACKUP_BODY_LIMIT: usize = 64 << 20;

fn key_routes() -> Routes<Auth> {
    const DEHYDRATED: &str = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device";
    const EVENTS: &str = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device/{device_id}/events";
    let any = RouteOptions::any;
    let large = || any().body_limit(UPLOAD_BODY_LIMIT);
    Routes::new(Role::Auth)
        .ruma(keys::upload_keys::handler, large().guests())
        // claims take turns anyway; one replica remembers what the others would look up
        .ruma(keys::claim_keys::handler, large().affinity(Affinity::Route).guests())
        .ruma(keys::get_keys::handler, large().limit(LimitClass::Read).guests())
        .ruma(keys::upload_signing_keys::handler, any())
        .ruma(keys::upload_signatures::handler, large())
        .raw(Method::PUT, DEHYDRATED, keys::put_dehydrated_device::handler, large())
        .raw(Method::GET, DEHYDRATED, keys::get_dehydrated_device::handler, any())
        .raw(Method::DELETE, DEHYDRATED, keys::delete_dehydrated_device::handler, any())
        .raw(Method::POST, EVENTS, keys::get_dehydrated_events::handler, any().limit(LimitClass::Read))
}

fn backup_routes() -> Routes<Auth> {
    let any = RouteOptions::any;
    let bulk = || any().body_limit(BACKUP_BODY_LIMIT);
    Routes::new(Role::Auth)
        .ruma(backup::create_backup_version::handler, any())
        .ruma(backup::update_backup_version::handler, any())
        .ruma(backup::delete_backup_version::handler, any())
        .ruma(backup::get_backup_info::handler, any())
        .ruma(backup::get_latest_backup_info::handler, any())
        .ruma(backup::add_backup_keys::handler, bulk())
        .ruma(backup::add_backup_keys_for_room::handler, bulk())
        .ruma(backup::add_backup_keys_for_session::handler, any())
        .ruma(backup::get_backup_keys::handler, any())
        .ruma(backup::get_backup_keys_for_room::handler, any())
        .ruma(backup::get_backup_keys_for_session::handler, any())
        .ruma(backup::delete_backup_keys::handler, any())
        .ruma(backup::delete_backup_keys_for_room::handler, any())
        .ruma(backup::delete_backup_keys_for_session::handler, any())
}

/// The body of an answer that ruma's types would not say well.
fn to_json<T: Serialize>(answer: &T) -> Result<Bytes, AuthError> {
    serde_json::to_vec(answer).map(Bytes::from).map_err(|error| AuthError::Internal(format!("an answer: {error}")))
}
