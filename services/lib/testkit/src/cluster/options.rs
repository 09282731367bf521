//! What a cluster is made of.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use anyhow::{Context, Result, bail, ensure};

use crate::servers::tls::Wire;

/// The roles of `matrixon serve`, in the order in which they are started.
pub const ROLES: [&str; 6] = ["auth", "room", "sync", "media", "federation", "gateway"];

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Topology {
    /// A process for every replica of every role, on `PostgreSQL`, Redis and NATS.
    #[default]
    Cluster,
    /// One process on `SQLite`.
    Single,
    /// One process on `PostgreSQL`.
    SinglePostgres,
}

impl Topology {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Single => "single",
            Self::SinglePostgres => "single-postgres",
        }
    }
}

impl FromStr for Topology {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Cluster, Self::Single, Self::SinglePostgres]
            .into_iter()
            .find(|topology| topology.as_str() == text)
            .with_context(|| format!("{text:?} is no topology: cluster, single or single-postgres"))
    }
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Profile {
    /// As a new user would have it.
    #[default]
    Normal,
    /// For load tests only, insecure: everybody may register, no rate limits, passwords hashed cheaply.
    Load,
}

impl FromStr for Profile {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "normal" => Ok(Self::Normal),
            "load" => Ok(Self::Load),
            _ => bail!("{text:?} is no profile: normal or load"),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    pub topology: Topology,
    /// Processes of each role that `role_replicas` does not name.
    pub replicas: u32,
    pub role_replicas: BTreeMap<String, u32>,
    /// `section.field` and value, over everything else.
    pub settings: Vec<(String, toml::Value)>,
    pub profile: Profile,
    /// The program; else `$MATRIXON_BIN`, else `matrixon` beside the running program.
    pub binary: Option<PathBuf>,
    /// What `PostgreSQL`, Redis and NATS speak.
    pub wire: Wire,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            topology: Topology::default(),
            replicas: 2,
            role_replicas: BTreeMap::new(),
            settings: Vec::new(),
            profile: Profile::default(),
            binary: None,
            wire: Wire::default(),
        }
    }
}

impl Options {
    #[must_use]
    pub fn with_binary(mut self, binary: impl Into<PathBuf>) -> Self {
        self.binary = Some(binary.into());
        self
    }

    /// `PostgreSQL`, Redis and NATS serve nobody without TLS, and the processes trust their authority.
    #[must_use]
    pub fn with_tls_to_servers(mut self) -> Self {
        self.wire = Wire::Tls;
        self
    }

    #[must_use]
    pub fn with_profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// `with("shutdown.drain_delay_seconds", 1)`
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.settings.push((key.to_owned(), value.into()));
        self
    }

    /// `section.field=value`; the value is TOML, or else a plain string.
    pub fn add_setting(&mut self, text: &str) -> Result<()> {
        let (key, value) =
            text.split_once('=').with_context(|| format!("{text:?} is no setting: section.field=value"))?;
        ensure!(key.contains('.'), "{key:?} names no section: section.field=value");
        let parsed = toml::from_str::<toml::Table>(&format!("value = {value}"));
        let value = match parsed {
            Ok(mut table) if table.len() == 1 => table.remove("value"),
            _ => None,
        };
        let plain = || toml::Value::String(text[key.len() + 1..].to_owned());
        self.settings.push((key.to_owned(), value.unwrap_or_else(plain)));
        Ok(())
    }

    /// `2`, or `role=2`.
    pub fn add_replicas(&mut self, text: &str) -> Result<()> {
        let parse = |number: &str| number.parse().with_context(|| format!("{text:?} is no number of replicas"));
        match text.split_once('=') {
            None => self.replicas = parse(text)?,
            Some((role, number)) => {
                ensure!(ROLES.contains(&role), "{role:?} is no role: {}", ROLES.join(", "));
                self.role_replicas.insert(role.to_owned(), parse(number)?);
            }
        }
        Ok(())
    }

    pub(crate) fn replicas_of(&self, role: &str) -> u32 {
        self.role_replicas.get(role).copied().unwrap_or(self.replicas)
    }

    pub(crate) fn find_binary(&self) -> Result<PathBuf> {
        let beside = || {
            let program = std::env::current_exe().ok()?;
            program.ancestors().skip(1).take(2).map(|directory| directory.join("matrixon")).find(|path| path.is_file())
        };
        let binary = self
            .binary
            .clone()
            .or_else(|| std::env::var_os("MATRIXON_BIN").map(PathBuf::from))
            .or_else(beside)
            .context("no matrixon binary: build it (cargo build --release -p matrixon) or set MATRIXON_BIN")?;
        binary.canonicalize().with_context(|| format!("there is no {}", binary.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_toml_or_text() {
        let mut options = Options::default();
        for text in ["a.b=1", "a.c=true", "a.d=[\"x\"]", "a.e=plain text", "a.f=x=y", "a.g=", "a.h=1\nz=2"] {
            options.add_setting(text).unwrap();
        }
        let values: Vec<String> = options.settings.iter().map(|(_, value)| value.to_string()).collect();
        assert_eq!(values[..5], ["1", "true", "[\"x\"]", "\"plain text\"", "\"x=y\""]);
        assert_eq!(options.settings[5].1.as_str(), Some(""));
        assert_eq!(options.settings[6].1.as_str(), Some("1\nz=2"));
        assert!(options.add_setting("nothing").is_err());
        assert!(options.add_setting("section=1").is_err());
    }

    #[test]
    fn replicas_are_for_all_or_one_role() {
        let mut options = Options::default();
        options.add_replicas("3").unwrap();
        options.add_replicas("room=1").unwrap();
        assert_eq!((options.replicas_of("room"), options.replicas_of("auth")), (1, 3));
        assert!(options.add_replicas("rooms=1").is_err());
        assert!(options.add_replicas("many").is_err());
    }
}
