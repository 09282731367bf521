//! `matrixon report list|show|delete`

use std::path::Path;

use anyhow::Result;
use matrixon_proto::admin::v1::{ListReportsRequest, Report, ReportRequest, reports_client::ReportsClient};

use super::{
    admin::{Column, Connection, Table, call, confirm, moment, print_json},
    block_on, show,
};
use crate::cli::{ReportArgs, ReportCommand};

/// Reports of one call.
const PAGE: u32 = 500;

static COLUMNS: [Column<Report>; 8] = [
    Column { head: "number", detailed: false, value: |report| report.id.clone() },
    Column { head: "when", detailed: false, value: |report| moment(report.received_ts) },
    Column { head: "kind", detailed: false, value: |report| report.kind.clone() },
    Column { head: "by", detailed: false, value: |report| report.reporter.clone() },
    Column { head: "about", detailed: false, value: |report| report.user_id.clone() },
    Column { head: "room", detailed: false, value: |report| report.room_id.clone() },
    Column { head: "event", detailed: true, value: |report| report.event_id.clone() },
    Column { head: "reason", detailed: false, value: |report| report.reason.clone() },
];

pub(crate) fn run(path: Option<&Path>, args: ReportArgs) -> Result<()> {
    if let ReportCommand::Delete { report, yes } = &args.command {
        confirm(*yes, &format!("Delete report {report}? Nobody can read it any more."))?;
    }
    block_on(async {
        let connection = Connection::open(path, &args.admin).await?;
        let done = act(&connection, args.command, args.admin.json).await;
        connection.close().await;
        done
    })
}

async fn act(connection: &Connection, command: ReportCommand, json: bool) -> Result<()> {
    match command {
        ReportCommand::List { kind, reporter, detailed } => {
            let request = ListReportsRequest {
                page_size: PAGE,
                page_token: String::new(),
                kind: kind.unwrap_or_default(),
                reporter: reporter.unwrap_or_default(),
            };
            list(connection, request, (json, detailed)).await?;
        }
        ReportCommand::Show { report } => {
            let report = call!(connection, ReportsClient.get, ReportRequest { report })?;
            if json {
                return print_json(&report);
            }
            Table::new(&COLUMNS, true).print(&[report]);
        }
        ReportCommand::Delete { report, .. } => {
            let deleted = call!(connection, ReportsClient.delete, ReportRequest { report })?;
            if json {
                return print_json(&deleted);
            }
            show("deleted");
        }
    }
    Ok(())
}

async fn list(connection: &Connection, mut request: ListReportsRequest, (json, detailed): (bool, bool)) -> Result<()> {
    let mut table = Table::new(&COLUMNS, detailed);
    loop {
        let page = call!(connection, ReportsClient.list, request.clone())?;
        if json {
            page.reports.iter().try_for_each(print_json)?;
        } else {
            table.print(&page.reports);
        }
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}
