//! What operators do to processes is in the audit log, of every process, in both topologies.

use anyhow::Result;
use serde_json::{Value, json};

use super::{address, matrixon, run};
use crate::env::{Env, Shared};

/// The latest records of this action.
pub(super) async fn records(env: &Env, action: &str) -> Result<Vec<Value>> {
    let text = run(env, &["audit", "list", "--json", "--limit", "1000", "--action", action]).await?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

fn details(record: &Value) -> Value {
    serde_json::from_str(record["details"].as_str().unwrap_or_default()).unwrap_or_default()
}

pub(super) async fn operations_are_in_the_audit_log(env: Shared) -> Result<()> {
    let processes = env.own()?.state()?.processes;
    let addresses = processes.iter().map(address).collect::<Result<Vec<_>>>()?;
    let (level, wrong) = ("info,matrixon_sync=debug", "loud=always");
    run(&env, &["admin", "log-level", level]).await?;
    let refused = matrixon(&env, &["admin", "log-level", wrong]).await?;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let before = records(&env, "process.reload").await?.len();
    let reloaded = matrixon(&env, &["admin", "reload"]).await?;
    let unrecorded = String::from_utf8_lossy(&reloaded.stderr).contains("audit log");
    assert!(reloaded.status.success() && !unrecorded, "{reloaded:?}");
    // there may be nothing to draw, which is a result as well
    matrixon(&env, &["admin", "profile", "cpu", &addresses[0], "--seconds", "1", "--output", "-"]).await?;

    let levels = records(&env, "process.log-level").await?;
    for address in &addresses {
        for (level, result) in [(level, "ok"), (wrong, "failed")] {
            let is_it = |one: &&Value| one["target"] == address.as_str() && details(one)["level"] == level;
            let found: Vec<&Value> = levels.iter().filter(is_it).collect();
            let [one] = found.as_slice() else { panic!("{address} {level}: {levels:#?}") };
            assert_eq!(
                (&one["result"], &one["via"], &one["remote"]),
                (&result.into(), &"cli".into(), &"127.0.0.1".into())
            );
            assert!(one["actor"].as_str().is_some_and(|actor| actor.starts_with("cli:")), "{one}");
            let more = details(one);
            assert!(more["service"].is_string() && more["host"].is_string(), "{one}");
            assert_eq!(more["error"].is_string(), result == "failed", "{one}");
        }
    }
    let reloads = records(&env, "process.reload").await?;
    assert_eq!(reloads.len() - before, addresses.len(), "{reloads:#?}");
    for address in &addresses {
        assert!(reloads.iter().any(|one| one["target"] == address.as_str() && one["result"] == "ok"), "{reloads:#?}");
    }
    let profiles = records(&env, "process.profile").await?;
    let latest = profiles.first().map(details).unwrap_or_default();
    assert_eq!((&latest["kind"], &latest["seconds"]), (&"cpu".into(), &json!(1)), "{profiles:#?}");
    assert_eq!(profiles[0]["target"], addresses[0].as_str());
    run(&env, &["audit", "verify"]).await?;
    Ok(())
}
