//! What is known of a backup without reading it: a small file beside it, written last. Without one there is no backup.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Readers ignore members that they do not know.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Manifest {
    /// Of the archive; only greater when older programs could not read it.
    pub(crate) format: u32,
    pub(crate) name: String,
    pub(crate) server_name: String,
    pub(crate) engine: Engine,
    /// The migrations that made the schema.
    pub(crate) schema: Vec<i64>,
    /// Of the program that made it.
    pub(crate) version: String,
    pub(crate) started_ms: i64,
    pub(crate) finished_ms: i64,
    /// As stored.
    pub(crate) bytes: u64,
    /// Before compression.
    pub(crate) plain_bytes: u64,
    /// Of the archive as stored.
    pub(crate) sha256: String,
    pub(crate) encrypted: bool,
    /// Rows by table (PostgreSQL).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tables: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    Postgres,
    Sqlite,
}

pub(super) const FORMAT: u32 = 1;

impl Manifest {
    pub(crate) fn schema_version(&self) -> i64 {
        self.schema.iter().copied().max().unwrap_or(0)
    }
}

/// `20261121T154501Z`: sorts as time does.
pub(crate) fn stamp(ms: i64) -> String {
    let seconds = ms.div_euclid(1_000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // the proleptic Gregorian calendar, in eras of 400 years that begin in March
    let from_march = days + 719_468;
    let (era, of_era) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_utc() {
        assert_eq!(stamp(0), "19700101T000000Z");
        assert_eq!(stamp(951_827_696_000), "20000229T123456Z");
        assert_eq!(stamp(1_798_761_599_999), "20261231T235959Z");
    }
}
