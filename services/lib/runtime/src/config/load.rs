//! TOML + environment → checked against the schema → the typed configuration.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use toml::{Table, Value};

use super::{
    ConfigError, Source,
    env::{self, Origins},
    schema::Node,
};

/// Loads and checks a configuration; what is not given takes its default.
pub fn load<T: Serialize + DeserializeOwned + JsonSchema + Default>(source: &Source) -> Result<T, ConfigError> {
    let text = source.read()?;
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
        source_name: source.name(),
        reason: describe_syntax_error(&error, &text),
    })?;
    let root = serde_json::Value::from(schemars::schema_for!(T));
    let node = Node::root(&root);
    let mut origins = Origins::new();
    env::apply(&mut table, &node, source, &mut origins)?;
    let value = Value::Table(table);
    node.check(&value, "", &|key| origins.get(key).map_or_else(|| source.name(), |name| format!("${name}")))?;
    with_defaults::<T>(value).try_into().map_err(|error: toml::de::Error| ConfigError::Invalid {
        origin: source.name(),
        reason: error.to_string().trim().replace('\n', " "),
    })
}

/// Defaults for what is left out, at every depth: whoever sets one of two fields keeps the default of the other.
fn with_defaults<T: Serialize + Default>(value: Value) -> Value {
    match Value::try_from(T::default()) {
        Ok(mut defaults) => {
            overlay(&mut defaults, value);
            defaults
        }
        Err(_not_toml) => value,
    }
}

fn overlay(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Table(below), Value::Table(above)) => {
            for (key, value) in above {
                match below.get_mut(&key) {
                    Some(below) => overlay(below, value),
                    None => {
                        below.insert(key, value);
                    }
                }
            }
        }
        (below, above) => *below = above,
    }
}

fn describe_syntax_error(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    match line {
        Some(line) => format!("line {line}: {}", error.message()),
        None => error.message().to_owned(),
    }
}
