//! The federation role has its place and serves nothing yet.

use super::{Base, Built};

pub(crate) fn build(base: &Base) -> Built {
    let service = matrixon_federation::build(&base.settings.config.federation);
    Built { router: service.router, tasks: Vec::new() }
}
