//! `MATRIXON__SECTION__FIELD` and `MATRIXON__SECTION__FIELD_FILE`.

use std::{collections::BTreeMap, fs, path::PathBuf};

use toml::{Table, Value};

use super::{ConfigError, Source, schema::Node};

const PREFIX: &str = "MATRIXON__";

/// Which environment variable set a key, for error messages; everything else comes from the file.
pub(super) type Origins = BTreeMap<String, String>;

/// Writes the overrides into `table` and remembers which variable set what.
pub(super) fn apply(
    table: &mut Table,
    root: &Node<'_>,
    source: &Source,
    origins: &mut Origins,
) -> Result<(), ConfigError> {
    for (name, raw) in &source.env {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let path: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
        let (path, raw) = match from_file(root, &path, raw)? {
            Some(read) => read,
            None => (path, raw.clone()),
        };
        let value = match root.descend(&path) {
            Some(node) if node.is_string() => Value::String(raw),
            _ => parse_value(&raw),
        };
        origins.insert(path.join("."), name.clone());
        insert(table, &path, value);
    }
    Ok(())
}

/// `…_FILE` names a file that holds the value, unless the section really has a field of that name.
fn from_file(root: &Node<'_>, path: &[String], raw: &str) -> Result<Option<(Vec<String>, String)>, ConfigError> {
    let Some(field) = path.last().and_then(|last| last.strip_suffix("_file")) else { return Ok(None) };
    let mut base = path.to_vec();
    base.pop();
    base.push(field.to_owned());
    if root.descend(path).is_some() || !root.descend(&base).is_some_and(Node::is_string) {
        return Ok(None);
    }
    let path = PathBuf::from(raw);
    let text = fs::read_to_string(&path).map_err(|error| ConfigError::Read { path, what: "the secret file", error })?;
    Ok(Some((base, text.trim_end_matches(['\r', '\n']).to_owned())))
}

/// A TOML scalar or array, else the text itself.
fn parse_value(raw: &str) -> Value {
    let parsed = format!("value = {raw}").parse::<Table>().ok();
    // One key: a line break in the text must not smuggle in others.
    parsed
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(raw.to_owned()))
}

fn insert(table: &mut Table, path: &[String], value: Value) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut table = table;
    for parent in parents {
        let entry = table.entry(parent.clone()).or_insert_with(|| Value::Table(Table::new()));
        if !entry.is_table() {
            *entry = Value::Table(Table::new());
        }
        let Value::Table(next) = entry else { return };
        table = next;
    }
    table.insert(last.clone(), value);
}
