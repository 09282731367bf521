//! Durable consumers under fire: several processes share the shards of one stream, some are killed with SIGKILL while they
//! work. What is committed with the cursor happens exactly once and in order; an owner that was thought dead changes nothing.

mod support;

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use matrixon_runtime::shutdown::Shutdown;
use matrixon_store::{
    Config, Db, StoreError, exec, migrations, sql,
    streams::{
        Stream,
        consumer::{self, Batch, ConsumeError, Consumer, Outcome, Start, Timing, Work},
    },
};
use matrixon_testkit::servers::Postgres;
use support::{Item, appender};
use tokio::time::sleep;

const CONSUMER: Consumer =
    Consumer { name: "test.copy", stream: Stream::EVENTS, shards: 4, start: Start::Beginning, batch: 7 };
const TIMING: Timing = Timing { lease: Duration::from_millis(900), poll: Duration::from_millis(20), alone: false };
const ITEMS: i64 = 600;
/// Batches after which a child is killed.
const KILL_AFTER: [usize; 4] = [3, 9, 5, 14];
const PATIENCE: Duration = Duration::from_mins(1);

/// Copies the stream into `consumed`, in the transaction of the cursor.
struct Copy {
    db: Db,
    process: i64,
}

impl Copy {
    async fn copy(&self, batch: &Batch, tx: &mut matrixon_store::Tx) -> Result<usize, StoreError> {
        let rows = sql!(
            tx.ex(),
            fetch_all as (i64, i64, i64),
            "select position, writer, seq from stream_test where position > $1 and position <= $2 order by position",
            batch.after,
            batch.upto
        )?;
        let mine: Vec<_> = rows.into_iter().filter(|(_, writer, seq)| batch.has(&format!("{writer}/{seq}"))).collect();
        for (position, _, _) in &mine {
            exec!(tx.ex(), "insert into consumed (position, process) values ($1, $2)", *position, self.process)?;
        }
        Ok(mine.len())
    }
}

impl Work for Copy {
    async fn work(&self, batch: &Batch) -> Result<Outcome, ConsumeError> {
        let mut tx = self.db.begin().await?;
        let copied = self.copy(batch, &mut tx).await?;
        if copied == 0 {
            return Ok(Outcome::Nothing);
        }
        batch.commit(tx).await?;
        println!("BATCH {}", batch.upto);
        Ok(Outcome::Done)
    }
}

/// Not a test of its own: the process that the tests below start and kill.
#[test]
fn child_consumer() {
    let Ok(url) = std::env::var("CONSUMER_CHILD_URL") else { return };
    let process: i64 = std::env::var("CONSUMER_CHILD_ID").expect("id").parse().expect("number");
    support::runtime().block_on(async move {
        let db = open(&url).await;
        let work = Copy { db: db.clone(), process };
        let (_waker, task) = consumer::spawn(db, CONSUMER, work, TIMING, Shutdown::new());
        println!("BATCH 0");
        task.await.expect("the consumer runs until it is killed");
    });
}

async fn open(url: &str) -> Db {
    Db::connect(&Config { url: url.to_owned(), ..Config::default() }).await.expect("database")
}

async fn prepare(url: &str) -> Db {
    let db = open(url).await;
    migrations::migrate(&db).await.expect("migrations");
    for table in [
        "create table stream_test (position bigint primary key, writer bigint not null, seq bigint not null)",
        "create table consumed (position bigint not null, process bigint not null)",
    ] {
        exec!(db.write(), table).expect("table");
    }
    db
}

fn spawn_child(url: &str, id: usize) -> Child {
    Command::new(std::env::current_exe().expect("test binary"))
        .args(["--exact", "child_consumer", "--nocapture"])
        .env("CONSUMER_CHILD_URL", url)
        .env("CONSUMER_CHILD_ID", id.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("child")
}

/// Starts a child and kills it after so many batches, or when `done` says so: it may never get a shard.
fn run_child(url: &str, id: usize, kill_after: usize, done: &AtomicBool) {
    let mut child = spawn_child(url, id);
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let (child, is_dead) = (Mutex::new(child), AtomicBool::new(false));
    let kill = || child.lock().expect("nobody panics with it").kill().expect("SIGKILL");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_dead.load(Ordering::Relaxed) {
                if done.load(Ordering::Relaxed) {
                    return kill();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let batches = output.lines().map_while(Result::ok).filter(|line| line.contains("BATCH"));
        if batches.take(kill_after + 1).count() > kill_after {
            kill();
        }
        is_dead.store(true, Ordering::Relaxed);
    });
    child.into_inner().expect("nobody panics with it").wait().expect("child ends");
}

async fn append(db: &Db, count: i64) {
    let appender = appender(db.clone());
    for seq in 0..count {
        appender.append(Item { writer: 1, seq }).await.expect("append");
    }
}

async fn wait_until<F, Fut>(what: &str, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let end = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < end, "{what} did not happen");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn consumed(db: &Db) -> Vec<i64> {
    let rows = sql!(db.read(), fetch_all as (i64,), "select position from consumed order by position").expect("rows");
    rows.into_iter().map(|row| row.0).collect()
}

async fn killed_consumers_do_everything_once(url: String) {
    let db = prepare(&url).await;
    let done = Arc::new(AtomicBool::new(false));
    let children = tokio::task::spawn_blocking({
        let (url, done) = (url.clone(), Arc::clone(&done));
        move || {
            std::thread::scope(|scope| {
                for (id, kill_after) in KILL_AFTER.into_iter().enumerate() {
                    let (url, done) = (&url, &done);
                    scope.spawn(move || run_child(url, id, kill_after, done));
                }
            });
        }
    });
    append(&db, ITEMS).await;
    // one that lives takes over whatever the killed ones leave
    let shutdown = Shutdown::new();
    let work = Copy { db: db.clone(), process: 99 };
    let (_waker, task) = consumer::spawn(db.clone(), CONSUMER, work, TIMING, shutdown.clone());
    wait_until("everything consumed", || async { consumed(&db).await.len() as i64 >= ITEMS }).await;
    done.store(true, Ordering::Relaxed);
    shutdown.begin_drain();
    task.await.expect("the consumer ends");
    children.await.expect("children");
    assert_eq!(consumed(&db).await, (1..=ITEMS).collect::<Vec<_>>(), "each position exactly once");
    db.close().await;
}

/// Waits in the middle of its first batch until it is told to go on.
struct Stalled {
    db: Db,
    stalls: Arc<AtomicBool>,
    reached: Arc<AtomicBool>,
}

impl Work for Stalled {
    async fn work(&self, batch: &Batch) -> Result<Outcome, ConsumeError> {
        self.reached.store(true, Ordering::Relaxed);
        while self.stalls.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(5)).await;
        }
        let work = Copy { db: self.db.clone(), process: 1 };
        let mut tx = work.db.begin().await?;
        work.copy(batch, &mut tx).await?;
        batch.commit(tx).await?;
        Ok(Outcome::Done)
    }
}

