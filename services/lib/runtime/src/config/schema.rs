//! Checks a TOML value against the JSON schema of the configuration, for errors that name the key and what was expected.

use serde_json::Value as Json;
use toml::Value;

use super::ConfigError;

/// Suggest a key when at most this share of it differs.
const SIMILAR: f64 = 0.6;

/// One node of the schema, with the root at hand to resolve references.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    root: &'a Json,
    schema: &'a Json,
}

impl<'a> Node<'a> {
    pub(super) fn root(root: &'a Json) -> Self {
        Self { root, schema: root }
    }

    fn at(self, schema: &'a Json) -> Self {
        let mut schema = schema;
        while let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
            match self.root.pointer(reference.trim_start_matches('#')) {
                Some(target) => schema = target,
                None => break,
            }
        }
        Self { root: self.root, schema }
    }

    /// The alternatives of an optional value or an enum with documented variants; otherwise itself.
    fn alternatives(self) -> Vec<Self> {
        let list = ["anyOf", "oneOf"].into_iter().find_map(|key| self.schema.get(key)).and_then(Json::as_array);
        match list {
            Some(list) => list.iter().flat_map(|schema| self.at(schema).alternatives()).collect(),
            None => vec![self],
        }
    }

    pub(super) fn properties(self) -> Option<impl Iterator<Item = (&'a String, Self)>> {
        let properties = self.schema.get("properties")?.as_object()?;
        Some(properties.iter().map(move |(key, schema)| (key, self.at(schema))))
    }

    fn child(self, key: &str) -> Option<Self> {
        self.alternatives().into_iter().find_map(|node| {
            let property = node.schema.get("properties").and_then(|properties| properties.get(key));
            let others = || node.schema.get("additionalProperties").filter(|schema| *schema != &Json::Bool(false));
            property.or_else(others).map(|schema| node.at(schema))
        })
    }

    pub(super) fn descend(self, path: &[String]) -> Option<Self> {
        path.iter().try_fold(self, |node, key| node.child(key))
    }

    fn types(self) -> Vec<&'a str> {
        match self.schema.get("type") {
            Some(Json::String(one)) => vec![one],
            Some(Json::Array(many)) => many.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn is_string(self) -> bool {
        self.alternatives()
            .iter()
            .flat_map(|node| node.types())
            .filter(|kind| *kind != "null")
            .all(|kind| kind == "string")
            && self.alternatives().iter().any(|node| !node.types().is_empty())
    }

    /// Is this a table with keys known beforehand (a section), not a scalar, a list or a map?
    pub(super) fn is_section(self) -> bool {
        let closed = |node: &Self| node.schema.get("additionalProperties") == Some(&Json::Bool(false));
        self.alternatives().iter().any(|node| node.schema.get("properties").is_some() || closed(node))
    }

    /// The table with the known keys behind an optional section.
    pub(super) fn section(self) -> Self {
        self.alternatives().into_iter().find(|node| node.schema.get("properties").is_some()).unwrap_or(self)
    }

    pub(super) fn schema(self) -> &'a Json {
        self.schema
    }

    pub(super) fn description(self) -> Option<&'a Json> {
        self.schema.get("description")
    }

    /// `origin` says where a key was set.
    pub(super) fn check(self, value: &Value, key: &str, origin: &dyn Fn(&str) -> String) -> Result<(), ConfigError> {
        let alternatives: Vec<Self> = self.alternatives().into_iter().filter(|node| node.types() != ["null"]).collect();
        let Some(node) = alternatives.iter().find(|node| node.accepts(value)) else {
            let mut expected: Vec<String> = alternatives.iter().map(|node| node.describe()).collect();
            expected.dedup();
            let (expected, found) = (expected.join(" or "), describe_value(value));
            return Err(ConfigError::WrongType { key: key.to_owned(), origin: origin(key), expected, found });
        };
        match value {
            // Without a word about its members, anything goes.
            Value::Table(table)
                if node.schema.get("properties").or(node.schema.get("additionalProperties")).is_some() =>
            {
                for (name, value) in table {
                    let path = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    let child = node.child(name).ok_or_else(|| node.unknown_key(key, name, &path, origin))?;
                    child.check(value, &path, origin)?;
                }
            }
            Value::Array(values) => {
                if let Some(items) = node.schema.get("items") {
                    for (index, value) in values.iter().enumerate() {
                        node.at(items).check(value, &format!("{key}[{index}]"), origin)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn accepts(self, value: &Value) -> bool {
        if let Some(constant) = self.schema.get("const").and_then(Json::as_str) {
            return value.as_str() == Some(constant);
        }
        if let Some(allowed) = self.schema.get("enum").and_then(Json::as_array) {
            return allowed.iter().any(|allowed| allowed.as_str().is_some() && allowed.as_str() == value.as_str());
        }
        let types = self.types();
        let number = |bound: &str| self.schema.get(bound).and_then(Json::as_f64);
        let in_range = |value: f64| {
            number("minimum").is_none_or(|least| value >= least) && number("maximum").is_none_or(|most| value <= most)
        };
        types.is_empty()
            || types.iter().any(|kind| match value {
                Value::String(_) | Value::Datetime(_) => *kind == "string",
                Value::Integer(value) => (*kind == "integer" || *kind == "number") && in_range(*value as f64),
                Value::Float(value) => *kind == "number" && in_range(*value),
                Value::Boolean(_) => *kind == "boolean",
                Value::Array(_) => *kind == "array",
                Value::Table(_) => *kind == "object",
            })
    }

    fn describe(self) -> String {
        if let Some(constant) = self.schema.get("const").and_then(Json::as_str) {
            return format!("\"{constant}\"");
        }
        if let Some(allowed) = self.schema.get("enum").and_then(Json::as_array) {
            let allowed: Vec<String> = allowed.iter().map(Json::to_string).collect();
            return format!("one of {}", allowed.join(", "));
        }
        let least = self.schema.get("minimum").map(|least| format!(", at least {least}")).unwrap_or_default();
        let most = self.schema.get("maximum").map(|most| format!(", at most {most}")).unwrap_or_default();
        match self.types().iter().find(|kind| **kind != "null") {
            Some(&"string") => "a string".to_owned(),
            Some(&"integer") => format!("a whole number{least}{most}"),
            Some(&"number") => format!("a number{least}{most}"),
            Some(&"boolean") => "true or false".to_owned(),
            Some(&"array") => "a list".to_owned(),
            Some(&"object") => "a section".to_owned(),
            _ => "another type".to_owned(),
        }
    }

    fn unknown_key(self, section: &str, name: &str, path: &str, origin: &dyn Fn(&str) -> String) -> ConfigError {
        let known: Vec<String> =
            self.properties().map(|properties| properties.map(|(key, _)| key.clone()).collect()).unwrap_or_default();
        let full = |known: &str| if section.is_empty() { format!("[{known}]") } else { format!("{section}.{known}") };
        let nearest = known
            .iter()
            .map(|known| (strsim::normalized_damerau_levenshtein(known, name), known))
            .filter(|(similarity, _)| *similarity >= SIMILAR)
            .max_by(|left, right| left.0.total_cmp(&right.0));
        let advice = match nearest {
            Some((_, known)) => format!("did you mean `{}`?", full(known)),
            None if known.is_empty() => format!("[{section}] has no keys"),
            None if section.is_empty() => format!("the sections are {}", known.join(", ")),
            None => format!("the keys of [{section}] are {}", known.join(", ")),
        };
        ConfigError::UnknownKey { key: path.to_owned(), origin: origin(path), advice }
    }
}

fn describe_value(value: &Value) -> String {
    match value {
        // The value itself may be a secret in the wrong place.
        Value::String(_) => "a string".to_owned(),
        Value::Integer(value) => format!("the number {value}"),
        Value::Float(value) => format!("the number {value}"),
        Value::Boolean(value) => value.to_string(),
        Value::Datetime(_) => "a date".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a section".to_owned(),
    }
}
