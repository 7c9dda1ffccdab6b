//! What each format writes of the fixture, held against files in `snapshots/`; those that
//! are not text as what they are read back as.

use super::tests::{bytes, document_of, empty, rendered, summary, summary_of};
use super::*;
use crate::model::{Session, fixture};

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// What the format writes, as text.
fn shown(format: Format, options: Options) -> String {
    shown_of(&fixture::session(), format, options)
}

fn shown_of(session: &Session, format: Format, options: Options) -> String {
    let summary = summary_of(session);
    let bytes = render(format, options, &document_of(session, &summary)).unwrap();
    match format {
        Format::Pprof => read_back::profile_text(&bytes),
        Format::Hlog => read_back::log_text(&bytes),
        Format::Parquet => read_back::parquet_text(&bytes),
        _ => text(bytes),
    }
}

#[test]
fn golden_text() {
    insta::assert_snapshot!("text", rendered(Format::Text, &summary()));
}

#[test]
fn golden_text_of_nothing() {
    insta::assert_snapshot!("text_of_nothing", rendered(Format::Text, &empty()));
}

/// Every format has a golden file, by its name.
#[test]
fn golden_formats() {
    for format in Format::all().filter(|&format| format != Format::Html) {
        // The page's is its own.
        insta::assert_snapshot!(format.name(), shown(format, Options::default()));
    }
}

/// What was watched in windows: every figure that is an estimate has its margin, or it is
/// said that it is one.
#[test]
fn golden_windowed() {
    let session = fixture::windowed();
    for format in [Format::Text, Format::Json, Format::Folded, Format::Flamegraph, Format::Hgrm] {
        let shown = shown_of(&session, format, Options::default());
        insta::assert_snapshot!(format!("windowed_{format}"), shown);
    }
    for table in Table::ALL {
        let options = Options { table, ..Options::default() };
        let shown = shown_of(&session, Format::Csv, options);
        insta::assert_snapshot!(format!("windowed_csv_{table}"), shown);
    }
}

#[test]
fn golden_stacks_by_blame_and_ops() {
    for format in [Format::Folded, Format::Pprof] {
        for by in [By::Blame, By::Ops] {
            insta::assert_snapshot!(format!("{format}_{by}"), shown(format, by.into()));
        }
    }
}

#[test]
fn golden_tables() {
    for table in Table::ALL.into_iter().filter(|&table| table != Table::default()) {
        let options = Options { table, ..Options::default() };
        insta::assert_snapshot!(format!("csv_{table}"), shown(Format::Csv, options));
    }
}

/// The same twice is the same: nothing of when or in which order it was written.
#[test]
fn nothing_depends_on_when_it_is_written() {
    for format in Format::all() {
        let write = || bytes(format, By::Wait, &summary()).unwrap();
        assert_eq!(write(), write(), "{format}");
    }
}

#[test]
fn golden_flamegraph_of_a_difference() {
    let (before, mut after) = (summary(), summary());
    after.locks[0].waiters[0].wait_ns *= 3;
    after.locks[0].waiters[1].wait_ns /= 2;
    let svg = text(render_diff(&before, &after, By::Wait).unwrap());
    // Red and blue, and both spans of time.
    assert!(
        svg.contains("red where more in a second than before") && svg.contains(", before 820ms"),
        "{svg}"
    );
    insta::assert_snapshot!("flamegraph_diff", svg);
    assert!(render_diff(&empty(), &after, By::Wait).is_ok(), "all of it is new");
    let error = render_diff(&before, &empty(), By::Wait).unwrap_err().to_string();
    assert!(error.starts_with("no lock waits were recorded"), "{error}");
}

/// The page that says what there is says all there is.
#[test]
fn every_format_table_and_column_is_described() {
    let page = include_str!("../../../docs/formats.md");
    let (session, summary) = (fixture::session(), summary());
    for format in Format::all() {
        assert!(page.contains(&format!("| `{format}` |")), "{format}");
    }
    for table in Table::ALL {
        assert!(page.contains(&format!("| `{table}` |")), "{table}");
        for column in table::grid(table, &document_of(&session, &summary)).columns {
            let name = column.name.as_ref();
            let figure = ["wait", "blame", "hold"].iter().find_map(|it| name.strip_prefix(it));
            let known = page.contains(&format!("`{name}`"))
                || figure.is_some_and(|figure| page.contains(&format!("`…{figure}`")));
            assert!(known, "{table}: {name}");
        }
    }
}
