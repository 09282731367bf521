//! The whole service through its router, on SQLite and on a private PostgreSQL.

mod accounts;
mod admin;
mod administration;
mod audit_log;
mod devices;
mod harness;
mod keys;
mod mails;
mod outage;
mod passwords;
mod profiles;
mod registration;
mod revocations;
mod tokens;
mod uia;

pub(crate) use self::harness::{Harness, on_both, open};
