//! What every process needs whatever its role: configuration, telemetry, metrics, health, life cycle, clock, randomness.
#![forbid(unsafe_code)]

pub mod clock;
pub mod config;
pub mod health;
pub mod metrics;
pub mod network;
pub mod query_stats;
pub mod random;
pub mod reload;
pub mod role;
pub mod serve;
pub mod shutdown;
pub mod telemetry;
