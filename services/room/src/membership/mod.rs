//! Changes of membership.

mod change;
mod forget;
mod join;
mod moderate;

pub(crate) use change::Requester;
pub(crate) use forget::forget;
pub(crate) use join::{join, knock, resolve};
pub(crate) use moderate::{Target, ban, check_local, invite, kick, leave, unban};
