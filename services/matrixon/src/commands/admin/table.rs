//! Output for people (tables) and for programs (JSON).

use anyhow::Result;
use serde::Serialize;

use crate::commands::show;

/// A column: its head, what a row has in it, and whether it is only for `--detailed`.
pub(crate) struct Column<T> {
    pub(crate) head: &'static str,
    pub(crate) detailed: bool,
    pub(crate) value: fn(&T) -> String,
}

/// Prints rows page by page; columns grow when a page needs it.
pub(crate) struct Table<T: 'static> {
    columns: Vec<&'static Column<T>>,
    widths: Vec<usize>,
    begun: bool,
}

impl<T: 'static> Table<T> {
    pub(crate) fn new(columns: &'static [Column<T>], detailed: bool) -> Self {
        let columns: Vec<_> = columns.iter().filter(|column| detailed || !column.detailed).collect();
        let widths = columns.iter().map(|column| column.head.len()).collect();
        Self { columns, widths, begun: false }
    }

    pub(crate) fn print(&mut self, rows: &[T]) {
        let cells: Vec<Vec<String>> =
            rows.iter().map(|row| self.columns.iter().map(|column| plain(&(column.value)(row))).collect()).collect();
        for row in &cells {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if !self.begun {
            self.begun = true;
            let heads: Vec<String> = self.columns.iter().map(|column| column.head.to_owned()).collect();
            self.print_line(&heads);
        }
        for row in &cells {
            self.print_line(row);
        }
    }

    fn print_line(&self, cells: &[String]) {
        let mut line = String::new();
        for (width, cell) in self.widths.iter().zip(cells) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        show(line.trim_end());
    }
}

/// A display name must not move the cursor.
fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

pub(crate) fn print_json<T: Serialize>(value: &T) -> Result<()> {
    show(serde_json::to_string(value)?);
    Ok(())
}

pub(crate) fn yes_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// A timestamp as `2026-11-21 15:04:05Z`; `-` for 0.
pub(crate) fn moment(ts_ms: i64) -> String {
    if ts_ms <= 0 {
        return "-".to_owned();
    }
    let (days, second) = ((ts_ms / 1_000) / 86_400, (ts_ms / 1_000) % 86_400);
    let (year, month, day) = civil(days);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

/// Days since 1970 as year, month, day (Gregorian): years of 365.2425 days that begin in March.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(moment(0), "-");
        assert_eq!(moment(1_000), "1970-01-01 00:00:01Z");
        assert_eq!(moment(951_782_400_000), "2000-02-29 00:00:00Z");
        assert_eq!(moment(1_795_273_449_000), "2026-11-21 15:04:09Z");
        assert_eq!(moment(4_107_542_399_000), "2100-02-28 23:59:59Z");
    }

    #[test]
    fn names_do_not_move_the_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
