//! The service through its router and its write path, on SQLite and on PostgreSQL.

mod aliases;
mod bench;
mod concurrency;
mod create;
mod harness;
mod membership;
mod people;
mod read;
mod send;
mod snapshots;
