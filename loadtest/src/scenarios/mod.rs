//! What can be measured, one file a scenario.

mod accounts;
mod fanout;
mod idle;
mod keys;
mod rooms;
mod send;
mod steady;
mod sync;

use clap::Subcommand;

use crate::{measure::Report, target::Target};

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Scenario {
    /// Messages as fast as they are acknowledged.
    Send(send::Args),
    /// Messages at a steady rate to members who long-poll: latency from the send to each receiver, each message exactly once.
    Fanout(fanout::Args),
    /// `/sync` with a token and nothing new.
    SyncIncremental(sync::IncrementalArgs),
    /// `/sync` without a token.
    SyncInitial(sync::InitialArgs),
    /// Password logins.
    Login(accounts::Args),
    /// Joins of public rooms.
    Join(rooms::Args),
    /// New rooms.
    CreateRoom(rooms::Args),
    /// `/keys/query` of many users.
    KeysQuery(keys::QueryArgs),
    /// `/keys/claim` of many devices.
    KeysClaim(keys::ClaimArgs),
    /// Long polls that nothing happens to, and sends beside them.
    Idle(idle::Args),
    /// Clients that send and sync while somebody restarts, scales or kills servers: what failed, was lost, was doubled.
    Steady(steady::Args),
}

impl Scenario {
    pub(crate) async fn run(&self, target: &Target) -> anyhow::Result<Report> {
        match self {
            Self::Send(args) => send::run(target, args).await,
            Self::Fanout(args) => fanout::run(target, args).await,
            Self::SyncIncremental(args) => sync::incremental(target, args).await,
            Self::SyncInitial(args) => sync::initial(target, args).await,
            Self::Login(args) => accounts::login(target, args).await,
            Self::Join(args) => rooms::join(target, args).await,
            Self::CreateRoom(args) => rooms::create(target, args).await,
            Self::KeysQuery(args) => keys::query(target, args).await,
            Self::KeysClaim(args) => keys::claim(target, args).await,
            Self::Idle(args) => idle::run(target, args).await,
            Self::Steady(args) => steady::run(target, args).await,
        }
    }
}
