//! What the handlers and domain functions of this service share.

use std::{ops::Deref, sync::Arc};

use matrixon_bus::Bus;
use matrixon_cache::Cache;
use matrixon_runtime::clock::Clock;
use matrixon_store::{Db, streams::Appender};
use ruma::OwnedServerName;

use crate::{
    accounts::password::Passwords,
    config::Config,
    keys::{claim_writer::ClaimWriter, keyring::Keyring, known_queues::KnownQueues},
    mail::Mailer,
    sessions::last_seen::LastSeen,
    threepids::identity_servers::IdentityServers,
    uia::captcha::Captcha,
};

#[derive(Clone)]
pub(crate) struct Auth(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub db: Db,
    pub cache: Cache,
    pub bus: Bus,
    pub clock: Clock,
    pub server_name: OwnedServerName,
    /// For `well_known` in the answer to a log-in.
    pub client_base_url: Option<String>,
    pub config: Config,
    pub passwords: Passwords,
    pub mailer: Mailer,
    pub identity_servers: IdentityServers,
    /// None: there is none.
    pub captcha: Option<Captcha>,
    pub last_seen: LastSeen,
    pub claims: Appender<ClaimWriter>,
    pub known_queues: Arc<KnownQueues>,
    pub keyring: Keyring,
}

impl Deref for Auth {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
