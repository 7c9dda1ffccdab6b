//! A summary as a file for people and for tools.
//!
//! In: a [`Summary`], and nothing else. Out: bytes in one of the [`Format`]s. No
//! format computes a figure of its own.

mod flamegraph;
mod folded;
mod json;
#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

pub use crate::model::flame::{By, UnknownBy};
use crate::model::summary::Summary;

/// What a report is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// For reading: what `mapprof stat` prints, at most 100 columns wide.
    Text,
    /// The contract `mapprof.summary.v1`, see `profiler/schema/summary.v1.json`.
    Json,
    /// Stacks as `outermost;…;innermost weight` lines; see [`By`].
    Folded,
    /// Stacks as an SVG flame graph; see [`By`].
    Flamegraph,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Text, Self::Json, Self::Folded, Self::Flamegraph];

    /// The name used on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Folded => "folded",
            Self::Flamegraph => "flamegraph",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A format that there is not.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no report format {0:?}; choose text, json, folded or flamegraph")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

/// Why there is no report.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The format shows waits.
    #[error(
        "no lock waits were recorded, so there is nothing to draw; \
         the text and json formats show what was"
    )]
    NoWaits,
    /// The stacks were to be weighed by blame.
    #[error(
        "no holder of a contended lock was seen, so there is nothing to draw by blame; \
         --by wait shows who waited"
    )]
    NoBlame,
    /// The stacks were to be weighed by operations.
    #[error(
        "no stack of a map operation was sampled, so there is nothing to draw by ops; \
         the text and json formats show the call sites"
    )]
    NoStacks,
    /// The flame graph cannot be drawn.
    #[error("cannot draw the flame graph: {0}; the folded format has the same data")]
    Flamegraph(#[source] std::io::Error),
    /// The summary cannot be written as JSON.
    #[error("cannot write the summary as JSON: {0}; the text format may still work")]
    Json(#[source] serde_json::Error),
}

/// The summary in this format, stacks weighed by [`By::Wait`].
pub fn render(format: Format, summary: &Summary) -> Result<Vec<u8>, ReportError> {
    render_by(format, By::Wait, summary)
}

/// The summary in this format, stacks weighed like this.
pub fn render_by(format: Format, by: By, summary: &Summary) -> Result<Vec<u8>, ReportError> {
    match format {
        Format::Text => Ok(text::render(summary).into_bytes()),
        Format::Json => json::render(summary),
        Format::Folded => folded::render(summary, by).map(String::into_bytes),
        Format::Flamegraph => flamegraph::render(summary, by),
    }
}
