//! The configuration file and the addresses of every process of a new cluster.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use rand::{RngExt, distr::Alphanumeric};
use toml::{Table, Value};

use super::{
    options::{Options, Profile, ROLES, Topology},
    state::{ClusterState, ProcessState, ServerState},
};
use crate::{
    ports,
    servers::tls::{self, Wire},
};

pub(crate) const SERVER_NAME: &str = "matrixon.localhost";

/// Connections that `PostgreSQL` leaves for all our processes together (of its 300).
const DATABASE_CONNECTIONS: u32 = 280;

/// Where one process listens.
struct Place {
    role: &'static str,
    index: u32,
    client: u16,
    federation: u16,
    cluster: u16,
    internal: u16,
}

impl Place {
    fn find(role: &'static str, index: u32) -> Result<Self> {
        let [client, federation] =
            if matches!(role, "gateway" | "all") { [ports::find_free()?, ports::find_free()?] } else { [0, 0] };
        let (cluster, internal) = (ports::find_free()?, ports::find_free()?);
        Ok(Self { role, index, client, federation, cluster, internal })
    }

    fn name(&self) -> String {
        format!("{}-{}", self.role, self.index)
    }

    fn listen(&self) -> Table {
        let mut listen = Table::new();
        let ports = [
            ("client", self.client),
            ("federation", self.federation),
            ("cluster", self.cluster),
            ("internal", self.internal),
        ];
        for (name, port) in ports.into_iter().filter(|(_, port)| *port != 0) {
            listen.insert(name.into(), format!("127.0.0.1:{port}").into());
        }
        listen
    }
}

/// Writes the configuration of every process and enters the processes in `state`, not started yet.
pub(crate) fn write_all(directory: &Path, options: &Options, state: &mut ClusterState) -> Result<()> {
    let places = find_places(options)?;
    if places.is_empty() {
        bail!("no process to start: every role has 0 replicas");
    }
    let binary = options.find_binary()?;
    let shared = build_shared(directory, options, state, &places)?;
    for part in ["config", "logs"] {
        fs::create_dir_all(directory.join(part))?;
    }
    for place in &places {
        let mut config = shared.clone();
        let data = directory.join("data").join(place.name());
        fs::create_dir_all(&data)?;
        set(&mut config, "server.data_dir", text(&data))?;
        for (name, address) in place.listen() {
            set(&mut config, &format!("listen.{name}"), address)?;
        }
        for (key, value) in &options.settings {
            set(&mut config, key, value.clone())?;
        }
        let file = directory.join("config").join(place.name() + ".toml");
        fs::write(&file, toml::to_string(&config)?)?;
        state.processes.push(describe(place, &binary, &file, directory));
    }
    state.client_urls = places
        .iter()
        .filter(|place| place.client != 0)
        .map(|place| format!("http://127.0.0.1:{}", place.client))
        .collect();
    Ok(())
}

fn find_places(options: &Options) -> Result<Vec<Place>> {
    if options.topology != Topology::Cluster {
        return Ok(vec![Place::find("all", 0)?]);
    }
    let replicas = |role| (0..options.replicas_of(role)).map(move |index| Place::find(role, index));
    ROLES.into_iter().flat_map(replicas).collect()
}

fn describe(place: &Place, binary: &Path, file: &Path, directory: &Path) -> ProcessState {
    let mut command = vec![binary.display().to_string(), "--config".into(), file.display().to_string(), "serve".into()];
    if place.role != "all" {
        command.push(place.role.to_owned());
    }
    let http = if place.client == 0 { place.cluster } else { place.client };
    ProcessState {
        role: place.role.to_owned(),
        index: place.index,
        pid: None,
        http_url: format!("http://127.0.0.1:{http}"),
        internal_url: format!("http://127.0.0.1:{}", place.internal),
        command,
        log: directory.join("logs").join(place.name() + ".log"),
    }
}

