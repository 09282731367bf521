//! Was anything lost, doubled or disordered?

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::load::{Failure, Load, Record};

/// What may fail meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Allowed {
    Nothing,
    /// Requests to a gateway that is gone.
    LostConnections,
    /// A clean 503 with an errcode.
    Unavailable,
}

/// Ends the load and checks all there is to check.
pub(crate) async fn check(load: Load, allowed: Allowed, slowest: Duration) -> Result<()> {
    let (records, failures) = load.finish().await?;
    let wrong: Vec<&Failure> = failures.iter().filter(|failure| !is_allowed(failure, allowed)).collect();
    for record in &records {
        check_record(record).await.with_context(|| format!("in room {}", record.room))?;
        let worst = record.sent.iter().map(|sent| sent.took).max().unwrap_or_default();
        ensure!(worst <= slowest, "a message took {worst:?}, more than {slowest:?}");
    }
    if let Some(first) = wrong.first() {
        bail!("{} requests failed that must not, the first: {}", wrong.len(), first.text);
    }
    Ok(())
}

fn is_allowed(failure: &Failure, allowed: Allowed) -> bool {
    match allowed {
        Allowed::Nothing => false,
        Allowed::LostConnections => failure.status.is_none(),
        Allowed::Unavailable => failure.status == Some(503) && failure.errcode.starts_with("M_"),
    }
}

async fn check_record(record: &Record) -> Result<()> {
    ensure!(record.sent.len() >= 10, "only {} messages were sent", record.sent.len());
    for (reader, seen) in record.seen.iter().enumerate() {
        check_events(record, seen).with_context(|| format!("reader {reader}"))?;
    }
    let history = read_back(record).await?;
    check_events(record, &history).context("/messages")
}

/// Each acknowledged event once, nothing else, and each sender's in order.
fn check_events(record: &Record, events: &[Value]) -> Result<()> {
    let mut times = HashMap::<&str, usize>::new();
    for event in events {
        *times.entry(event["event_id"].as_str().unwrap_or_default()).or_default() += 1;
    }
    let lost = record.sent.iter().filter(|sent| !times.contains_key(sent.event_id.as_str())).count();
    let doubled = times.values().filter(|times| **times > 1).count();
    let (sent, seen) = (record.sent.len(), events.len());
    ensure!(lost == 0 && doubled == 0 && sent == seen, "{lost} lost, {doubled} doubled; {sent} sent, {seen} seen");
    let mut newest = HashMap::<&str, i64>::new();
    for event in events {
        let sender = event["sender"].as_str().unwrap_or_default();
        let number = event["content"]["number"].as_i64().context("a message that nobody sent")?;
        let before = newest.insert(sender, number);
        ensure!(before.is_none_or(|before| before < number), "{sender}: {number} came after {before:?}");
    }
    for sent in &record.sent {
        let event = events.iter().find(|event| event["event_id"] == sent.event_id.as_str()).context("lost")?;
        ensure!(
            event["content"]["number"] == sent.number && event["sender"] == sent.sender.as_str(),
            "changed: {event}"
        );
    }
    Ok(())
}

async fn read_back(record: &Record) -> Result<Vec<Value>> {
    let (mut events, mut from) = (Vec::new(), None::<String>);
    loop {
        let page = record.witness.messages(&record.room, 'f', from.as_deref(), 100).await?;
        let chunk = page["chunk"].as_array().context("no chunk")?;
        events.extend(chunk.iter().filter(|event| event["type"] == "m.room.message").cloned());
        match page["end"].as_str() {
            Some(end) => from = Some(end.to_owned()),
            None => return Ok(events),
        }
    }
}
