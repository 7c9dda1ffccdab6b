//! A session as a file for people and for tools.
//!
//! In: a [`Document`]: a [`Summary`], and the [`Session`] that it is of for what was
//! when. Out: bytes in one of the [`Format`]s. No format computes a figure of its own.

mod csv;
mod error;
mod flamegraph;
mod folded;
mod format;
#[cfg(test)]
mod golden_tests;
mod hdr;
#[cfg(test)]
mod hostile_tests;
mod html;
mod json;
mod parquet;
mod pprof;
#[cfg(test)]
mod read_back;
#[cfg(test)]
mod schema_tests;
mod speedscope;
mod table;
#[cfg(test)]
mod tests;
mod text;

pub use error::ReportError;
pub use flamegraph::render_diff;
pub use format::{FORMATS, Format, Info, UnknownFormat};
pub use table::{Table, UnknownTable};

pub use crate::model::flame::{By, UnknownBy};
use crate::model::{Session, summary::Summary};

/// What a report is made of.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// For what was when; its names are those of the summary.
    pub session: &'a Session,
    /// What to show: of all of the session or of a part, with its findings.
    pub summary: &'a Summary,
}

/// What of it a format shows that does not show everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What stacks are weighed by.
    pub by: By,
    /// What a table has a row for.
    pub table: Table,
}

impl From<By> for Options {
    fn from(by: By) -> Self {
        Self { by, ..Self::default() }
    }
}

/// What [`Format::Text`] is.
pub fn text(summary: &Summary) -> String {
    text::render(summary)
}

/// What [`Format::Json`] is.
pub fn json(summary: &Summary) -> Result<Vec<u8>, ReportError> {
    json::render(summary)
}

/// Any value as JSON, like that of [`Format::Json`]: indented, ended by a line feed, and
/// with escapes for what a terminal would obey.
pub(crate) fn json_of(value: &impl serde::Serialize) -> Result<Vec<u8>, ReportError> {
    json::written(value)
}

/// The document in this format; `options` may be just a [`By`].
pub fn render(
    format: Format,
    options: impl Into<Options>,
    document: &Document<'_>,
) -> Result<Vec<u8>, ReportError> {
    let Options { by, table } = options.into();
    let summary = document.summary;
    match format {
        Format::Text => Ok(text::render(summary).into_bytes()),
        Format::Json => json::render(summary),
        Format::Folded => folded::render(summary, by).map(String::into_bytes),
        Format::Flamegraph => flamegraph::render(summary, by),
        Format::Pprof => pprof::render(document, by),
        Format::Speedscope => speedscope::render(summary, by),
        Format::Hgrm => hdr::percentiles(document),
        Format::Hlog => hdr::log(document),
        Format::Csv => csv::render(&table::grid(table, document)),
        Format::Parquet => {
            parquet::render(table, &table::grid(table, document)).map_err(ReportError::Parquet)
        }
        Format::Html => html::render(document),
    }
}
