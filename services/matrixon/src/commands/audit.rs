//! `matrixon audit list|verify|export`

mod verify;

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use anyhow::{Context as _, Result};
use matrixon_proto::admin::v1::{AuditRecord, ListAuditRequest, ListAuditResponse, audit_client::AuditClient};

use super::{
    admin::{Column, Connection, Table, call, moment, print_json},
    block_on,
};
use crate::cli::{AuditArgs, AuditCommand};

/// Records of one call.
const PAGE: u32 = 1_000;

static COLUMNS: [Column<AuditRecord>; 11] = [
    Column { head: "seq", detailed: false, value: |record| record.seq.to_string() },
    Column { head: "when", detailed: false, value: |record| moment(record.ts) },
    Column { head: "who", detailed: false, value: |record| record.actor.clone() },
    Column { head: "what", detailed: false, value: |record| record.action.clone() },
    Column { head: "whom", detailed: false, value: |record| record.target.clone() },
    Column { head: "result", detailed: false, value: |record| record.result.clone() },
    Column { head: "via", detailed: true, value: |record| record.via.clone() },
    Column { head: "from", detailed: true, value: |record| record.remote.clone() },
    Column { head: "request", detailed: true, value: |record| record.request_id.clone() },
    Column { head: "details", detailed: true, value: |record| record.details.clone() },
    Column { head: "hash", detailed: true, value: |record| record.hash.clone() },
];

pub(crate) fn run(path: Option<&Path>, args: AuditArgs) -> Result<()> {
    if let AuditCommand::Verify { expect, file: Some(file) } = &args.command {
        return verify::verify_file(file, expect.as_deref(), args.admin.json);
    }
    block_on(async {
        let connection = Connection::open(path, &args.admin).await?;
        let done = act(&connection, args.command, args.admin.json).await;
        connection.close().await;
        done
    })
}

async fn act(connection: &Connection, command: AuditCommand, json: bool) -> Result<()> {
    match command {
        AuditCommand::List { actor, action, target, limit, detailed } => {
            let request = ListAuditRequest {
                newest_first: true,
                actor: actor.unwrap_or_default(),
                action: action.unwrap_or_default(),
                target: target.unwrap_or_default(),
                ..Default::default()
            };
            list(connection, request, limit, (json, detailed)).await
        }
        AuditCommand::Verify { expect, .. } => verify::verify_log(connection, expect.as_deref(), json).await,
        AuditCommand::Export { after, output } => export(connection, after, output.as_deref()).await,
    }
}

async fn list(
    connection: &Connection,
    mut request: ListAuditRequest,
    mut left: usize,
    (json, detailed): (bool, bool),
) -> Result<()> {
    let mut table = Table::new(&COLUMNS, detailed);
    while left > 0 {
        request.page_size = PAGE.min(u32::try_from(left).unwrap_or(u32::MAX));
        let page = load(connection, request.clone()).await?;
        if json {
            page.records.iter().try_for_each(print_json)?;
        } else {
            table.print(&page.records);
        }
        left = left.saturating_sub(page.records.len());
        if page.next_after_seq == 0 {
            break;
        }
        request.after_seq = page.next_after_seq;
    }
    Ok(())
}

async fn export(connection: &Connection, after: i64, output: Option<&Path>) -> Result<()> {
    let mut out: Box<dyn Write> = match output {
        Some(path) => {
            Box::new(BufWriter::new(File::create(path).with_context(|| format!("cannot write {}", path.display()))?))
        }
        None => Box::new(BufWriter::new(io::stdout())),
    };
    let mut request = ListAuditRequest { page_size: PAGE, after_seq: after, ..Default::default() };
    loop {
        let page = load(connection, request.clone()).await?;
        for record in &page.records {
            serde_json::to_writer(&mut out, record)?;
            out.write_all(b"\n").context("cannot write the export")?;
        }
        if page.next_after_seq == 0 {
            return out.flush().context("cannot write the export");
        }
        request.after_seq = page.next_after_seq;
    }
}

async fn load(connection: &Connection, request: ListAuditRequest) -> Result<ListAuditResponse> {
    Ok(call!(connection, AuditClient.list, request)?)
}