/// What all processes have in common.
fn build_shared(directory: &Path, options: &Options, state: &ClusterState, places: &[Place]) -> Result<Table> {
    let mut config = Table::new();
    let mut put = |key: &str, value: Value| set(&mut config, key, value);
    put("server.name", SERVER_NAME.into())?;
    put("server.signing_key_path", text(&write_signing_key(directory)?))?;
    put("cluster.secret", random_text(48).into())?;
    put("telemetry.log_format", "json".into())?;
    put("shutdown.drain_delay_seconds", 2.into())?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    put("server.worker_threads", i64::try_from(cores.div_ceil(places.len()))?.into())?;
    match &state.postgres {
        Some(postgres) => {
            put("database.url", database_url(directory, postgres)?.into())?;
            let share = DATABASE_CONNECTIONS / u32::try_from(places.len())?;
            put("database.max_connections", i64::from(share.clamp(2, 16)).into())?;
        }
        None => put("database.url", format!("sqlite:{}", directory.join("data/matrixon.db").display()).into())?,
    }
    for (section, server) in [("bus", &state.nats), ("cache", &state.redis)] {
        let url = server.as_ref().map_or("local", |server| server.url.as_str());
        put(&format!("{section}.url"), url.into())?;
        if server.as_ref().is_some_and(|server| server.wire == Wire::Tls) {
            put(&format!("{section}.ca_certificate"), text(&tls::write_authority(directory)?))?;
        }
    }
    if options.topology == Topology::Cluster {
        for (role, urls) in list_peers(places) {
            put(&format!("discovery.{role}"), urls.into())?;
        }
    }
    if options.profile == Profile::Load {
        for (key, value) in load_profile() {
            put(key, value)?;
        }
    }
    Ok(config)
}

fn database_url(directory: &Path, postgres: &ServerState) -> Result<String> {
    let url = &postgres.url;
    Ok(match postgres.wire {
        Wire::Plain => url.clone(),
        Wire::Tls => {
            format!("{url}?sslmode=verify-full&sslrootcert={}", tls::write_authority(directory)?.display())
        }
    })
}

fn list_peers(places: &[Place]) -> BTreeMap<&'static str, Vec<String>> {
    let mut peers = BTreeMap::<_, Vec<String>>::new();
    for place in places {
        peers.entry(place.role).or_default().push(format!("http://127.0.0.1:{}", place.cluster));
    }
    peers
}

/// Insecure on purpose: what load tests need and nobody else may have.
fn load_profile() -> Vec<(&'static str, Value)> {
    vec![
        ("auth.open_registration", true.into()),
        ("auth.token_registration", false.into()),
        ("auth.password.memory_kib", 8.into()),
        ("auth.password.iterations", 1.into()),
        ("auth.password.parallelism", 1.into()),
        ("gateway.rate_limits.enabled", false.into()),
    ]
}

/// The server's signing key, the same for all processes: `ed25519 VERSION BASE64` as elsewhere in Matrix.
fn write_signing_key(directory: &Path) -> Result<PathBuf> {
    let file = directory.join("signing.key");
    if !file.is_file() {
        fs::write(&file, format!("ed25519 {} {}\n", random_text(6), random_seed()))?;
    }
    Ok(file)
}

fn random_text(length: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(length).map(char::from).collect()
}

/// 32 random bytes in unpadded base64: 42 free characters, and a last one that carries only four bits.
fn random_seed() -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut random = rand::rng();
    let mut seed: String = (0..42).map(|_| char::from(DIGITS[random.random_range(0..64)])).collect();
    seed.push(char::from(DIGITS[random.random_range(0..16) * 4]));
    seed
}

fn text(path: &Path) -> Value {
    path.display().to_string().into()
}

/// Sets `section.field`, or a field of a deeper section.
fn set(table: &mut Table, key: &str, value: Value) -> Result<()> {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
            Ok(())
        }
        Some((section, rest)) => {
            let entry = table.entry(section).or_insert_with(|| Table::new().into());
            let inner = entry.as_table_mut().with_context(|| format!("{section} is a value, not a section"))?;
            set(inner, rest, value)
        }
    }
}
