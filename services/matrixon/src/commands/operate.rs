//! `matrixon admin status|health|metrics|drain|shutdown|reload|log-level|profile|check`

mod check;
mod status;

use std::{
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use anyhow::{Result, ensure};
use matrixon_runtime::role::Role;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{block_on, load_settings, show};
use crate::{
    cli::AdminCommand,
    config::load_from,
    failure::Failure,
    operate::{Asked, Deed, Kind, Operator, Replica},
    settings::Settings,
};

/// How long finding the names of a flame graph's functions may take.
const DRAWING: Duration = Duration::from_mins(1);

pub(crate) fn run(path: Option<&Path>, command: &AdminCommand) -> Result<()> {
    let settings = load(path)?;
    block_on(async {
        match command {
            AdminCommand::Status { detailed, json } => status::status(&settings, *detailed, *json).await,
            AdminCommand::Health => status::health(&settings).await,
            AdminCommand::Metrics { target, json } => metrics(&settings, target, *json).await,
            AdminCommand::Drain { target } => drain(&settings, target).await,
            AdminCommand::Shutdown { target } => act(&settings, target, &Deed::ending("process.shutdown")).await,
            AdminCommand::Reload { target } => act(&settings, target, &Deed::new("process.reload", "/reload")).await,
            AdminCommand::LogLevel { level, target } => {
                let path = format!("/log-level?level={}", utf8_percent_encode(level, NON_ALPHANUMERIC));
                act(&settings, target, &Deed::new("process.log-level", path).with("level", level.as_str())).await
            }
            AdminCommand::Profile { kind, target, seconds, output } => {
                profile(&settings, *kind, target, Duration::from_secs(*seconds), output).await
            }
            AdminCommand::Check => check::check(&settings).await,
        }
    })
}

/// An embedded server keeps the cluster secret in a file of its own, which a command must not make.
fn load(path: Option<&Path>) -> Result<Settings> {
    let settings = load_settings(path)?;
    let secret = settings.config.server.data_dir.join("cluster.secret");
    if settings.embedded && settings.config.cluster.secret.is_empty() && secret.exists() {
        return Settings::prepare(load_from(path)?.0, &[]);
    }
    Ok(settings)
}

async fn metrics(settings: &Settings, target: &str, json: bool) -> Result<()> {
    let asked = Operator::new(settings)?.ask(settings, target, "/metrics").await?;
    if json {
        let all: serde_json::Map<String, serde_json::Value> = asked
            .iter()
            .filter_map(|asked| Some((asked.replica.address.clone(), parse(asked.answer.as_ref().ok()?))))
            .collect();
        show(serde_json::to_string_pretty(&all)?);
    } else {
        for Asked { replica, answer } in &asked {
            if let Ok(text) = answer {
                show(format_args!("# replica {}\n{}", replica.name(), text.trim_end()));
            }
        }
    }
    report(asked.into_iter().filter(|asked| asked.answer.is_err()).collect())
}

/// `name{labels} value` as an object; buckets and all.
fn parse(text: &str) -> serde_json::Value {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let number = serde_json::Number::from_f64(value.parse().ok()?)?;
        Some((name.to_owned(), number.into()))
    });
    serde_json::Value::Object(pairs.collect())
}

/// One replica, so that a slip of the hand does not end a role.
async fn drain(settings: &Settings, target: &str) -> Result<()> {
    let is_role = target == "all" || Role::ALL.iter().any(|role| role.as_str() == target);
    if is_role {
        let text = format!(
            "`{target}` is more than one replica: drain them one by one by pod or address, or use `admin shutdown {target}`"
        );
        return Err(Failure::failed(text).into());
    }
    act(settings, target, &Deed::ending("process.drain")).await
}

async fn profile(settings: &Settings, kind: Kind, target: &str, time: Duration, output: &Path) -> Result<()> {
    let operator = Operator::new(settings)?;
    let (meant, log) = operator.find_meant(settings, target).await?;
    let [replica] = meant.as_slice() else {
        let names = meant.iter().map(Replica::name).collect::<Vec<_>>().join(", ");
        return Err(Failure::failed(format!("`{target}` is more than one replica: profile one of {names}")).into());
    };
    let path = format!("/profile?kind={}&seconds={}", kind.as_str(), time.as_secs());
    let deed = Deed::new("process.profile", path.as_str()).with("kind", kind.as_str()).with("seconds", time.as_secs());
    let record = async {
        let recorded = operator.call("POST", &replica.address, &path, time + DRAWING).await;
        log.end(&deed, replica, &recorded).await;
        recorded.map_err(|error| Failure::failed(format!("{}: {error}", replica.name())))
    };
    if output == Path::new("-") {
        show(record.await?);
        return Ok(());
    }
    let cannot_write = |error: io::Error| Failure::failed(format!("{}: {error}", output.display()));
    if output.exists() {
        return Err(cannot_write(io::ErrorKind::AlreadyExists.into()).into());
    }
    // made before it is recorded: not after ten minutes it turns out that it cannot be written
    let directory = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(cannot_write)?;
    file.write_all(record.await?.as_bytes()).map_err(cannot_write)?;
    file.persist_noclobber(output).map_err(|error| cannot_write(error.error))?;
    show(format_args!("{}: {}", replica.name(), output.display()));
    Ok(())
}

async fn act(settings: &Settings, target: &str, deed: &Deed) -> Result<()> {
    report(Operator::new(settings)?.act(settings, target, deed).await?)
}

/// A line for each answer; a failure when one failed.
fn report(asked: Vec<Asked>) -> Result<()> {
    let mut failed = 0;
    for Asked { replica, answer } in asked {
        match answer {
            Ok(text) => show(format_args!("{}: {}", replica.name(), text.trim_end().replace('\n', " · "))),
            Err(error) => {
                failed += 1;
                show(format_args!("{}: {error}", replica.name()));
            }
        }
    }
    ensure!(failed == 0, Failure::failed(format!("{failed} replicas did not do it")));
    Ok(())
}
