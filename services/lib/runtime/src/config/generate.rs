//! A commented TOML file with every key, its default and what it means.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use super::schema::Node;

const HEADER: &str = "\
# Matrixon's configuration: every key with its default.
# Every key can also be given as MATRIXON__SECTION__KEY, and any text (secrets!) as MATRIXON__SECTION__KEY_FILE=/path.
";

/// The configuration file of `T`'s defaults; loading it gives the defaults back.
pub fn generate<T: Serialize + JsonSchema + Default>() -> String {
    let root = Json::from(schemars::schema_for!(T));
    let defaults = serde_json::to_value(T::default()).unwrap_or_default();
    let mut out = HEADER.to_owned();
    write_table(&mut out, Node::root(&root), &root, &defaults, "");
    out
}

/// `schema` is the raw schema of the table, because its properties carry their own comments beside a reference.
fn write_table(out: &mut String, node: Node<'_>, schema: &Json, defaults: &Json, path: &str) {
    let Some(properties) = node.properties() else { return };
    let comments =
        |key: &str| schema.get("properties").and_then(|all| all.get(key)).and_then(|own| own.get("description"));
    let properties: Vec<_> = properties.collect();
    for (key, child) in properties.iter().filter(|(_, child)| !child.is_section()) {
        write_comment(out, comments(key).or_else(|| child.description()));
        write_key(out, key, defaults.get(key.as_str()));
    }
    for (key, child) in properties.iter().filter(|(_, child)| child.is_section()) {
        let path = if path.is_empty() { (*key).clone() } else { format!("{path}.{key}") };
        out.push('\n');
        write_comment(out, comments(key).or_else(|| child.description()));
        let section = child.section();
        let Some(table) = defaults.get(key.as_str()).filter(|value| value.is_object()) else {
            let _infallible = writeln!(out, "# [{path}]");
            continue;
        };
        let _infallible = writeln!(out, "[{path}]");
        write_table(out, section, section.schema(), table, &path);
    }
}

fn write_comment(out: &mut String, description: Option<&Json>) {
    for line in description.and_then(Json::as_str).unwrap_or_default().lines() {
        let _infallible = writeln!(out, "# {}", line.trim());
    }
}

fn write_key(out: &mut String, key: &str, default: Option<&Json>) {
    let _infallible = match default {
        None | Some(Json::Null) => writeln!(out, "# {key} ="),
        Some(Json::String(text)) if text.is_empty() => writeln!(out, "# {key} = \"\""),
        Some(Json::Object(map)) if map.is_empty() => writeln!(out, "# {key} = {{}}"),
        Some(value) => match toml::Value::try_from(value) {
            Ok(value) => writeln!(out, "{key} = {value}"),
            Err(_not_toml) => writeln!(out, "# {key} ="),
        },
    };
}