/// A process that sleeps past its lease wakes up and finds that it may change nothing.
async fn a_former_owner_changes_nothing(url: String) {
    let db = prepare(&url).await;
    append(&db, 5).await;
    let consumer = Consumer { shards: 1, ..CONSUMER };
    let (stalls, reached) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let stalled = Stalled { db: db.clone(), stalls: stalls.clone(), reached: reached.clone() };
    let (_waker, frozen) = consumer::spawn(db.clone(), consumer, stalled, TIMING, Shutdown::new());
    wait_until("the first batch", || async { reached.load(Ordering::Relaxed) }).await;
    // as if the process were frozen: its leases are not renewed, but its work goes on later
    exec!(db.write(), "update stream_cursors set owner = 'another', epoch = epoch + 1, position = 5")
        .expect("taken over");
    let before = Instant::now();
    stalls.store(false, Ordering::Relaxed);
    while before.elapsed() < TIMING.lease / 2 {
        assert!(consumed(&db).await.is_empty(), "the work of a former owner was committed");
        sleep(Duration::from_millis(10)).await;
    }
    frozen.abort();
    let (position,) = sql!(db.read(), fetch_one as (i64,), "select position from stream_cursors").expect("cursor");
    assert_eq!(position, 5);
    db.close().await;
}

async fn owners(db: &Db) -> Vec<String> {
    let rows =
        sql!(db.read(), fetch_all as (String,), "select owner from stream_cursors order by shard").expect("rows");
    rows.into_iter().map(|row| row.0).collect()
}

/// How many shards each owner has.
fn parts(owners: &[String]) -> Vec<usize> {
    let mut counts = std::collections::BTreeMap::new();
    for owner in owners.iter().filter(|owner| !owner.is_empty()) {
        *counts.entry(owner.clone()).or_insert(0) += 1;
    }
    let mut parts: Vec<usize> = counts.into_values().collect();
    parts.sort_unstable();
    parts
}

/// Two share the shards evenly; who leaves gives them back at once.
async fn competitors_share(url: String) {
    let db = prepare(&url).await;
    let timing = Timing { lease: Duration::from_secs(4), ..TIMING };
    let start = |shutdown: &Shutdown, process| {
        consumer::spawn(db.clone(), CONSUMER, Copy { db: db.clone(), process }, timing, shutdown.clone())
    };
    let (first, second) = (Shutdown::new(), Shutdown::new());
    let (_waker, first_task) = start(&first, 1);
    wait_until("one holds all", || async { parts(&owners(&db).await) == [4] }).await;
    let (_waker, second_task) = start(&second, 2);
    wait_until("two hold halves", || async {
        parts(&owners(&db).await) == [2, 2] && !owners(&db).await.contains(&String::new())
    })
    .await;
    append(&db, 40).await;
    wait_until("everything consumed", || async { consumed(&db).await.len() == 40 }).await;
    first.begin_drain();
    first_task.await.expect("ends");
    let left = Instant::now();
    wait_until("the other holds all", || async { parts(&owners(&db).await) == [4] }).await;
    assert!(left.elapsed() < timing.lease, "shards that are given back are taken without waiting for a lease");
    assert_eq!(consumer::passed(&db, Stream::RECEIPTS).await.expect("passed"), None);
    wait_until("the cursors are at the head", || async {
        consumer::passed(&db, Stream::EVENTS).await.expect("passed").is_some()
    })
    .await;
    second.begin_drain();
    second_task.await.expect("ends");
    assert_eq!(consumer::passed(&db, Stream::EVENTS).await.expect("passed"), Some(40), "written when given back");
    assert_eq!(consumed(&db).await, (1..=40).collect::<Vec<_>>());
    db.close().await;
}

fn on_both<F, Fut>(name: &str, test: F)
where
    F: Fn(String) -> Fut,
    Fut: Future<Output = ()>,
{
    let directory = tempfile::tempdir().expect("directory");
    support::runtime().block_on(test(format!("sqlite:{}", directory.path().join("streams.db").display())));
    let postgres = Postgres::start().expect("PostgreSQL");
    support::runtime().block_on(test(postgres.create_database(name).expect("database")));
}

#[test]
fn killed_consumers() {
    on_both("killed", killed_consumers_do_everything_once);
}

#[test]
fn former_owners() {
    on_both("former", a_former_owner_changes_nothing);
}

#[test]
fn competitors() {
    on_both("shared", competitors_share);
}
