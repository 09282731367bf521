//! The fault suite: parts of a cluster die, are wiped or restarted under load, and nobody notices.
//!
//! Under every fault senders send and readers read; afterwards each acknowledged event must have reached each
//! reader exactly once, in the order of its sender, and be read back by `/messages`.

mod cases;
mod load;
mod network;
mod profiles;
mod to_device;
mod verdict;

use std::process::ExitCode;

use matrixon_testkit::{
    Cluster,
    cluster::{Options, Profile, Topology},
    suite::Suite,
};

use crate::network::Network;

fn main() -> ExitCode {
    let mut suite = Suite::from_args().expect("the asynchronous runtime starts");
    suite.extend_limit(cases::cluster::soak_time());
    let options = Options::default()
        .with_binary(env!("CARGO_BIN_EXE_matrixon"))
        .with_profile(Profile::Load)
        .with("gateway.admin_token", cases::administration::TOKEN);
    // one after the other: each fault is seen alone
    let cluster = [cases::cluster::all(), cases::keys::all(), cases::administration::all()];
    let cluster = cluster.into_iter().flatten().collect();
    for (topology, tests) in [(Topology::Cluster, cluster), (Topology::Single, cases::single::all())] {
        suite.run(topology.as_str(), tests, 1, |runtime| Network::start(runtime, Cluster::start(topology, &options)?));
    }
    if let Some(previous) = cases::versions::previous() {
        let options = options.with_binary(previous);
        suite.run("versions", cases::versions::all(), 1, |runtime| {
            Network::start(runtime, Cluster::start(Topology::Cluster, &options)?)
        });
    }
    suite.finish()
}
