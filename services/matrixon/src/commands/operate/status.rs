//! `matrixon admin status` and `health`.

use anyhow::{Result, ensure};
use matrixon_runtime::role::Role;

use super::super::show;
use crate::{
    failure::Failure,
    operate::{Operator, Replica, Status},
    settings::Settings,
};

pub(super) async fn status(settings: &Settings, detailed: bool, json: bool) -> Result<()> {
    let replicas = Operator::new(settings)?.find(settings).await?;
    if json {
        let all: Vec<serde_json::Value> = replicas.iter().map(to_json).collect();
        show(serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    show(format_args!(
        "{:<18} {:<24} {:<10} {:<10} {:>10} {:>9} {:>8} {}",
        "service", "replica", "version", "state", "up", "pool", "lag", "host"
    ));
    for replica in &replicas {
        show(line(replica));
        if let (true, Ok(status)) = (detailed, &replica.status) {
            details(status);
        }
    }
    let versions: std::collections::BTreeSet<&str> =
        replicas.iter().filter_map(|replica| Some(replica.status.as_ref().ok()?.version.as_str())).collect();
    if versions.len() > 1 {
        let versions: Vec<&str> = versions.into_iter().collect();
        show(format_args!("{} versions run side by side: {}", versions.len(), versions.join(", ")));
    }
    Ok(())
}

fn to_json(replica: &Replica) -> serde_json::Value {
    let role = replica.role.map(Role::as_str);
    match &replica.status {
        Ok(status) => serde_json::json!({ "address": replica.address, "role": role, "status": status }),
        Err(error) => serde_json::json!({ "address": replica.address, "role": role, "error": error }),
    }
}

fn line(replica: &Replica) -> String {
    let address = &replica.address;
    match &replica.status {
        Err(error) => {
            let role = replica.role.map_or("?", Role::as_str);
            format!("{role:<18} {address:<24} {:<10} {:<10} {error}", "-", "away")
        }
        Ok(status) => {
            let Status { service, version, host, .. } = status;
            let (state, up, lag) = (state(status), duration(status.uptime_seconds), status.lag());
            let pool = status.pool.as_ref().map_or("-".to_owned(), |pool| format!("{}/{}", pool.used, pool.max));
            format!("{service:<18} {address:<24} {version:<10} {state:<10} {up:>10} {pool:>9} {lag:>8} {host}")
        }
    }
}

fn details(status: &Status) {
    let connected = |connected: bool| if connected { "connected" } else { "away" };
    if let Some(reason) = &status.reason {
        show(format_args!("    not ready: {reason}"));
    }
    show(format_args!(
        "    pid {}, {} MiB resident, {} requests in flight, bus {}, cache {}",
        status.pid,
        status.resident_bytes >> 20,
        status.in_flight,
        connected(status.bus_connected),
        connected(status.cache_connected)
    ));
    if let Some(schema) = &status.schema {
        let database = schema.database.map_or("unknown".to_owned(), |version| version.to_string());
        show(format_args!(
            "    schema {database}; the binary brings {} and works with {} to {}",
            schema.brings, schema.min, schema.max
        ));
    }
    for stream in &status.streams {
        show(format_args!("    stream {} at {}, {} behind", stream.stream, stream.position, stream.lag));
    }
}

fn state(status: &Status) -> &'static str {
    match (status.draining, status.ready) {
        (true, _) => "draining",
        (false, true) => "ready",
        (false, false) => "not ready",
    }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// One line a fault.
pub(super) async fn health(settings: &Settings) -> Result<()> {
    let replicas = Operator::new(settings)?.find(settings).await?;
    let mut faults = Vec::new();
    for replica in &replicas {
        match &replica.status {
            Err(error) => faults.push(format!("{} does not answer: {error}", replica.name())),
            Ok(status) if status.draining => {}
            Ok(status) => {
                if let Some(reason) = &status.reason {
                    faults.push(format!("{} is not ready: {reason}", replica.name()));
                }
            }
        }
    }
    for role in Role::ALL.into_iter().filter(|role| settings.embedded || settings.config.discovery.is_configured(*role))
    {
        let ready = |status: &Status| status.ready && status.roles.iter().any(|name| name == role.as_str());
        if !replicas.iter().any(|replica| replica.status.as_ref().is_ok_and(ready)) {
            faults.push(format!("{role} has no ready replica: what needs it is answered 503"));
        }
    }
    for fault in &faults {
        show(fault);
    }
    ensure!(faults.is_empty(), Failure::failed("not all is well".to_owned()));
    show(format_args!("all {} replicas are well", replicas.len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations_are_short() {
        let texts = [5, 65, 3_700, 90_000].map(super::duration);
        assert_eq!(texts, ["5s", "1m5s", "1h1m", "1d1h"]);
    }
}
