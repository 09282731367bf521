//! A cluster whose `PostgreSQL`, Redis and NATS serve nobody without TLS.

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result};
use matrixon_testkit::{
    cluster::{Profile, Topology},
    servers::tls::STRANGER,
    tests,
};
use tempfile::TempDir;

use crate::{
    env::{Env, Shared, event_ids, sync_token, timeline},
    metrics::scrape,
    operations::run,
    sync::patient,
};

tests![Env: everything_works_over_tls, stores_of_strangers_are_refused];

/// Connections with TLS, and those without.
const CONNECTIONS: &str = "select count(*) filter (where ssl), count(*) filter (where not ssl)
                           from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'matrixon'";

pub(crate) fn start() -> Result<Env> {
    Env::start_with(Topology::Cluster, &Env::options().with_profile(Profile::Load).with_tls_to_servers())
}

async fn everything_works_over_tls(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let since = sync_token(&bob).await?;
    let query = patient(&since);
    let (sync, sent) = tokio::join!(bob.sync(&query), alice.send(&room, "over TLS"));
    assert_eq!(event_ids(timeline(&sync?, &room)), [sent?.as_str()]);

    let cluster = env.own()?;
    let processes = cluster.state()?.processes.len();
    let metrics = scrape(&env).await?;
    for gauge in ["cache_connected", "bus_connected"] {
        assert_eq!(metrics.matches(&format!("\nmatrixon_{gauge} 1\n")).count(), processes, "{gauge}");
    }
    let counts = cluster.query(CONNECTIONS)?;
    let (with, without) = counts.split_once('|').context("two columns")?;
    assert!(with.parse::<usize>()? >= processes / 2 && without == "0", "{with} with, {without} without");
    // and so do commands that go to the database themselves
    run(&env, &["database", "status"]).await?;
    Ok(())
}

/// With the certificate of another authority nothing starts, and it is said why.
async fn stores_of_strangers_are_refused(env: Shared) -> Result<()> {
    let strangers = Strangers::new(&env)?;
    for (section, says) in [("database", "`database.url`"), ("cache", "rediss://"), ("bus", "tls://")] {
        let (status, said) = strangers.serve(section).await?;
        assert!(
            status.is_some_and(|code| code != 0) && said.contains(says) && said.contains("certificate"),
            "{section}: {said}"
        );
    }
    Ok(())
}

struct Strangers {
    directory: TempDir,
    program: String,
    config: toml::Table,
}

impl Strangers {
    fn new(env: &Env) -> Result<Self> {
        let state = env.own()?.state()?;
        let command = &state.process("auth", 0).context("an auth process")?.command;
        let config = toml::from_str(&fs::read_to_string(&command[2])?)?;
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join("stranger.crt"), STRANGER)?;
        Ok(Self { directory, program: command[0].clone(), config })
    }

    /// One more auth process, which trusts somebody else's authority for this section. How it ended, and what it said.
    async fn serve(&self, section: &str) -> Result<(Option<i32>, String)> {
        let authority = self.directory.path().join("stranger.crt").display().to_string();
        let mut config = self.config.clone();
        for listen in ["cluster", "internal"] {
            table(&mut config, "listen")?.insert(listen.to_owned(), "127.0.0.1:0".into());
        }
        let section = table(&mut config, section)?;
        match section.get("url").and_then(toml::Value::as_str).and_then(|url| url.split_once("sslrootcert=")) {
            Some((url, _)) => section.insert("url".to_owned(), format!("{url}sslrootcert={authority}").into()),
            None => section.insert("ca_certificate".to_owned(), authority.into()),
        };
        let file = self.directory.path().join("matrixon.toml");
        fs::write(&file, toml::to_string(&config)?)?;
        self.run(&file).await
    }

    async fn run(&self, file: &Path) -> Result<(Option<i32>, String)> {
        let mut command = tokio::process::Command::new(&self.program);
        command.arg("--config").arg(file).args(["serve", "auth"]).stdin(Stdio::null()).kill_on_drop(true);
        let output =
            tokio::time::timeout(Duration::from_mins(1), command.output()).await.context("it goes on running")??;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
    }
}

fn table<'a>(config: &'a mut toml::Table, name: &str) -> Result<&'a mut toml::Table> {
    config.get_mut(name).and_then(toml::Value::as_table_mut).with_context(|| format!("a section `{name}`"))
}
