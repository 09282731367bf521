//! `PostgreSQL`, Redis and NATS for tests: private, on free ports of 127.0.0.1, gone with the test.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let postgres = matrixon_testkit::servers::Postgres::start()?;
//! let url = postgres.create_database("one")?;     // postgres://postgres@127.0.0.1:PORT/one
//! postgres.kill()?;                               // SIGKILL, waits until it is gone
//! postgres.start_again()?;                        // same port, same data; waits until it answers
//! # Ok(()) }
//! ```
//! All calls block, for some milliseconds (Redis, NATS) or a second or two (`PostgreSQL`). They may be kept in a
//! `static`: when the process ends, by whatever means, the servers end too.

pub(crate) mod kind;
pub(crate) mod postgres;
mod server;
pub mod tls;
pub(crate) use server::open_temporary;

pub use kind::Kind;
pub use server::{Nats, Postgres, Redis, Server};
