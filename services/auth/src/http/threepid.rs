//! Third-party identifiers.

pub(crate) mod add_3pid;
pub(crate) mod bind_3pid;
pub(crate) mod delete_3pid;
pub(crate) mod get_3pids;
pub(crate) mod post_3pids;
pub(crate) mod request_3pid_management_token_via_email;
pub(crate) mod request_3pid_management_token_via_msisdn;
pub(crate) mod request_password_change_token_via_email;
pub(crate) mod request_password_change_token_via_msisdn;
pub(crate) mod request_registration_token_via_email;
pub(crate) mod request_registration_token_via_msisdn;
pub(crate) mod submit_token;
pub(crate) mod unbind_3pid;

use ruma::api::client::account::ThirdPartyIdRemovalStatus;

use crate::threepids::bind::Unbound;

impl From<Unbound> for ThirdPartyIdRemovalStatus {
    fn from(unbound: Unbound) -> Self {
        match unbound {
            Unbound::Success => Self::Success,
            Unbound::NoSupport => Self::NoSupport,
        }
    }
}
