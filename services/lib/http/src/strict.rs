//! What may not pass the door, whatever the handler: text that databases, other servers or our own parsers choke on.
//!
//! `M_NOT_JSON` ← syntax, invalid UTF-8, lone surrogate, a number beyond f64 · `M_BAD_JSON` ← not an object, nested
//! deeper than [`MAX_DEPTH`], NUL · `M_INVALID_PARAM` ← NUL or excessive length in the path or query

#[cfg(test)]
mod tests;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::{MatrixError, from_json_error};

/// Levels of nesting in a request's body.
pub const MAX_DEPTH: usize = 100;

/// Bytes of one path parameter after percent-decoding. Matrix ids have at most 255.
pub const MAX_PATH_ARGUMENT: usize = 1_024;

/// May strings hold NUL? PostgreSQL refuses it in text, SQLite does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nul {
    Refuse,
    Allow,
}

/// Checks a body that must be a JSON object.
pub fn check_object(body: &[u8], nul: Nul) -> Result<(), MatrixError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let check = Check { depth: 0, nul };
    check.deserialize(&mut deserializer).and_then(|()| deserializer.end()).map_err(|error| from_json_error(&error))?;
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => Ok(()),
        _ => Err(MatrixError::bad_json("the body must be a JSON object")),
    }
}

pub fn check_query(query: Option<&str>) -> Result<(), MatrixError> {
    match query {
        Some(query) if query.contains("%00") => Err(MatrixError::invalid_param("NUL is not allowed in the query")),
        _ => Ok(()),
    }
}

/// `value` is percent-decoded.
pub fn check_path_argument(value: &str) -> Result<(), MatrixError> {
    if value.contains('\0') {
        return Err(MatrixError::invalid_param("NUL is not allowed in the path"));
    }
    if value.len() > MAX_PATH_ARGUMENT {
        return Err(MatrixError::invalid_param(format!("a part of the path has more than {MAX_PATH_ARGUMENT} bytes")));
    }
    Ok(())
}

/// Walks a JSON value without building it; `serde_json` refuses bad syntax, lone surrogates and infinite numbers itself.
#[derive(Clone, Copy)]
struct Check {
    depth: usize,
    nul: Nul,
}

impl Check {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Check {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if self.nul == Nul::Refuse && text.contains('\0') {
            return Err(E::custom("NUL is not allowed in strings"));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while members.next_key_seed(inner)?.is_some() {
            members.next_value_seed(inner)?;
        }
        Ok(())
    }
}
