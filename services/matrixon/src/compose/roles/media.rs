//! The media role has its place and serves nothing yet.

use super::{Base, Built};

pub(crate) fn build(base: &Base) -> Built {
    let service = matrixon_media::build(&base.settings.config.media);
    Built { router: service.router, tasks: Vec::new() }
}
