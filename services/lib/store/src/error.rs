//! What can go wrong between us and the database. "Not found" is `Ok(None)`, not an error.

use sqlx::error::{DatabaseError, ErrorKind};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or refuses work for now; clients get 503 and try again.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    #[error("unique constraint {constraint} violated")]
    UniqueViolation { constraint: String },
    /// A deadlock or serialization failure: the transaction may be run again.
    #[error("the transaction must be retried: {0}")]
    Retry(String),
    /// What we stored does not read back as what we wrote.
    #[error("inconsistent row in {table}: {problem}")]
    Inconsistent { table: &'static str, problem: String },
    #[error("database: {0}")]
    Other(#[source] sqlx::Error),
    #[error("{0}")]
    Setup(String),
}

impl StoreError {
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers hand over the error they got")]
    pub fn inconsistent(table: &'static str, problem: impl ToString) -> Self {
        Self::Inconsistent { table, problem: problem.to_string() }
    }
}

/// SQLSTATEs (<https://www.postgresql.org/docs/15/errcodes-appendix.html>) that mean "not now".
const UNAVAILABLE: [&str; 9] = ["57P01", "57P02", "57P03", "53100", "53200", "53300", "53400", "25006", "57014"];
const RETRY: [&str; 3] = ["40001", "40P01", "55P03"];

fn from_database(error: &dyn DatabaseError) -> Option<StoreError> {
    if error.kind() == ErrorKind::UniqueViolation {
        let constraint = error.constraint().map_or_else(|| error.message().to_owned(), str::to_owned);
        return Some(StoreError::UniqueViolation { constraint });
    }
    let code = error.code()?;
    // SQLite: 5 BUSY, 6 LOCKED, 13 FULL
    if UNAVAILABLE.contains(&code.as_ref()) || code.starts_with("08") || code == "13" {
        return Some(StoreError::Unavailable(error.message().to_owned()));
    }
    (RETRY.contains(&code.as_ref()) || code == "5" || code == "6" || code == "517")
        .then(|| StoreError::Retry(error.message().to_owned()))
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => from_database(database.as_ref()).unwrap_or(Self::Other(error)),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => Self::Unavailable(error.to_string()),
            _ => Self::Other(error),
        }
    }
}
