use std::fs;

use matrixon_runtime::config::Secret;

use super::*;

fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

fn error(config: Config, roles: &[Role]) -> String {
    format!("{:#}", Settings::prepare(config, roles).err().unwrap())
}

#[test]
fn the_embedded_default_makes_its_files_once() {
    let dir = tempfile::tempdir().unwrap();
    let embedded = || config(|config| config.server.data_dir = dir.path().join("data"));
    let first = Settings::prepare(embedded(), &[]).unwrap();
    assert!(first.embedded);
    assert_eq!(first.config.server.name, "localhost");
    assert_eq!(first.config.database.url, format!("sqlite:{}", dir.path().join("data/matrixon.db").display()));
    assert_eq!(first.created.iter().map(|(what, _)| *what).collect::<Vec<_>>(), ["signing key", "cluster secret"]);
    let second = Settings::prepare(embedded(), &[]).unwrap();
    assert!(second.created.is_empty());
    assert_eq!(second.config.cluster.secret, first.config.cluster.secret);
    assert_eq!(second.signing_key().unwrap(), first.signing_key().unwrap());
}

#[test]
fn a_cluster_must_say_its_name_secret_key_and_database() {
    let dir = tempfile::tempdir().unwrap();
    let roles = [Role::Room];
    let named = |config: &mut Config| config.server.name = "example.org".to_owned();
    let stored = |config: &mut Config| config.database.url = "postgres://localhost/matrixon".to_owned();
    assert!(error(config(|_| ()), &roles).starts_with("`server.name` is not set; "));
    assert!(error(config(named), &roles).starts_with("`database.url` is not set; "));
    let complete = |config: &mut Config| {
        named(config);
        stored(config);
        config.server.signing_key_path = Some(dir.path().join("signing.key"));
    };
    assert!(error(config(complete), &roles).starts_with("`cluster.secret` is not set; "));
    let secret = |text: &'static str| {
        move |config: &mut Config| {
            complete(config);
            config.cluster.secret = Secret::new(text);
        }
    };
    assert!(error(config(secret("short")), &roles).starts_with("`cluster.secret` is too short; "));
    let long = secret("0123456789abcdef0123456789abcdef");
    assert!(error(config(long), &roles).starts_with("set `server.signing_key_path`; "));
    fs::write(dir.path().join("signing.key"), "nonsense").unwrap();
    assert!(error(config(long), &roles).contains("holds no signing key"));
    fs::write(dir.path().join("signing.key"), format_signing_key(&[7; 32])).unwrap();
    assert!(Settings::prepare(config(long), &roles).is_ok());
}

#[test]
fn a_gateway_needs_neither_database_nor_signing_key() {
    let gateway = config(|config| {
        config.server.name = "example.org".to_owned();
        config.cluster.secret = Secret::new("0123456789abcdef0123456789abcdef");
    });
    let settings = Settings::prepare(gateway, &[Role::Gateway]).unwrap();
    assert!(!settings.embedded && !settings.needs_database());
}
