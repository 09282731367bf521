//! Appends a second through the streams module with 1, 10 and 100 writers, beside what the database itself commits on the
//! same disk in the same run: one row a commit, and one hundred rows a commit. `cargo bench -p matrixon-store`.

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    sync::Arc,
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use matrixon_store::{Config, Db, exec, migrations};
use matrixon_testkit::servers::Postgres;
use support::{Item, appender};

const SECONDS: Duration = Duration::from_secs(4);

/// Runs `writers` copies of a loop and returns rows a second.
async fn measure<F, Fut>(writers: usize, rows_each: i64, operation: F) -> f64
where
    F: Fn(i64) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    let (operation, next) = (Arc::new(operation), Arc::new(AtomicI64::new(0)));
    let started = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let (operation, next) = (Arc::clone(&operation), Arc::clone(&next));
            tokio::spawn(async move {
                while started.elapsed() < SECONDS {
                    operation(next.fetch_add(1, Ordering::Relaxed)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("writer");
    }
    (next.load(Ordering::Relaxed) * rows_each) as f64 / started.elapsed().as_secs_f64()
}

async fn prepare(url: String) -> Db {
    let db = Db::connect(&Config { url, max_connections: 100, ..Config::default() }).await.expect("database");
    migrations::migrate(&db).await.expect("migrations");
    exec!(
        db.write(),
        "create table stream_test (position bigint primary key, writer bigint not null, seq bigint not null)"
    )
    .expect("table");
    exec!(
        db.write(),
        "create table raw_test (position bigint primary key, writer bigint not null, seq bigint not null)"
    )
    .expect("table");
    db
}

async fn raw(db: &Db, writers: usize) -> f64 {
    let db = db.clone();
    measure(writers, 1, move |n| {
        let db = db.clone();
        async move {
            exec!(
                db.write(),
                "insert into raw_test (position, writer, seq) values ($1, 0, 0)",
                n + (writers as i64) * 1_000_000_000
            )
            .expect("insert");
        }
    })
    .await
}

async fn raw_batches(db: &Db) -> f64 {
    let db = db.clone();
    measure(1, 100, move |n| {
        let db = db.clone();
        async move {
            exec!(
                db.write(),
                pg: "insert into raw_test (position, writer, seq) select $1 * 100 + i, 0, 0 from generate_series(0, 99) i",
                lite: "with recursive s(i) as (select 0 union all select i + 1 from s where i < 99)
                       insert into raw_test (position, writer, seq) select $1 * 100 + i, 0, 0 from s",
                n + 1_000_000_000_000
            )
            .expect("insert");
        }
    })
    .await
}

async fn appends(db: &Db, writers: usize) -> f64 {
    let appender = appender(db.clone());
    measure(writers, 1, move |seq| {
        let appender = appender.clone();
        async move {
            appender.append(Item { writer: 0, seq }).await.expect("append");
        }
    })
    .await
}

async fn report(name: &str, url: String) {
    let db = prepare(url).await;
    for writers in [1, 10, 100] {
        println!(
            "{name:<9} database alone, one row a commit, {writers:>3} connections {:>9.0} rows/s",
            raw(&db, writers).await
        );
    }
    println!("{name:<9} database alone, 100 rows a commit, 1 connection    {:>9.0} rows/s", raw_batches(&db).await);
    for writers in [1, 10, 100] {
        println!(
            "{name:<9} stream appends, {writers:>3} writers                     {:>9.0} appends/s",
            appends(&db, writers).await
        );
    }
    db.close().await;
}

fn main() {
    support::runtime().block_on(async {
        let directory = tempfile::tempdir().expect("directory");
        report("sqlite", format!("sqlite:{}", directory.path().join("bench.db").display())).await;
        let postgres = Postgres::start().expect("PostgreSQL");
        report("postgres", postgres.create_database("bench").expect("database")).await;
    });
}
