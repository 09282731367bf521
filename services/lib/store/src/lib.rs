//! The database: one small [`Db`]/[`Tx`] over PostgreSQL and SQLite, embedded migrations, and the
//! gapless [`streams`] on which every delivery of Matrixon stands.
#![forbid(unsafe_code)]

pub mod backup;
pub mod config;
mod db;
mod error;
mod macros;
pub mod migrations;
pub mod pool;
pub mod stats;
pub mod streams;
pub mod vacuum;

pub use config::Config;
pub use db::{Db, Ex, Tx, timed};
pub use error::StoreError;
pub use sqlx;

/// Used by the macros; not part of the API.
#[doc(hidden)]
pub mod private {
    pub use crate::{db::timed, pool::Source};
}
