//! Answers assembled from stored JSON, without parsing it.

/// Writes one JSON object, member by member.
pub(super) struct ObjectWriter {
    json: String,
    empty: bool,
}

impl ObjectWriter {
    pub(super) fn new() -> Self {
        Self::with_capacity(64)
    }

    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mut json = String::with_capacity(bytes);
        json.push('{');
        Self { json, empty: true }
    }

    /// `value` is JSON.
    pub(super) fn member(&mut self, name: &str, value: &str) {
        self.name(name);
        self.json.push_str(value);
    }

    /// The object `value` with one more member; it has none of that name yet.
    pub(super) fn member_with(&mut self, name: &str, value: &str, more: (&str, &str)) {
        self.name(name);
        match value.trim_end().strip_suffix('}') {
            None => self.json.push_str(value),
            Some(open) => {
                self.json.push_str(open);
                if !open.trim_end().ends_with('{') {
                    self.json.push(',');
                }
                push_text(&mut self.json, more.0);
                self.json.push(':');
                self.json.push_str(more.1);
                self.json.push('}');
            }
        }
    }

    /// All members of an object that was written here.
    pub(super) fn members(&mut self, object: &str) {
        let members = object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
        if members.is_empty() {
            return;
        }
        if !self.empty {
            self.json.push(',');
        }
        self.empty = false;
        self.json.push_str(members);
    }

    fn name(&mut self, name: &str) {
        if !self.empty {
            self.json.push(',');
        }
        self.empty = false;
        push_text(&mut self.json, name);
        self.json.push(':');
    }

    pub(super) fn finish(mut self) -> String {
        self.json.push('}');
        self.json
    }
}

/// A JSON string.
pub(super) fn text(value: &str) -> String {
    let mut json = String::with_capacity(value.len() + 2);
    push_text(&mut json, value);
    json
}

/// Ids are plain most of the time: then nothing has to be escaped.
pub(super) fn push_text(json: &mut String, value: &str) {
    let plain = value.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
    if plain {
        json.push('"');
        json.push_str(value);
        json.push('"');
    } else {
        json.push_str(&serde_json::Value::from(value).to_string());
    }
}
