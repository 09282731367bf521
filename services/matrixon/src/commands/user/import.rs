//! `matrixon user import`: a file of any length, a batch at a time.

mod progress;
mod rows;

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use matrixon_proto::admin::v1::{ImportUser, ImportUsersRequest, ImportUsersResponse, users_client::UsersClient};
use serde::Serialize;

use self::{
    progress::Progress,
    rows::{Rows, Source},
};
use super::refuse;
use crate::{
    cli::ImportFormat,
    commands::{
        admin::{Connection, call, print_json},
        show,
    },
};

/// Rows of one transaction, and how many of them may need a password hashed: the answer must come in time.
const ROWS: usize = 500;
const PASSWORDS: usize = 32;
/// Bytes of one request, more or less.
const BYTES: usize = 1 << 20;

pub(super) struct Options {
    pub(super) file: PathBuf,
    pub(super) format: Option<ImportFormat>,
    pub(super) dry_run: bool,
    pub(super) report: Option<PathBuf>,
    pub(super) json: bool,
}

/// What became of the rows so far.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Counts {
    rows: u64,
    created: u64,
    existing: u64,
    refused: u64,
}

pub(super) async fn run(connection: &Connection, options: Options) -> Result<()> {
    let source = Source::open(&options.file)?;
    let mut progress = Progress::new(source.bytes());
    let mut rows = Rows::new(source, options.format, &options.file)?;
    let mut report = Report::new(options.report.unwrap_or_else(|| report_path(&options.file)));
    let (mut counts, mut batch) = (Counts::default(), Batch::default());
    while let Some((line, row)) = rows.next()? {
        counts.rows += 1;
        match row {
            Ok(user) => batch.push(line, user),
            Err(problem) => {
                counts.refused += 1;
                report.add(line, "", "M_BAD_JSON", &problem)?;
            }
        }
        if batch.is_full() {
            batch.send(connection, options.dry_run, (&mut counts, &mut report)).await?;
            progress.show(counts, rows.bytes_read());
        }
    }
    batch.send(connection, options.dry_run, (&mut counts, &mut report)).await?;
    progress.end();
    let written = report.finish()?;
    let Counts { created, existing, refused, .. } = counts;
    if options.json {
        print_json(&counts)?;
    } else {
        let verb = if options.dry_run { "would be created" } else { "created" };
        show(format_args!("{created} {verb}, {existing} exist already, {refused} refused"));
    }
    match written {
        Some(path) => Err(refuse(format!("{refused} rows were refused; {} says why", path.display()))),
        None => Ok(()),
    }
}

fn report_path(file: &Path) -> PathBuf {
    if file == Path::new("-") {
        return PathBuf::from("import.refused.csv");
    }
    let mut name = file.as_os_str().to_owned();
    name.push(".refused.csv");
    PathBuf::from(name)
}

/// Rows of one call, with their lines in the file.
#[derive(Default)]
struct Batch {
    lines: Vec<u64>,
    users: Vec<ImportUser>,
    passwords: usize,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, line: u64, user: ImportUser) {
        self.passwords += usize::from(user.password.is_some());
        self.bytes += prost::Message::encoded_len(&user);
        self.lines.push(line);
        self.users.push(user);
    }

    fn is_full(&self) -> bool {
        self.users.len() >= ROWS || self.passwords >= PASSWORDS || self.bytes >= BYTES
    }

    async fn send(
        &mut self,
        connection: &Connection,
        dry_run: bool,
        (counts, report): (&mut Counts, &mut Report),
    ) -> Result<()> {
        let Self { lines, users, .. } = std::mem::take(self);
        if users.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = users.iter().map(|user| user.username.clone()).collect();
        let request = ImportUsersRequest { users, dry_run };
        let answer: ImportUsersResponse = call!(connection, UsersClient.import, request)?;
        for ((line, name), row) in lines.into_iter().zip(names).zip(answer.users) {
            match row.outcome.as_str() {
                "created" => counts.created += 1,
                "exists" => counts.existing += 1,
                _ => {
                    counts.refused += 1;
                    report.add(line, &name, &row.errcode, &row.message)?;
                }
            }
        }
        Ok(())
    }
}

/// Refused rows, in a file that exists only if there are any.
struct Report {
    path: PathBuf,
    out: Option<csv::Writer<BufWriter<File>>>,
}

impl Report {
    fn new(path: PathBuf) -> Self {
        Self { path, out: None }
    }

    fn add(&mut self, line: u64, username: &str, errcode: &str, message: &str) -> Result<()> {
        let out = match &mut self.out {
            Some(out) => out,
            none => {
                let file = File::create(&self.path)
                    .with_context(|| format!("cannot write the report {}", self.path.display()))?;
                let mut out = csv::Writer::from_writer(BufWriter::new(file));
                out.write_record(["line", "username", "errcode", "message"])?;
                none.insert(out)
            }
        };
        Ok(out.write_record([&line.to_string(), username, errcode, message])?)
    }

    fn finish(self) -> Result<Option<PathBuf>> {
        let Some(out) = self.out else { return Ok(None) };
        let mut file = out.into_inner().map_err(|error| anyhow::anyhow!("cannot write the report: {error}"))?;
        file.flush().context("cannot write the report")?;
        Ok(Some(self.path))
    }
}
