//! The whole service through its router, on SQLite and on a private PostgreSQL, several replicas on one database.
//! The room service is played by [`world::World`], which writes its tables as that service does.

mod device_lists;
mod directory;
mod endpoints;
mod exactly_once;
mod harness;
mod rooms;
mod to_device;
mod waiting;
mod world;

pub(crate) use self::{
    harness::{Harness, on_both},
    world::World,
};
