//! Deleting what is older than it must be kept.

use anyhow::Result;
use matrixon_runtime::clock::Clock;

use super::{config::BackupConfig, destination::Destination, manifest::Manifest};

const DAY_MS: i64 = 86_400_000;

/// Deletes old backups, and what interrupted ones left a day ago; returns the names. `dry`: only says which.
pub(crate) async fn prune(config: &BackupConfig, destination: &Destination, dry: bool) -> Result<Vec<String>> {
    let now_ms = Clock::system().now_ms();
    let mut doomed = too_old(&destination.list().await?, config, now_ms);
    let orphans = destination.orphans(now_ms).await?;
    doomed.extend(orphans.into_iter().filter(|(_, age_ms)| *age_ms > DAY_MS).map(|(name, _)| name));
    if !dry {
        for name in &doomed {
            destination.delete(name).await?;
        }
    }
    Ok(doomed)
}

/// `all` with the newest last.
fn too_old(all: &[Manifest], config: &BackupConfig, now_ms: i64) -> Vec<String> {
    let oldest_ms = now_ms - i64::from(config.retention_days) * DAY_MS;
    let deletable = all.len().saturating_sub(config.keep_at_least.max(1) as usize);
    let old = all[..deletable].iter().filter(|manifest| manifest.finished_ms < oldest_ms);
    old.map(|manifest| manifest.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::manifest::Engine;

    #[test]
    fn the_newest_stay_however_old() {
        let manifest = |day: i64| Manifest {
            format: 1,
            name: format!("matrixon-{day}"),
            server_name: "x".to_owned(),
            engine: Engine::Postgres,
            schema: vec![1],
            version: "1".to_owned(),
            started_ms: day * DAY_MS,
            finished_ms: day * DAY_MS,
            bytes: 1,
            plain_bytes: 1,
            sha256: String::new(),
            encrypted: false,
            tables: std::collections::BTreeMap::new(),
        };
        let all: Vec<Manifest> = (0..6).map(manifest).collect();
        let config = |days, keep| BackupConfig { retention_days: days, keep_at_least: keep, ..BackupConfig::default() };
        assert_eq!(too_old(&all, &config(2, 3), 6 * DAY_MS), ["matrixon-0", "matrixon-1", "matrixon-2"]);
        assert_eq!(too_old(&all, &config(5, 3), 6 * DAY_MS), ["matrixon-0"]);
        assert_eq!(too_old(&all, &config(0, 0), 99 * DAY_MS).len(), 5, "the last one always stays");
    }
}
