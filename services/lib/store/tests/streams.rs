//! The law of streams, under fire: many writers in several processes, some killed with SIGKILL in the middle of their
//! transactions, readers looking all the while. No gap, no duplicate, nothing acknowledged is lost, and no reader
//! passes a position that appears later.

mod support;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use matrixon_store::{
    Config, Db, StoreError, Tx, exec, migrations, sql,
    streams::{self, Appender, Limits, StreamWriter},
};
use matrixon_testkit::servers::Postgres;
use support::{Item, TestWriter, appender};
use tokio::sync::Notify;

/// Writers that are not killed.
const WHOLE: i64 = 2;
const TASKS: i64 = 8;
/// Writers that are killed after so many acknowledgements.
const KILL_AFTER: [usize; 5] = [37, 90, 11, 64, 150];
const APPENDS_PER_TASK: i64 = 60;

/// Not a test of its own: the process that the tests below start and kill.
#[test]
fn child_writer() {
    let Ok(url) = std::env::var("STREAM_CHILD_URL") else { return };
    let writer: i64 = std::env::var("STREAM_CHILD_ID").expect("id").parse().expect("number");
    support::runtime().block_on(async move {
        let db = Db::connect(&Config { url, ..Config::default() }).await.expect("database");
        let appender = appender(db);
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let appender = appender.clone();
                tokio::spawn(async move {
                    for n in 0..APPENDS_PER_TASK {
                        let item = Item { writer, seq: task * APPENDS_PER_TASK + n };
                        let seq = item.seq;
                        let position = appender.append(item).await.expect("append");
                        println!("ACK {writer} {seq} {position}");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("task");
        }
        println!("DONE");
    });
}

fn spawn(url: &str, id: i64) -> Child {
    Command::new(std::env::current_exe().expect("test binary"))
        .args(["--exact", "child_writer", "--nocapture"])
        .env("STREAM_CHILD_URL", url)
        .env("STREAM_CHILD_ID", id.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("child")
}

/// (writer, seq) → position, as acknowledged to the child before it died.
type Acknowledged = HashMap<(i64, i64), i64>;

/// Runs one child to its end, or kills it after so many acknowledgements.
fn run_child(url: &str, id: i64, kill_after: Option<usize>) -> Acknowledged {
    let mut child = spawn(url, id);
    let mut acknowledged = Acknowledged::new();
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let mut finished = false;
    for line in output.lines() {
        let line = line.expect("line");
        // libtest prints the test's name without a line break before our first line
        let Some(at) = line.find("ACK ") else {
            finished |= line.contains("DONE");
            continue;
        };
        let mut numbers = line[at + 4..].split(' ').map(|number| number.parse::<i64>().expect("number"));
        let mut number = || numbers.next().expect("three numbers");
        let (writer, seq, position) = (number(), number(), number());
        assert_eq!(acknowledged.insert((writer, seq), position), None, "acknowledged twice");
        if kill_after == Some(acknowledged.len()) {
            child.kill().expect("SIGKILL"); // what it had printed before is still read and counts
        }
    }
    let status = child.wait().expect("child ends");
    assert!(kill_after.is_some() || (finished && status.success()), "a child failed: {status}");
    acknowledged
}

async fn prepare(url: &str) -> Db {
    let db = Db::connect(&Config { url: url.to_owned(), ..Config::default() }).await.expect("database");
    migrations::migrate(&db).await.expect("migrations");
    exec!(
        db.write(),
        "create table stream_test (position bigint primary key, writer bigint not null, seq bigint not null)"
    )
    .expect("table");
    db
}

/// Reads head, then everything up to it, until told to stop. What was once read must stay exactly so.
async fn watch(db: Db, stop: Arc<AtomicBool>) -> usize {
    let mut seen: Vec<(i64, i64)> = Vec::new();
    let mut looks = 0;
    while !stop.load(Ordering::Relaxed) {
        let head = streams::head(&db, streams::Stream::EVENTS).await.expect("head");
        let after = seen.len() as i64;
        let rows = sql!(
            db.read(),
            fetch_all as (i64, i64, i64),
            "select position, writer, seq from stream_test where position > $1 and position <= $2 order by position",
            after,
            head
        )
        .expect("rows");
        for (index, (position, writer, seq)) in rows.into_iter().enumerate() {
            assert_eq!(position, after + index as i64 + 1, "a reader at head {head} found a hole");
            seen.push((writer, seq));
        }
        assert_eq!(seen.len() as i64, head.max(after), "the head ran ahead of its rows");
        looks += 1;
    }
    looks
}

async fn law_of_streams(url: String) {
    let db = prepare(&url).await;
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2).map(|_| tokio::spawn(watch(db.clone(), Arc::clone(&stop)))).collect();

    let children = tokio::task::spawn_blocking({
        let url = url.clone();
        move || run_children(&url)
    });
    let acknowledged = children.await.expect("children");
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.expect("reader") > 0);
    }

    let head = streams::head(&db, streams::Stream::EVENTS).await.expect("head");
    let rows = sql!(
        db.read(),
        fetch_all as (i64, i64, i64),
        "select position, writer, seq from stream_test order by position"
    )
    .expect("rows");
    assert_eq!(rows.len() as i64, head, "as many rows as positions");
    let mut stored = HashMap::new();
    for (index, (position, writer, seq)) in rows.into_iter().enumerate() {
        assert_eq!(position, index as i64 + 1, "gap");
        assert_eq!(stored.insert((writer, seq), position), None, "appended twice");
    }
    assert!(acknowledged.len() as i64 >= WHOLE * TASKS * APPENDS_PER_TASK, "two writers ran to their end");
    for (key, position) in &acknowledged {
        assert_eq!(stored.get(key), Some(position), "acknowledged and lost, or moved");
    }
    db.close().await;
}

