//! Administration over HTTPS: the command line gives its token only to a gateway whose certificate it trusts.

use std::{
    path::PathBuf,
    process::{Output, Stdio},
};

use anyhow::Result;
use matrixon_testkit::{
    client::{PASSWORD, unique},
    cluster::{Profile, Topology},
    tests,
};

use crate::env::{ADMIN_TOKEN, Env, Shared};

tests![Env: an_authority_of_ours_is_trusted, certificates_of_strangers_are_refused, useless_files_are_named];

pub(crate) fn start(topology: Topology) -> Result<Env> {
    let options = Env::options()
        .with_profile(Profile::Load)
        .with("listen.tls_certificate", testdata("first.crt"))
        .with("listen.tls_key", testdata("first.key"));
    Env::start_with(topology, &options)
}

/// Two certificates for `localhost`, each signed by itself.
fn testdata(name: &str) -> String {
    let directory = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../gateway/testdata");
    directory.join(name).display().to_string()
}

/// The addresses of the gateways under another name.
fn urls(env: &Env, host: &str) -> Vec<String> {
    env.urls.iter().map(|url| url.replacen("http://127.0.0.1", &format!("https://{host}"), 1)).collect()
}

async fn matrixon(url: &str, variables: &[(&str, &str)], args: &[&str]) -> Result<Output> {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_matrixon"));
    command.args(args).args(["--server", url]).env_clear().env("MATRIXON_ADMIN_TOKEN", ADMIN_TOKEN);
    Ok(command.envs(variables.iter().copied()).stdin(Stdio::null()).output().await?)
}

/// One line that says this.
#[track_caller]
fn expect_failure(output: &Output, code: i32, says: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), message.lines().count()), (Some(code), 1), "{message}");
    assert!(says.iter().all(|says| message.contains(says)), "{says:?}: {message}");
}

async fn an_authority_of_ours_is_trusted(env: Shared) -> Result<()> {
    let (name, ours) = (unique("tls"), testdata("first.crt"));
    let create = ["user", "create", &name, "--password", PASSWORD, "--ca-file", &ours];
    let created = matrixon(&urls(&env, "localhost")[0], &[], &create).await?;
    assert!(created.status.success(), "{created:?}");
    let list = ["user", "list", &name];
    for url in urls(&env, "localhost") {
        // by an argument, by a variable, and instead of the authorities of this machine
        let outputs = [
            matrixon(&url, &[], &[&list[..], &["--ca-file", &ours]].concat()).await?,
            matrixon(&url, &[("MATRIXON_ADMIN_CA_FILE", &ours)], &list).await?,
            matrixon(&url, &[("SSL_CERT_FILE", &ours)], &list).await?,
        ];
        for output in outputs {
            assert!(output.status.success(), "{output:?}");
            assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("@{name}:")), "{output:?}");
        }
    }
    Ok(())
}

async fn certificates_of_strangers_are_refused(env: Shared) -> Result<()> {
    let (ours, theirs) = (testdata("first.crt"), testdata("second.crt"));
    let (list, nothing) = (["user", "list"], "; nothing was done");
    let url = &urls(&env, "localhost")[0];
    let refused = format!("the certificate of {url} is not trusted: ");
    for output in
        [matrixon(url, &[], &list).await?, matrixon(url, &[("MATRIXON_ADMIN_CA_FILE", &theirs)], &list).await?]
    {
        expect_failure(&output, 5, &[&refused, "`--ca-file`", nothing]);
    }
    // one that is trusted, and another host's
    let url = &urls(&env, "127.0.0.1")[0];
    let refused = format!("the certificate of {url} is not trusted: ");
    let output = matrixon(url, &[("MATRIXON_ADMIN_CA_FILE", &ours)], &list).await?;
    expect_failure(&output, 5, &[&refused, "not valid for name", nothing]);
    Ok(())
}

async fn useless_files_are_named(env: Shared) -> Result<()> {
    let url = &urls(&env, "localhost")[0];
    for (file, why) in
        [("/nonexistent.crt".to_owned(), "No such file"), (testdata("first.key"), "no certificate in it")]
    {
        let output = matrixon(url, &[], &["user", "list", "--ca-file", &file]).await?;
        expect_failure(&output, 2, &["`--ca-file`", &file, why]);
    }
    Ok(())
}
