//! Puts a process together: what its roles share, the roles themselves, the ports.

mod base;
mod calls;
mod database;
mod late;
mod ports;
mod process;
mod roles;

pub(crate) use calls::Calls;
pub(crate) use process::serve;
