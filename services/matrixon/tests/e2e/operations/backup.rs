//! A backup under load, the loss of the database, and everybody going on.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use matrixon_testkit::client::{Client, SyncQuery};
use serde_json::json;
use tokio::sync::watch;

use super::{matrixon_with, run};
use crate::env::{Env, Shared, event_ids, read_history};

/// Sends until told to stop; what was acknowledged, in order.
async fn talk(
    client: Client,
    room: String,
    mut stop: watch::Receiver<bool>,
    said: watch::Sender<Vec<String>>,
) -> Result<()> {
    for number in 0.. {
        if *stop.borrow_and_update() {
            break;
        }
        let event_id =
            client.send_content(&room, &format!("b{number}"), &json!({ "msgtype": "m.text", "body": "x" })).await?;
        said.send_modify(|said| said.push(event_id));
    }
    Ok(())
}

pub(super) async fn a_backup_brings_everybody_back(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let (stop, stopped) = watch::channel(false);
    let (said, mut hearing) = watch::channel(Vec::new());
    let talking = tokio::spawn(talk(alice.clone(), room.clone(), stopped, said));
    hearing.wait_for(|said| said.len() >= 20).await?;
    let before = hearing.borrow().clone();
    let made = run(&env, &["database", "backup"]).await?;
    let at_the_end = hearing.borrow().len();
    ensure!(at_the_end > before.len(), "nobody could send while the backup was made");
    hearing.wait_for(|said| said.len() >= at_the_end + 10).await?;
    stop.send_replace(true);
    talking.await??;
    let name = made.split(':').next().context("no name")?.to_owned();
    check_backup(&env, &name).await?;

    // The token of a client that has seen more than the backup has.
    let (since, carol) = (bob.sync(&SyncQuery::default()).await?["next_batch"].clone(), env.user("carol").await?);
    let since = since.as_str().context("no token")?.to_owned();
    lose_and_restore(&env, &name).await?;

    let history = read_history(&alice, &room, 'f', 100).await?;
    let found = event_ids(&history);
    let lost: Vec<&String> = before.iter().filter(|event_id| !found.contains(&event_id.as_str())).collect();
    assert!(lost.is_empty(), "{} events from before the backup are lost", lost.len());
    let event_id = alice.send(&room, "after the restore").await?;
    ensure!(!hearing.borrow().contains(&event_id), "the server thinks that it is an old request");
    let is_new = |body: &serde_json::Value| {
        let events = crate::env::timeline(body, &room).to_vec();
        events.iter().any(|event| event["event_id"] == event_id.as_str()).then_some(())
    };
    bob.sync_until(Some(&since), is_new).await?;
    // Carol came after the backup: she is nobody, and may come again.
    let reply = carol.request(matrixon_testkit::client::Method::GET, "/_matrix/client/v3/account/whoami", None).await?;
    assert_eq!((reply.status, reply.errcode()), (401, "M_UNKNOWN_TOKEN"));
    env.nobody().register(carol.localpart()).await?;
    Ok(())
}

/// It is listed and whole; damage and another key are noticed.
async fn check_backup(env: &Env, name: &str) -> Result<()> {
    let listed = run(env, &["database", "backups"]).await?;
    assert!(listed.lines().any(|line| line.starts_with(name) && line.contains(" yes ")), "{listed}");
    assert_eq!(run(env, &["database", "verify"]).await?.trim(), format!("{name} is whole"));
    let other = [("MATRIXON__BACKUP__ENCRYPTION_KEY", "another key of more than thirty-two characters")];
    let output = matrixon_with(env, &other, &["database", "verify", name]).await?;
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && message.contains("`backup.encryption_key`"), "{message}");
    let file = backups(env)?.join(format!("{name}.mxb"));
    let whole = fs::read(&file)?;
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&file, damaged)?;
    let output = matrixon_with(env, &[], &["database", "verify", name]).await?;
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    fs::write(&file, whole)?;
    let pruned = run(env, &["database", "prune"]).await?;
    assert!(pruned.contains("older than 30 days"), "{pruned}");
    Ok(())
}

fn backups(env: &Env) -> Result<PathBuf> {
    let state = env.own()?.state()?;
    let process = state.processes.first().context("no process")?;
    Ok(env.own()?.directory().join("data").join(format!("{}-{}", process.role, process.index)).join("backups"))
}

/// Ends everything, takes the database away, restores another, starts everything again.
async fn lose_and_restore(env: &Shared, name: &str) -> Result<()> {
    let state = env.own()?.state()?;
    let processes = state.processes.clone();
    let stopping = env.clone();
    tokio::task::spawn_blocking(move || {
        processes.iter().try_for_each(|process| stopping.own()?.kill(&process.role, process.index))
    })
    .await??;
    if let (Some(server), Some(fresh)) = (&state.postgres, env.own()?.create_database("restored")?) {
        for process in &state.processes {
            let file = &process.command[2];
            let text = fs::read_to_string(file)?.replace(&server.url, &fresh);
            fs::write(file, text)?;
        }
        run(env, &["database", "restore", "latest"]).await?;
        let again = matrixon_with(env, &[], &["database", "restore", name]).await?;
        let message = String::from_utf8_lossy(&again.stderr).into_owned();
        assert!(!again.status.success() && message.contains("needs an empty one"), "{message}");
    } else {
        let refused = matrixon_with(env, &[], &["database", "restore", name]).await?;
        assert_eq!(refused.status.code(), Some(1), "a database that is there must not be overwritten");
        run(env, &["database", "restore", name, "--replace"]).await?;
    }
    let starting = env.clone();
    tokio::task::spawn_blocking(move || {
        state.processes.iter().try_for_each(|process| starting.own()?.start(&process.role, process.index))
    })
    .await?
}
