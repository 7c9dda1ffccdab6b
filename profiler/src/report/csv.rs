//! A table as CSV: RFC 4180, a line of names first.
//!
//! In: a [`Grid`]. Out: fields in quotes where they must be, lines ended by CR LF. Nothing
//! in it commands a terminal, and nothing is a formula to a spreadsheet: a text that would
//! be one has an apostrophe before it, as spreadsheets themselves write it.

use csv::{Terminator, WriterBuilder};

use super::ReportError;
use super::table::grid::{Cell, Grid};
use crate::units;

/// What spreadsheets take for the beginning of a formula, some also where it is wide.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// The table with its names.
pub(super) fn render(grid: &Grid<'_>) -> Result<Vec<u8>, ReportError> {
    let mut csv = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    csv.write_record(grid.columns.iter().map(|column| column.name.as_ref()))
        .map_err(ReportError::Csv)?;
    for row in &grid.rows {
        csv.write_record(row.iter().map(field)).map_err(ReportError::Csv)?;
    }
    csv.into_inner().map_err(|error| ReportError::Csv(error.into_error().into()))
}

fn field(cell: &Cell<'_>) -> String {
    match cell {
        Cell::None => String::new(),
        Cell::Text(text) => safe(text),
        Cell::Int(n) => n.to_string(),
        Cell::Float(n) => n.to_string(),
        Cell::Flag(yes) => yes.to_string(),
    }
}

/// The text, with an apostrophe before it where a spreadsheet would run it, and where
/// there are apostrophes before what it would run: so one can be taken away again. A
/// negative number is no formula.
fn safe(text: &str) -> String {
    let clean = units::clean(text);
    let is_number = clean.parse::<f64>().is_ok();
    if !is_number && clean.trim_start_matches('\'').starts_with(FORMULA) {
        format!("'{clean}")
    } else {
        clean.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::table::grid::{Column, Kind};

    #[test]
    fn formulas_are_texts_and_can_be_had_back() {
        for (text, shown) in [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1+1", "'+1+1"),
            ("@SUM(1)", "'@SUM(1)"),
            ("-x", "'-x"),
            ("'=x", "''=x"),
            ("＝1", "'＝1"),
            ("\t=1", "\\t=1"),
            ("-7", "-7"),
            ("'a'", "'a'"),
            ("\"=x\"", "\"=x\""),
        ] {
            assert_eq!(safe(text), shown);
        }
    }

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let columns = ["a", "b"].map(|name| Column { name: name.into(), kind: Kind::Text }).into();
        let cell = |text: &'static str| Cell::Text(text.into());
        let rows = vec![vec![cell("x,y"), cell("say \"no\"")], vec![Cell::None, Cell::Int(7)]];
        let csv = render(&Grid { columns, rows }).unwrap();
        assert_eq!(csv, b"a,b\r\n\"x,y\",\"say \"\"no\"\"\"\r\n,7\r\n");
    }
}
