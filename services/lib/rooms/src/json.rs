//! Lists as parameters of statements.

/// Lists are bound as JSON text: one query text shape and one prepared statement for every length.
pub(crate) fn json_list<T: serde::Serialize>(list: &[T]) -> String {
    serde_json::to_string(list).expect("numbers and strings are JSON")
}
