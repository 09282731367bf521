//! The short set against several servers in one run: figures are comparable only within it.

use std::{path::PathBuf, str::FromStr};

use anyhow::Context as _;
use clap::Args;

use crate::{
    plot,
    report::{ServerReports, table},
    scenarios::Scenario,
    target::{Target, TargetArgs},
};

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// `NAME=DIR/cluster.json`, or `NAME=URL,PID,PID…` for any other server; the first is what the others are compared with.
    #[arg(long = "server", required = true)]
    servers: Vec<Server>,
    /// Where `report.json`, `report.md` and `report.svg` go.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// Seconds of each timed scenario.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
}

#[derive(Clone)]
struct Server {
    name: String,
    target: TargetArgs,
}

impl FromStr for Server {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, rest) = text.split_once('=').context("want NAME=DIR/cluster.json or NAME=URL,PID…")?;
        let mut parts = rest.split(',');
        let first = parts.next().unwrap_or_default().to_owned();
        let target = if first.starts_with("http") {
            let pids = parts.map(str::parse).collect::<Result<_, _>>().context("process ids are numbers")?;
            TargetArgs::of_url(first, pids)
        } else {
            TargetArgs::of_cluster(first.into())
        };
        Ok(Self { name: name.to_owned(), target })
    }
}

fn scenarios(seconds: u64) -> anyhow::Result<Vec<Scenario>> {
    #[derive(clap::Parser)]
    struct One {
        #[command(subcommand)]
        scenario: Scenario,
    }
    let seconds = seconds.to_string();
    let timed = ["--seconds", seconds.as_str()];
    let plain: &[&str] = &[];
    [
        (["send", "--senders", "10", "--rooms", "5"].as_slice(), timed.as_slice()),
        (&["send", "--senders", "1", "--rooms", "1"], &timed),
        (&["fanout", "--rooms", "5", "--members", "20", "--rate", "5"], &timed),
        (&["fanout", "--rooms", "1", "--members", "50", "--rate", "5"], &timed),
        (&["sync-incremental"], &timed),
        (&["sync-initial"], &timed),
        (&["create-room"], &timed),
        (&["join"], plain),
        (&["login"], &timed),
        (&["keys-query"], &timed),
        (&["keys-claim"], plain),
        (&["idle"], plain),
    ]
    .into_iter()
    .map(|(words, more)| {
        let words = std::iter::once(&"scenario").chain(words).chain(more);
        Ok(<One as clap::Parser>::try_parse_from(words)?.scenario)
    })
    .collect()
}

pub(crate) async fn run(args: BenchArgs) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.out)?;
    let mut all = Vec::new();
    for server in &args.servers {
        let target: Target = server.target.load()?;
        let mut reports = Vec::new();
        for scenario in scenarios(args.seconds)? {
            let report = scenario.run(&target).await.with_context(|| format!("{}: {scenario:?}", server.name))?;
            eprintln!(
                "{:<12} {:<48} {:>9.1}/s  p50 {:>8.2} ms  p95 {:>8.2} ms  {} failed",
                server.name,
                report.scenario,
                report.per_second,
                report.latency_ms.p50,
                report.latency_ms.p95,
                report.failures
            );
            reports.push(report);
        }
        all.push(ServerReports { server: server.name.clone(), reports });
    }
    std::fs::write(args.out.join("report.json"), serde_json::to_vec_pretty(&all)?)?;
    std::fs::write(args.out.join("report.md"), table(&all))?;
    std::fs::write(args.out.join("report.svg"), plot::ratios(&all))?;
    eprintln!("wrote {}", args.out.join("report.{json,md,svg}").display());
    Ok(())
}
