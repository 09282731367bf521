//! From the configuration to what a process can start with: defaults of the embedded process, and clear errors for the rest.

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use matrixon_matrix::keys::{format_signing_key, parse_signing_key};
use matrixon_runtime::{
    config::{ConfigError, Secret},
    random,
    role::Role,
};

use ring::hmac;
use ruma::{OwnedServerName, ServerName};

use crate::{config::Config, files};

/// The name of a homeserver that nobody named: good for a try, not for federation.
const UNNAMED: &str = "localhost";
const SECRET_CHARACTERS: usize = 32;

/// A configuration that is complete for its roles.
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) roles: Vec<Role>,
    /// All roles in this process and nothing shared with others: it may make its own keys and secrets.
    pub(crate) embedded: bool,
    /// What this start has created, for the message that the operator sees once.
    pub(crate) created: Vec<(&'static str, PathBuf)>,
}

/// Puts what the file of `database.url_file` says into `database.url`.
pub(crate) fn read_database_url(config: &mut Config) -> Result<()> {
    if let Some(path) = config.database.url_file.take() {
        config.database.url = files::read_secret(&path, "the file of `database.url_file`")?;
    }
    Ok(())
}

impl Settings {
    /// Completes and checks `config`; an embedded process creates what is missing.
    pub(crate) fn prepare(config: Config, roles: &[Role]) -> Result<Self> {
        let mut settings = Self::complete(config, roles)?;
        if settings.embedded {
            settings.create_missing()?;
        }
        settings.check_secrets()?;
        Ok(settings)
    }

    /// What `config check` says: a process with this configuration would start.
    pub(crate) fn check(&self) -> Result<()> {
        if self.embedded { Ok(()) } else { self.check_secrets() }
    }

    /// The same without creating any file.
    pub(crate) fn complete(mut config: Config, roles: &[Role]) -> Result<Self> {
        let mut roles = if roles.is_empty() { Role::ALL.to_vec() } else { roles.to_vec() };
        roles.sort_unstable();
        roles.dedup();
        let embedded = roles == Role::ALL && config.bus.url == "local" && config.cache.url == "local";
        read_database_url(&mut config)?;
        if embedded {
            if config.server.name.is_empty() {
                UNNAMED.clone_into(&mut config.server.name);
            }
            if config.database.url.is_empty() {
                config.database.url = format!("sqlite:{}", config.server.data_dir.join("matrixon.db").display());
            }
        }
        let settings = Self { config, roles, embedded, created: Vec::new() };
        settings.check_cluster()?;
        settings.server_name()?;
        Ok(settings)
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    pub(crate) fn server_name(&self) -> Result<OwnedServerName> {
        let name = &self.config.server.name;
        let advice = "is not a server name; write it as example.org or example.org:8448";
        ServerName::parse(name).with_context(|| format!("`server.name` is `{name}`, which {advice}"))
    }

    /// What logs, traces and metrics call this process.
    pub(crate) fn service_name(&self) -> String {
        if self.roles == Role::ALL {
            return "all".to_owned();
        }
        self.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join("+")
    }

    /// The gateway has no tables; media and federation have none yet.
    pub(crate) fn needs_database(&self) -> bool {
        [Role::Auth, Role::Room, Role::Sync].into_iter().any(|role| self.has(role))
    }

    /// The text of the signing key file, checked.
    pub(crate) fn signing_key(&self) -> Result<String> {
        let path = self.config.server.signing_key_path();
        let text = files::read_secret(&path, "the signing key").with_context(|| {
            "set `server.signing_key_path`; `matrixon config signing-key` prints a new key, which every process shares"
        })?;
        parse_signing_key(&text).with_context(|| format!("{} holds no signing key", path.display()))?;
        Ok(text)
    }

    fn check_cluster(&self) -> Result<()> {
        let config = &self.config;
        if config.server.name.is_empty() {
            let advice = "every process of a cluster needs the same server name: set it in [server] or as MATRIXON__SERVER__NAME";
            return Err(missing("server.name", advice));
        }
        if config.database.url.is_empty() && self.needs_database() {
            let advice = "roles in processes of their own share a PostgreSQL database: set it to postgres://USER:PASSWORD@HOST/NAME";
            return Err(missing("database.url", advice));
        }
        if self.has(Role::Auth) {
            config.auth.check(config.server.client_base_url.as_deref()).map_err(anyhow::Error::msg)?;
        }
        let shared = self.embedded || self.roles == Role::ALL || !self.needs_database();
        ensure!(
            shared || !config.database.url.starts_with("sqlite:"),
            "`database.url` is SQLite, which only a process with all roles can use; set it to postgres://USER:PASSWORD@HOST/NAME"
        );
        Ok(())
    }

    fn create_missing(&mut self) -> Result<()> {
        let server = &self.config.server;
        files::create_directory(&server.data_dir)?;
        let (key, secret) = (server.signing_key_path(), server.data_dir.join("cluster.secret"));
        if files::create_secret(&key, &format_signing_key(&random::bytes()))? {
            self.created.push(("signing key", key));
        }
        if self.config.cluster.secret.is_empty() {
            if files::create_secret(&secret, &format!("{}\n", random::id(48)))? {
                self.created.push(("cluster secret", secret.clone()));
            }
            self.config.cluster.secret = Secret::new(files::read_secret(&secret, "the cluster secret")?);
        }
        Ok(())
    }

    fn check_secrets(&self) -> Result<()> {
        let secret = &self.config.cluster.secret;
        if secret.is_empty() {
            let advice = "every process of a cluster needs the same one: set MATRIXON__CLUSTER__SECRET_FILE to a file with the output of `openssl rand -hex 32`";
            return Err(missing("cluster.secret", advice));
        }
        check_secret(secret)?;
        if self.needs_database() {
            self.signing_key()?;
        }
        Ok(())
    }
}

/// A key of the cluster secret's for one purpose: what is made with it proves nothing elsewhere.
pub(crate) fn derive_key(secret: &str, purpose: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::sign(&key, purpose).as_ref().to_vec()
}

/// Long enough not to be guessed.
pub(crate) fn check_secret(secret: &Secret) -> Result<()> {
    ensure!(
        secret.expose().chars().count() >= SECRET_CHARACTERS,
        "`cluster.secret` is too short; it needs at least {SECRET_CHARACTERS} characters, for example from `openssl rand -hex 32`"
    );
    Ok(())
}

fn missing(key: &'static str, advice: &str) -> anyhow::Error {
    ConfigError::Missing { key, advice: advice.to_owned() }.into()
}