/// Children at once, each on a thread: those of `KILL_AFTER` die early, `WHOLE` others finish.
fn run_children(url: &str) -> Acknowledged {
    let plan = KILL_AFTER.iter().map(|n| Some(*n)).chain((0..WHOLE).map(|_| None));
    std::thread::scope(|scope| {
        let threads: Vec<_> = plan
            .enumerate()
            .map(|(id, kill_after)| scope.spawn(move || run_child(url, id as i64, kill_after)))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("child thread")).collect()
    })
}

#[test]
fn law_of_streams_on_sqlite() {
    let directory = tempfile::tempdir().expect("directory");
    let url = format!("sqlite:{}", directory.path().join("streams.db").display());
    support::runtime().block_on(law_of_streams(url));
}

#[test]
fn law_of_streams_on_postgres() {
    let postgres = Postgres::start().expect("PostgreSQL");
    let url = postgres.create_database("streams").expect("database");
    support::runtime().block_on(law_of_streams(url));
}

/// Begins a transaction and waits until it may go on.
#[derive(Clone, Default)]
struct HeldWriter {
    begun: Arc<Notify>,
    may_go_on: Arc<Notify>,
    batches: Arc<Mutex<Vec<usize>>>,
}

impl StreamWriter for HeldWriter {
    type Item = Item;
    type Done = i64;
    type Refusal = ();

    async fn prepare(&self, _: &mut Tx) -> Result<(), StoreError> {
        self.begun.notify_one();
        self.may_go_on.notified().await;
        Ok(())
    }

    async fn write(&self, tx: &mut Tx, items: &[Item]) -> Result<Vec<Result<i64, ()>>, StoreError> {
        TestWriter.write(tx, items).await
    }

    fn committed(&self, items: &[Item], _: &[Result<i64, ()>]) {
        self.batches.lock().expect("nobody panics with it").push(items.len());
    }

    fn bytes(&self, item: &Item) -> usize {
        TestWriter.bytes(item)
    }
}

#[tokio::test]
async fn what_queues_up_while_a_transaction_waits_joins_it() {
    let directory = tempfile::tempdir().expect("directory");
    let db = prepare(&format!("sqlite:{}", directory.path().join("streams.db").display())).await;
    let held = HeldWriter::default();
    let limits = Limits { batch_items: 3, ..Limits::default() };
    let appender = Appender::spawn(db.clone(), held.clone(), limits);
    let item = |seq| Item { writer: 1, seq };
    let mut pending = vec![appender.enqueue(item(0)).await.expect("it is queued")];
    held.begun.notified().await;
    for seq in 1..4 {
        pending.push(appender.enqueue(item(seq)).await.expect("it is queued"));
    }
    held.may_go_on.notify_one();
    held.begun.notified().await;
    held.may_go_on.notify_one();
    for (expected, pending) in (1..).zip(pending) {
        assert_eq!(pending.wait().await.expect("it is committed"), expected);
    }
    assert_eq!(*held.batches.lock().expect("nobody panics with it"), [3, 1]);
    db.close().await;
}
