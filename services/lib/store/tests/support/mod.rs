//! A stream writer for tests: one narrow table.

use matrixon_store::{
    Db, StoreError, Tx, exec,
    streams::{Appender, Limits, Stream, StreamWriter},
};

#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) writer: i64,
    pub(crate) seq: i64,
}

pub(crate) struct TestWriter;

impl StreamWriter for TestWriter {
    type Item = Item;
    type Done = i64;
    type Refusal = ();

    async fn write(&self, tx: &mut Tx, items: &[Item]) -> Result<Vec<Result<i64, ()>>, StoreError> {
        let rows: Vec<String> = items.iter().map(|item| format!("[{},{}]", item.writer, item.seq)).collect();
        let rows = format!("[{}]", rows.join(","));
        let first = tx.advance(Stream::EVENTS, items.len()).await?;
        exec!(
            tx.ex(),
            pg: "insert into stream_test (position, writer, seq)
                 select $1 + i.n - 1, (i.row->>0)::bigint, (i.row->>1)::bigint
                 from json_array_elements($2::json) with ordinality as i (row, n)",
            lite: "insert into stream_test (position, writer, seq)
                   select $1 + key, json_extract(value, '$[0]'), json_extract(value, '$[1]') from json_each($2)",
            first,
            rows
        )?;
        Ok((first..).take(items.len()).map(Ok).collect())
    }

    fn committed(&self, _: &[Item], _: &[Result<i64, ()>]) {}

    fn bytes(&self, _: &Item) -> usize {
        16
    }
}

pub(crate) fn appender(db: Db) -> Appender<TestWriter> {
    Appender::spawn(db, TestWriter, Limits::default())
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime")
}
