//! The servers start, answer, die and come back on the same port.

use std::{path::Path, process::Command};

use matrixon_testkit::servers::{Nats, Postgres, Redis};

fn is_running(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}/environ")).exists()
        && std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| !environ.is_empty())
}

#[test]
fn postgres_keeps_its_data_over_kill_and_stop() {
    let postgres = Postgres::start().unwrap();
    let url = postgres.create_database("one").unwrap();
    assert!(url.ends_with("/one"), "{url}");
    postgres.query("one", "create table t (a int); insert into t values (7)").unwrap();
    let (first, port) = (postgres.pid().unwrap(), postgres.port());
    postgres.kill().unwrap();
    assert!(!is_running(first));
    assert!(postgres.query("one", "select 1").is_err());
    postgres.start_again().unwrap();
    assert_eq!(postgres.query("one", "select a from t").unwrap(), "7");
    postgres.restart().unwrap();
    assert_eq!(postgres.query("one", "select a from t").unwrap(), "7");
    assert_eq!(postgres.query("one", "show fsync").unwrap(), "on");
    assert_eq!(postgres.port(), port);
    let last = postgres.pid().unwrap();
    drop(postgres);
    assert!(!is_running(last));
}

#[test]
fn redis_and_nats_come_back_on_their_port() {
    let [one, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let redis = [Redis::start().unwrap(), Redis::start_with_tls(one.path()).unwrap()];
    let nats = [Nats::start().unwrap(), Nats::start_with_tls(other.path()).unwrap()];
    assert!(redis[1].url().starts_with("rediss://") && nats[1].url().starts_with("tls://"));
    for server in redis.iter().map(|redis| &**redis).chain(nats.iter().map(|nats| &**nats)) {
        let first = server.pid().unwrap();
        server.kill().unwrap();
        assert!(!is_running(first));
        server.start_again().unwrap();
        server.restart().unwrap();
        assert!(is_running(server.pid().unwrap()));
        assert!(server.start_again().is_err());
    }
}

/// The child of this test starts a server in a place that is never dropped and ends.
#[test]
fn servers_end_with_their_owner() {
    let exe = std::env::current_exe().unwrap();
    let output = Command::new(exe)
        .args(["--ignored", "--exact", "--nocapture", "owner_that_forgets_its_server"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let pid: u32 = text.lines().find_map(|line| line.split("pid=").nth(1)).unwrap().trim().parse().unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while is_running(pid) {
        assert!(std::time::Instant::now() < end, "the server {pid} outlives its owner");
        std::thread::yield_now();
    }
}

#[test]
#[ignore = "run by servers_end_with_their_owner"]
fn owner_that_forgets_its_server() {
    let redis = Redis::start().unwrap();
    println!("\npid={}", redis.pid().unwrap());
    std::mem::forget(redis);
}
