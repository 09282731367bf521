//! The rows of an import file, one at a time.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    rc::Rc,
};

use anyhow::{Context as _, Result};
use matrixon_proto::admin::v1::ImportUser;

use crate::{cli::ImportFormat, failure::Failure};

/// No row is longer, in bytes.
const MAX_LINE: u64 = 256 << 10;

/// The bytes of the file, counted.
pub(super) struct Source {
    input: Box<dyn Read>,
    bytes: Option<u64>,
    read: Rc<Cell<u64>>,
}

impl Source {
    pub(super) fn open(file: &Path) -> Result<Self> {
        let read = Rc::default();
        if file == Path::new("-") {
            return Ok(Self { input: Box::new(io::stdin()), bytes: None, read });
        }
        let input = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        let bytes = input.metadata().ok().map(|metadata| metadata.len());
        Ok(Self { input: Box::new(input), bytes, read })
    }

    pub(super) fn bytes(&self) -> Option<u64> {
        self.bytes
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.read.set(self.read.get() + read as u64);
        Ok(read)
    }
}

pub(super) struct Rows {
    format: Format,
    read: Rc<Cell<u64>>,
}

enum Format {
    Csv { reader: Box<csv::Reader<Source>>, columns: Vec<Column> },
    Jsonl { reader: BufReader<Source>, line: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Username,
    Password,
    PasswordHash,
    Admin,
    Displayname,
    Emails,
}

/// A row with its line; an unreadable one is a sentence.
pub(super) type Row = (u64, Result<ImportUser, String>);

impl Rows {
    pub(super) fn new(source: Source, format: Option<ImportFormat>, file: &Path) -> Result<Self> {
        let format = format.or_else(|| by_name(file)).ok_or_else(|| {
            Failure::usage(format!("{} ends neither in .csv nor in .jsonl: say `--format`", file.display()))
        })?;
        let read = Rc::clone(&source.read);
        let format = match format {
            ImportFormat::Jsonl => Format::Jsonl { reader: BufReader::new(source), line: 0 },
            ImportFormat::Csv => {
                let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(source);
                let names = reader.headers().context("the first line must name the columns")?;
                let columns = names.iter().map(parse_column).collect::<Result<Vec<_>, Failure>>()?;
                if !columns.contains(&Column::Username) {
                    return Err(Failure::usage("there is no column `username`").into());
                }
                Format::Csv { reader: Box::new(reader), columns }
            }
        };
        Ok(Self { format, read })
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.read.get()
    }

    pub(super) fn next(&mut self) -> Result<Option<Row>> {
        match &mut self.format {
            Format::Csv { reader, columns } => {
                let mut record = csv::StringRecord::new();
                let line = reader.position().line();
                match reader.read_record(&mut record) {
                    Ok(false) => Ok(None),
                    Ok(true) => {
                        let line = record.position().map_or(line, csv::Position::line);
                        Ok(Some((line, from_record(columns, &record))))
                    }
                    Err(error) if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) => {
                        Ok(Some((line, Err("the row is not UTF-8".to_owned()))))
                    }
                    Err(error) => Err(error).context("the file cannot be read on"),
                }
            }
            Format::Jsonl { reader, line } => next_object(reader, line),
        }
    }
}

fn next_object(reader: &mut BufReader<Source>, line: &mut u64) -> Result<Option<Row>> {
    loop {
        let mut text = Vec::new();
        *line += 1;
        let length =
            reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut text).context("the file cannot be read on")?;
        if length == 0 {
            return Ok(None);
        }
        if length as u64 == MAX_LINE && !text.ends_with(b"\n") {
            return Err(Failure::failed(format!("line {line} is longer than {MAX_LINE} bytes")).into());
        }
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        return Ok(Some((*line, serde_json::from_slice(&text).map_err(|error| error.to_string()))));
    }
}

fn by_name(file: &Path) -> Option<ImportFormat> {
    match file.extension()?.to_str()? {
        "csv" => Some(ImportFormat::Csv),
        "jsonl" | "ndjson" => Some(ImportFormat::Jsonl),
        _ => None,
    }
}

fn parse_column(name: &str) -> Result<Column, Failure> {
    Ok(match name.trim_start_matches('\u{feff}').trim() {
        "username" | "user_id" => Column::Username,
        "password" => Column::Password,
        "password_hash" => Column::PasswordHash,
        "admin" => Column::Admin,
        "displayname" => Column::Displayname,
        "emails" => Column::Emails,
        name => {
            let known = "username, password, password_hash, admin, displayname, emails";
            return Err(Failure::usage(format!("there is no column `{name}`; the columns are {known}")));
        }
    })
}

/// Empty fields are as if they were not there.
fn from_record(columns: &[Column], record: &csv::StringRecord) -> Result<ImportUser, String> {
    if record.len() != columns.len() {
        return Err(format!("the row has {} fields, the first line {}", record.len(), columns.len()));
    }
    let mut user = ImportUser::default();
    for (column, field) in columns.iter().zip(record).filter(|(_, field)| !field.is_empty()) {
        match column {
            Column::Username => field.clone_into(&mut user.username),
            Column::Password => user.password = Some(field.to_owned()),
            Column::PasswordHash => user.password_hash = Some(field.to_owned()),
            Column::Displayname => user.displayname = Some(field.to_owned()),
            Column::Emails => {
                user.emails = field.split([' ', ';']).filter(|one| !one.is_empty()).map(str::to_owned).collect();
            }
            Column::Admin => {
                user.admin = match field {
                    "true" | "1" | "yes" => true,
                    "false" | "0" | "no" => false,
                    _ => return Err("`admin` is true or false".to_owned()),
                }
            }
        }
    }
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(name: &str, text: &str) -> Vec<Row> {
        let source = Source { input: Box::new(io::Cursor::new(text.to_owned())), bytes: None, read: Rc::default() };
        let mut rows = Rows::new(source, None, Path::new(name)).unwrap();
        std::iter::from_fn(|| rows.next().unwrap()).collect()
    }

    #[test]
    fn a_csv_file() {
        let text = "\u{feff}username,password,admin,emails\nalice,\"a,b\",true,a@x.org b@x.org\nbob,,,\ncarol,x\ndave,x,maybe,\n";
        let rows = rows("a.csv", text);
        let alice = rows[0].1.as_ref().unwrap();
        assert_eq!((alice.username.as_str(), alice.password.as_deref(), alice.admin), ("alice", Some("a,b"), true));
        assert_eq!((alice.emails.len(), rows[0].0), (2, 2));
        assert_eq!((rows[1].1.as_ref().unwrap().password.is_none(), rows[1].0), (true, 3));
        assert!(rows[2].1.as_ref().is_err_and(|problem| problem.contains("2 fields")));
        assert!(rows[3].1.is_err() && rows[3].0 == 5);
    }

    #[test]
    fn a_file_of_objects() {
        let rows =
            rows("a.jsonl", "{\"username\":\"alice\",\"admin\":true}\n\n{\"username\":\"bob\",\"nmae\":1}\nnonsense\n");
        assert!(rows[0].1.as_ref().is_ok_and(|user| user.username == "alice" && user.admin));
        assert!(rows[1].1.as_ref().is_err_and(|problem| problem.contains("nmae")));
        assert_eq!((rows[2].0, rows[2].1.is_err(), rows.len()), (4, true, 3));
    }
}
