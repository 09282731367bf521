//! JSON text, member by member, without whitespace.

use bytes::Bytes;

/// Knows from the last byte whether a comma is due.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(crate) fn finish(self) -> Bytes {
        Bytes::from(self.0)
    }

    pub(crate) fn open(&mut self) {
        self.0.push(b'{');
    }

    pub(crate) fn close(&mut self) {
        self.0.push(b'}');
    }

    /// A comma, unless this is the first member or element.
    pub(crate) fn comma(&mut self) {
        if !matches!(self.0.last(), None | Some(b'{' | b'[')) {
            self.0.push(b',');
        }
    }

    pub(crate) fn key(&mut self, key: &str) {
        self.comma();
        self.text(key);
        self.0.push(b':');
    }

    pub(crate) fn raw(&mut self, json: &[u8]) {
        self.0.extend_from_slice(json);
    }

    pub(crate) fn number(&mut self, number: i64) {
        self.0.extend_from_slice(number.to_string().as_bytes());
    }

    pub(crate) fn text(&mut self, text: &str) {
        let plain = text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
        if plain {
            self.0.push(b'"');
            self.0.extend_from_slice(text.as_bytes());
            self.0.push(b'"');
        } else {
            serde_json::to_writer(&mut self.0, text).expect("writing text to memory");
        }
    }
}
