//! `matrixon database init|migrate|status|stats|after-restore|vacuum`

use std::path::Path;

use anyhow::Result;
use matrixon_store::{Db, migrations, stats, vacuum};

mod backup;

use super::{block_on, load_settings, show};
use crate::{
    cli::DatabaseCommand,
    config::load_from,
    connect::{connect, patiently, without_password},
    settings::Settings,
};

pub(crate) fn run(path: Option<&Path>, command: &DatabaseCommand) -> Result<()> {
    let settings = match command {
        DatabaseCommand::Init => Settings::prepare(load_from(path)?.0, &[])?,
        _ => load_settings(path)?,
    };
    if let Some(command) = backup::Command::of(command) {
        return block_on(backup::run(&settings, &command));
    }
    block_on(async {
        let config = &settings.config.database;
        let patience = if matches!(command, DatabaseCommand::Migrate) { config.startup_wait_seconds } else { 0 };
        let tell = |reason: &str| eprintln!("matrixon: waiting for the database: {reason}");
        let db = patiently(patience, tell, || connect(config)).await?;
        match command {
            DatabaseCommand::Init => {
                for (what, path) in &settings.created {
                    show(format_args!("created the {what} {}", path.display()));
                }
                migrate(&db, &settings).await?;
            }
            DatabaseCommand::Migrate => migrate(&db, &settings).await?,
            DatabaseCommand::Status => print_status(&db).await?,
            DatabaseCommand::AfterRestore => after_restore(&db).await?,
            DatabaseCommand::Vacuum => vacuum::vacuum(&db).await?,
            // the others, which have been dealt with above
            _ => print_stats(&db).await?,
        }
        db.close().await;
        Ok(())
    })
}

async fn migrate(db: &Db, settings: &Settings) -> Result<()> {
    let applied = migrations::migrate(db).await?;
    let place = without_password(&settings.config.database.url);
    show(format_args!("{place}: {applied} migrations applied, schema version {}", migrations::current(db).await?));
    Ok(())
}

async fn after_restore(db: &Db) -> Result<()> {
    let done = matrixon_auth::admin::after_restore(db).await?;
    show(format_args!(
        "{} one-time keys deleted, {} fallback keys to be replaced; clients upload new ones when they next sync",
        done.one_time_keys, done.fallback_keys
    ));
    Ok(())
}

async fn print_status(db: &Db) -> Result<()> {
    let current = migrations::current(db).await?;
    show(format_args!(
        "schema version {current}; this binary brings {} and needs at least {}",
        migrations::latest(),
        migrations::SCHEMA_MIN
    ));
    for migration in migrations::status(db).await? {
        let state = if migration.applied_ms.is_some() { "applied" } else { "pending" };
        show(format_args!("{:04} {:<24} {state}", migration.version, migration.name));
    }
    Ok(())
}

async fn print_stats(db: &Db) -> Result<()> {
    show(format_args!("{:<32} {:>14} {:>14}", "table", "rows", "bytes"));
    let tables = stats::tables(db).await?;
    for table in &tables {
        show(format_args!("{:<32} {:>14} {:>14}", table.table, table.rows, table.bytes));
    }
    show(format_args!("{:<32} {:>14} {:>14}", "all", "", tables.iter().map(|table| table.bytes).sum::<i64>()));
    Ok(())
}
