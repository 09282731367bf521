//! The end-to-end suite: the same tests through HTTP against both topologies.
//!
//! Every test registers its own users and makes its own rooms, so all of them run at once against one
//! cluster; every request goes to the next gateway. `cargo test -p matrixon --test e2e -- single::sync`
//! runs a part. With `MATRIXON_E2E_URLS` (addresses, comma-separated) it runs against a server that is there already.

mod access;
mod account_data;
mod accounts;
mod administration;
mod backup;
mod cross_signing;
mod crypto;
mod deactivation;
mod dehydrated;
mod device_lists;
mod directory;
mod env;
mod ephemeral;
mod gateway;
mod guests;
mod keys;
mod limits;
mod malformed;
mod membership;
mod messages;
mod metrics;
mod old_sync;
mod operations;
mod people;
mod profiles;
mod rendezvous;
mod rooms;
mod secured;
mod sessions;
mod state;
mod sync;
mod sync_rooms;
mod timeline;
mod tls;
mod to_device;
mod traces;
mod transactions;
mod uia;
mod wire;

use std::process::ExitCode;

use matrixon_testkit::{
    cluster::Topology,
    suite::{Suite, Test},
};

use crate::env::Env;

/// How many tests run at the same time.
const WIDTH: usize = 6;

fn list_tests() -> Vec<Test<Env>> {
    [
        access::all(),
        accounts::all(),
        sessions::all(),
        guests::all(),
        deactivation::all(),
        rendezvous::all(),
        administration::all(),
        directory::all(),
        people::all(),
        profiles::all(),
        rooms::all(),
        timeline::all(),
        transactions::all(),
        messages::all(),
        membership::all(),
        state::all(),
        sync::all(),
        old_sync::all(),
        sync_rooms::all(),
        ephemeral::all(),
        account_data::all(),
        keys::all(),
        cross_signing::all(),
        backup::all(),
        dehydrated::all(),
        to_device::all(),
        device_lists::all(),
        gateway::all(),
        wire::all(),
        metrics::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn main() -> ExitCode {
    // for clients of TLS; a second time changes nothing
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let mut suite = Suite::from_args().expect("the asynchronous runtime starts");
    if let Some(urls) = Env::given_urls() {
        suite.run("given", list_tests(), WIDTH, |_| Ok(Env::at(&urls)));
        return suite.finish();
    }
    for topology in [Topology::Single, Topology::Cluster] {
        suite.run(topology.as_str(), list_tests(), WIDTH, |_| Env::start(topology));
    }
    // Alone on a server of their own: one measures its memory, the other needs rate limits.
    for topology in [Topology::Single, Topology::Cluster] {
        suite.run(topology.as_str(), malformed::all(), 1, |_| Env::start(topology));
        suite.run(topology.as_str(), limits::all(), 1, |_| limits::start(topology));
        suite.run(topology.as_str(), operations::all(), 1, |_| operations::start(topology));
        suite.run(topology.as_str(), traces::all(), 1, |runtime| traces::start(topology, runtime));
        suite.run(topology.as_str(), tls::all(), WIDTH, |_| tls::start(topology));
        // with mail, a captcha, terms, and a browser
        suite.run(topology.as_str(), uia::all(), WIDTH, |_| uia::start(topology));
        suite.run(topology.as_str(), uia::faults(), 1, |_| uia::start_for_faults(topology));
        suite.run(topology.as_str(), uia::hasty(), WIDTH, |_| uia::start_hasty(topology));
    }
    suite.run("cluster", secured::all(), WIDTH, |_| secured::start());
    suite.finish()
}
