//! What the roles of a process share.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result};
use matrixon_bus::Bus;
use matrixon_cache::Cache;
use matrixon_http::Verifier;
use matrixon_matrix::keys::parse_signing_key;
use matrixon_rpc::Peers;
use matrixon_runtime::{clock::Clock, health::Health, reload::Reload, role::Role, shutdown::Shutdown};
use matrixon_store::Db;
use ruma::{OwnedServerName, signatures::Ed25519KeyPair};

use super::{calls::Calls, database, late::Late};
use crate::{
    config::{Config, load_from},
    settings::Settings,
};

pub(crate) struct Base {
    pub(crate) settings: Settings,
    pub(crate) server_name: OwnedServerName,
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
    pub(crate) reload: Reload,
    pub(crate) health: Health,
    pub(crate) bus: Bus,
    pub(crate) cache: Cache,
    pub(crate) peers: Peers,
    pub(crate) verifier: Verifier,
    pub(crate) calls: Calls,
    db: Option<Db>,
    locals: HashMap<Role, Late>,
    /// The configuration file as given on the command line.
    path: Option<PathBuf>,
}

impl Base {
    pub(crate) async fn connect(settings: Settings, path: Option<PathBuf>, shutdown: Shutdown) -> Result<Self> {
        let config = &settings.config;
        let clock = Clock::system();
        let health = Health::new(shutdown.clone());
        let db = if settings.needs_database() { Some(database::connect_patiently(&settings).await?) } else { None };
        if let Some(db) = &db {
            database::watch(db, &health, &settings.service_name(), &shutdown);
        }
        let locals: HashMap<Role, Late> = settings.roles.iter().map(|role| (*role, Late::new(*role))).collect();
        let clients = locals.iter().map(|(role, late)| (*role, late.client())).collect();
        let secrets = &config.cluster;
        let calls = Calls::new(secrets, clock.clone());
        let signing = calls.clone();
        let previous = Some(secrets.previous_secret.expose().as_bytes()).filter(|previous| !previous.is_empty());
        Ok(Self {
            server_name: settings.server_name()?,
            bus: Bus::connect(&config.bus).await?,
            cache: Cache::connect(&config.cache).await?,
            peers: Peers::new(config.discovery.clone(), clients, shutdown.clone())
                .signing(move |path| signing.sign(path)),
            calls,
            verifier: Verifier::new(secrets.secret.expose().as_bytes(), previous, clock.clone()),
            reload: Reload::default(),
            clock,
            shutdown,
            health,
            db,
            locals,
            path,
            settings,
        })
    }

    /// The database, for the roles for which [`Settings::needs_database`].
    pub(crate) fn db(&self) -> Result<Db> {
        self.db.clone().context("this role has no database")
    }

    pub(crate) fn signing_key(&self) -> Result<Arc<Ed25519KeyPair>> {
        Ok(Arc::new(parse_signing_key(&self.settings.signing_key()?)?))
    }

    /// Where the built role `role` goes, so that the others reach it.
    pub(crate) fn local(&self, role: Role) -> Option<&Late> {
        self.locals.get(&role)
    }

    /// On SIGHUP `apply` gets the configuration as it is then; what it cannot apply stays as it was.
    pub(crate) fn on_reload(
        &self,
        part: &'static str,
        apply: impl Fn(Config) -> Result<(), String> + Send + Sync + 'static,
    ) {
        let path = self.path.clone();
        self.reload.register(part, move || {
            let (config, _source) = load_from(path.as_deref()).map_err(|error| error.to_string())?;
            apply(config)
        });
    }

    pub(crate) async fn close(&self) {
        if let Some(db) = &self.db {
            db.close().await;
        }
    }
}
