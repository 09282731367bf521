//! One query text for PostgreSQL and SQLite, or one for each where it pays.

/// Runs a query that returns rows:
/// `sql!(db.read(), fetch_optional as (i64, String), "select … where id = $1", id)?`.
/// With two texts: `sql!(ex, fetch_all as Row, pg: "…", lite: "…", binds…)?`. Evaluates to `Result<_, StoreError>`.
/// Writes that return rows (`… returning`) go to [`Db::write`](crate::Db::write) or a [`Tx`](crate::Tx).
#[macro_export]
macro_rules! sql {
    ($ex:expr, $fetch:ident as $row:ty, pg: $pg:expr, lite: $lite:expr $(, $bind:expr)* $(,)?) => {
        match $ex {
            $crate::Ex::Pg(source) => {
                $crate::private::timed($pg, async {
                    let mut connection = $crate::private::Source::take(source).await?;
                    $crate::sqlx::query_as::<_, $row>($pg)$(.bind($bind))*.$fetch(&mut *connection).await
                }).await
            }
            $crate::Ex::Sqlite(source) => {
                $crate::private::timed($lite, async {
                    let mut connection = $crate::private::Source::take(source).await?;
                    $crate::sqlx::query_as::<_, $row>($lite)$(.bind($bind))*.$fetch(&mut *connection).await
                }).await
            }
        }
    };
    ($ex:expr, $fetch:ident as $row:ty, $text:expr $(, $bind:expr)* $(,)?) => {
        $crate::sql!($ex, $fetch as $row, pg: $text, lite: $text $(, $bind)*)
    };
}

/// Runs a statement and evaluates to `Result<u64, StoreError>`: the number of rows it touched.
#[macro_export]
macro_rules! exec {
    ($ex:expr, pg: $pg:expr, lite: $lite:expr $(, $bind:expr)* $(,)?) => {
        match $ex {
            $crate::Ex::Pg(source) => {
                $crate::private::timed($pg, async {
                    let mut connection = $crate::private::Source::take(source).await?;
                    $crate::sqlx::query($pg)$(.bind($bind))*.execute(&mut *connection).await
                }).await.map(|done| done.rows_affected())
            }
            $crate::Ex::Sqlite(source) => {
                $crate::private::timed($lite, async {
                    let mut connection = $crate::private::Source::take(source).await?;
                    $crate::sqlx::query($lite)$(.bind($bind))*.execute(&mut *connection).await
                }).await.map(|done| done.rows_affected())
            }
        }
    };
    ($ex:expr, $text:expr $(, $bind:expr)* $(,)?) => {
        $crate::exec!($ex, pg: $text, lite: $text $(, $bind)*)
    };
}

/// `FromRow` for both drivers by column name, without sqlx's derive (which would build everything twice).
#[macro_export]
macro_rules! from_row {
    ($type:ty { $($field:ident),+ $(,)? }) => {
        $crate::from_row!(@one $type, $crate::sqlx::postgres::PgRow, $($field),+);
        $crate::from_row!(@one $type, $crate::sqlx::sqlite::SqliteRow, $($field),+);
    };
    (@one $type:ty, $row:ty, $($field:ident),+) => {
        impl<'r> $crate::sqlx::FromRow<'r, $row> for $type {
            fn from_row(row: &'r $row) -> Result<Self, $crate::sqlx::Error> {
                use $crate::sqlx::Row as _;
                Ok(Self { $($field: row.try_get(stringify!($field))?),+ })
            }
        }
    };
}
