//! `cargo test --release -p matrixon-room bench -- --ignored --nocapture`

use std::time::{Duration, Instant};

use super::harness::{Server, on_both};

/// User and system time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a line").split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number");
    Duration::from_millis(ticks * 10)
}

#[test]
#[ignore = "a measurement"]
fn bench_sends() {
    const SENDERS: usize = 10;
    on_both(|db| async move {
        let servers = [Server::new(&db).await, Server::new(&db).await];
        for (label, replicas) in [("one replica", 1), ("two replicas, no affinity", 2)] {
            let mut rooms = Vec::new();
            for _ in 0..5 {
                rooms.push(servers[0].public_room("alice").await);
            }
            for number in 0..SENDERS {
                servers[0].join(&format!("user{number}"), &rooms[number % 5]).await;
            }
            let (started, used) = (Instant::now(), cpu());
            let senders = (0..SENDERS).map(|number| {
                let (server, room) = (&servers[number % replicas], &rooms[number % 5]);
                async move {
                    let (name, mut sent, mut slowest) = (format!("user{number}"), 0_u32, Duration::ZERO);
                    while started.elapsed() < Duration::from_secs(5) {
                        let at = Instant::now();
                        server
                            .send(
                                &name,
                                room,
                                &format!("{label}{sent}").replace([' ', ','], ""),
                                "some text of a usual length",
                            )
                            .await;
                        slowest = slowest.max(at.elapsed());
                        sent += 1;
                    }
                    (sent, slowest)
                }
            });
            let results = futures::future::join_all(senders).await;
            let sent: u32 = results.iter().map(|result| result.0).sum();
            let slowest = results.iter().map(|result| result.1).max().unwrap_or_default();
            println!(
                "{} {label}: {:.0} sends/s, {:.0} µs CPU each, slowest {slowest:?}",
                if db.is_postgres() { "postgres" } else { "sqlite" },
                f64::from(sent) / started.elapsed().as_secs_f64(),
                cpu().saturating_sub(used).as_secs_f64() * 1e6 / f64::from(sent),
            );
        }
    });
}
