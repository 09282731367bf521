//! Changes of membership.

mod change;
mod departure;
mod forget;
mod guests;
mod join;
mod moderate;

pub(crate) use change::Requester;
pub(crate) use departure::depart_from_all;
pub(crate) use forget::forget;
pub(crate) use guests::{check_may_join, send_away, shuts_guests_out};
pub(crate) use join::{custom_content, join, knock, resolve};
pub(crate) use moderate::{Target, ban, check_local, invite, kick, leave, unban};
