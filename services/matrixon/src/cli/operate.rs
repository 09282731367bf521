//! `matrixon admin …`: what is done to running processes.

use std::path::PathBuf;

use clap::Subcommand;

use crate::operate::{Kind, MAX_SECONDS};

const TARGET: &str = "A role, the name of a pod, an address, or `all`";

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Every replica of every role: version, readiness, stream lag, use of the database pool
    Status {
        /// Also streams, schema, memory, bus and cache of each
        #[arg(long)]
        detailed: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say in a word whether all is well; exit code 1 when it is not
    Health,
    /// The metrics of replicas, in the text format of Prometheus
    Metrics {
        #[arg(value_name = "TARGET", default_value = "all", help = TARGET)]
        target: String,
        /// As a JSON object by replica
        #[arg(long)]
        json: bool,
    },
    /// Let one replica finish what it has and end; where something restarts it, it comes back
    Drain {
        #[arg(value_name = "POD", help = "The name of a pod, or an address")]
        target: String,
    },
    /// Let replicas finish what they have and end
    Shutdown {
        #[arg(value_name = "TARGET", help = TARGET)]
        target: String,
    },
    /// Read log level, rate limits, certificates and rotated secrets anew
    Reload {
        #[arg(value_name = "TARGET", default_value = "all", help = TARGET)]
        target: String,
    },
    /// Change the log level until the next reload or restart
    LogLevel {
        /// Such as `debug`, or `info,matrixon_room=debug`
        level: String,
        #[arg(value_name = "TARGET", default_value = "all", help = TARGET)]
        target: String,
    },
    /// Draw a flame graph (SVG) of a running replica; `telemetry.profiling` must be on
    Profile {
        kind: Kind,
        #[arg(value_name = "REPLICA", help = "The name of a pod, or an address; a role, if it has one replica")]
        target: String,
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=MAX_SECONDS))]
        seconds: u64,
        /// Where to write it; must not be there yet. `-` is the standard output
        #[arg(long, value_name = "FILE.svg")]
        output: PathBuf,
    },
    /// Look at everything that a working server needs from outside, and say what to do about what is missing
    Check,
}
