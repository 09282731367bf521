//! Free TCP ports on 127.0.0.1 that stay free: outside the range from which the kernel takes the ports
//! of outgoing connections, so that a server can be started again on its port.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, TcpListener},
    sync::Mutex,
};

use anyhow::{Context, Result};
use rand::RngExt;

const RANGE: std::ops::Range<u16> = 15_000..30_000;

/// Ports this process has already given out, perhaps not yet listened on.
static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

pub fn find_free() -> Result<u16> {
    let mut guard = GIVEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let given = guard.get_or_insert_with(HashSet::new);
    let mut random = rand::rng();
    (0..10_000)
        .map(|_| random.random_range(RANGE))
        .find(|port| !given.contains(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .inspect(|port| {
            given.insert(*port);
        })
        .context("no free port on 127.0.0.1")
}
