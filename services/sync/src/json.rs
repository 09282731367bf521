//! Just enough of JSON to cut and splice events as bytes: members of an object at its top level, without a parse of
//! their values. For text that was JSON when it was stored; anything else ends the walk early.

use std::ops::Range;

use bytes::Bytes;

/// One member of an object, as ranges of the text.
#[derive(Debug)]
pub(crate) struct Member {
    /// From the quote of the key to the end of the value.
    pub(crate) whole: Range<usize>,
    /// Without quotes, as written.
    pub(crate) key: Range<usize>,
    pub(crate) value: Range<usize>,
}

/// The members of the object that `text` is.
pub(crate) fn members(text: &[u8]) -> Members<'_> {
    let at = skip_space(text, 0);
    let at = if text.get(at) == Some(&b'{') { at + 1 } else { text.len() };
    Members { text, at }
}

pub(crate) struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

impl Iterator for Members<'_> {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        let text = self.text;
        let start = skip_while(text, self.at, |byte| byte.is_ascii_whitespace() || byte == b',');
        if text.get(start) != Some(&b'"') {
            return None;
        }
        let key_end = skip_string(text, start)?;
        let colon = skip_space(text, key_end);
        if text.get(colon) != Some(&b':') {
            return None;
        }
        let value_start = skip_space(text, colon + 1);
        let value_end = skip_value(text, value_start)?;
        self.at = value_end;
        Some(Member { whole: start..value_end, key: start + 1..key_end - 1, value: value_start..value_end })
    }
}

/// The value of a member, as written.
pub(crate) fn find<'a>(text: &'a [u8], key: &str) -> Option<&'a [u8]> {
    members(text).find(|member| text[member.key.clone()] == *key.as_bytes()).map(|member| &text[member.value])
}

/// The value of a member that is a string without escapes (ids, event types, memberships).
pub(crate) fn find_text<'a>(text: &'a [u8], key: &str) -> Option<&'a str> {
    let value = find(text, key)?.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    std::str::from_utf8(value).ok().filter(|value| !value.contains('\\'))
}

/// The event without `room_id`: in /sync it stands under its room's id, and Synapse leaves it out as well.
pub(crate) fn without_room_id(json: &[u8]) -> Bytes {
    let Some(member) = members(json).find(|member| json[member.key.clone()] == *b"room_id") else {
        return Bytes::copy_from_slice(json);
    };
    let (mut start, mut end) = (member.whole.start, member.whole.end);
    let after = skip_space(json, end);
    if json.get(after) == Some(&b',') {
        end = after + 1;
    } else if let Some(comma) = json[..start].iter().rposition(|byte| *byte == b',') {
        start = comma; // the last member: the comma before it goes
    }
    let mut text = Vec::with_capacity(json.len() - (end - start));
    text.extend_from_slice(&json[..start]);
    text.extend_from_slice(&json[end..]);
    Bytes::from(text)
}

fn skip_while(text: &[u8], from: usize, skip: impl Fn(u8) -> bool) -> usize {
    text[from.min(text.len())..].iter().position(|byte| !skip(*byte)).map_or(text.len(), |offset| from + offset)
}

fn skip_space(text: &[u8], from: usize) -> usize {
    skip_while(text, from, |byte| byte.is_ascii_whitespace())
}

/// `at` is the opening quote; the position after the closing one.
fn skip_string(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn skip_value(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => skip_string(text, at),
        b'{' | b'[' => skip_nested(text, at),
        _ => Some(skip_while(text, at, |byte| !matches!(byte, b',' | b'}' | b']') && !byte.is_ascii_whitespace())),
    }
}

fn skip_nested(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0usize;
    loop {
        match text.get(at)? {
            b'"' => {
                at = skip_string(text, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{find, find_text, members, without_room_id};

    #[test]
    fn room_id_goes_wherever_it_stands_and_only_at_the_top() {
        for (json, expected) in [
            (r#"{"room_id":"!a:b","type":"m","content":{"room_id":"x"}}"#, r#"{"type":"m","content":{"room_id":"x"}}"#),
            (r#"{"type":"m","room_id":"!a:b","content":{}}"#, r#"{"type":"m","content":{}}"#),
            (
                r#"{"content":{"a":["}",{"b":"\"room_id\":1,"}]},"room_id":"!a:b"}"#,
                r#"{"content":{"a":["}",{"b":"\"room_id\":1,"}]}}"#,
            ),
            (r#"{"room_id":"!a:b"}"#, "{}"),
            (r#"{"type":"m"}"#, r#"{"type":"m"}"#),
        ] {
            assert_eq!(without_room_id(json.as_bytes()), expected.as_bytes());
        }
    }

    #[test]
    fn finds_members_as_written() {
        let json = br#"{"content" : {"x":[1,{"y":"]"}]}, "n":-12 ,"s":"a\"b","t":"plain","b":true}"#;
        assert_eq!(find(json, "content").unwrap(), br#"{"x":[1,{"y":"]"}]}"#);
        assert_eq!(find(json, "n").unwrap(), b"-12");
        assert_eq!(find(json, "b").unwrap(), b"true");
        assert_eq!(find_text(json, "t"), Some("plain"));
        assert_eq!(find_text(json, "s"), None);
        assert_eq!(find(json, "x"), None);
    }

    #[test]
    fn what_is_not_an_object_has_no_members() {
        for text in ["", "[]", "{", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":[1", "null"] {
            assert_eq!(members(text.as_bytes()).count(), 0, "{text}");
        }
    }
}
