//! Checks the chain here, not where the log is: a server that was tampered with cannot say that all is well.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use anyhow::{Context as _, Result};
use matrixon_auth::audit_chain::{Broken, Checker};
use matrixon_proto::admin::v1::{
    AuditHead, AuditHeadRequest, AuditRecord, ListAuditRequest, audit_client::AuditClient,
};

use super::{PAGE, load};
use crate::{
    commands::{
        admin::{Connection, call, print_json},
        show,
    },
    failure::Failure,
};

/// A chain as it is read, and the heads that must be in it.
struct Walk {
    checker: Checker,
    wanted: Vec<AuditHead>,
}

impl Walk {
    fn new(expect: Option<&str>) -> Result<Self> {
        let wanted = expect.map(parse_head).transpose()?.into_iter().collect();
        Ok(Self { checker: Checker::default(), wanted })
    }

    fn step(&mut self, record: &AuditRecord) -> Result<(), Failure> {
        self.checker.check(record).map_err(|broken| tampered(&broken))?;
        let (passed, left): (Vec<_>, Vec<_>) = self.wanted.drain(..).partition(|head| head.seq == record.seq);
        self.wanted = left;
        if passed.iter().any(|head| !head.hash.eq_ignore_ascii_case(&record.hash)) {
            return Err(Failure::failed(format!("record {} is not the one that was expected there", record.seq)));
        }
        Ok(())
    }

    fn finish(self, json: bool) -> Result<()> {
        let head = self.checker.head();
        if let Some(missing) = self.wanted.iter().find(|wanted| wanted.seq > 0) {
            return Err(tampered(&Broken::Cut { last: head.seq, head: missing.seq }).into());
        }
        if json {
            return print_json(&head);
        }
        show(format_args!("{} records, the chain is whole; its head is {}:{}", head.seq, head.seq, head.hash));
        Ok(())
    }
}

fn tampered(broken: &Broken) -> Failure {
    Failure::failed(format!("the audit log was tampered with: {broken}"))
}

pub(super) async fn verify_log(connection: &Connection, expect: Option<&str>, json: bool) -> Result<()> {
    let mut walk = Walk::new(expect)?;
    // The head first: what is appended meanwhile comes after it.
    walk.wanted.push(call!(connection, AuditClient.head, AuditHeadRequest {})?);
    let mut request = ListAuditRequest { page_size: PAGE, ..Default::default() };
    loop {
        let page = load(connection, request.clone()).await?;
        page.records.iter().try_for_each(|record| walk.step(record))?;
        if page.next_after_seq == 0 {
            return walk.finish(json);
        }
        request.after_seq = page.next_after_seq;
    }
}

/// An export from the beginning; without `--expect` its end is taken as it is.
pub(super) fn verify_file(file: &Path, expect: Option<&str>, json: bool) -> Result<()> {
    let mut walk = Walk::new(expect)?;
    let input = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    for (number, line) in BufReader::new(input).lines().enumerate() {
        let line = line.with_context(|| format!("cannot read {}", file.display()))?;
        let record = serde_json::from_str(&line)
            .map_err(|error| Failure::failed(format!("line {} is no record: {error}", number + 1)))?;
        walk.step(&record)?;
    }
    walk.finish(json)
}

fn parse_head(text: &str) -> Result<AuditHead, Failure> {
    let parts = text.split_once(':').and_then(|(seq, hash)| Some((seq.parse().ok()?, hash)));
    let (seq, hash) = parts.ok_or_else(|| Failure::usage("`--expect` is SEQ:HASH, as `audit verify` prints it"))?;
    Ok(AuditHead { seq, hash: hash.to_owned() })
}
