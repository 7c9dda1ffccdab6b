//! Why there is no report.

use thiserror::Error;

use super::By;

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
    /// A table cannot be written as CSV.
    #[error("cannot write the table as CSV: {0}; the json format has the same figures")]
    Csv(#[source] csv::Error),
    /// A table cannot be written as Parquet.
    #[error("cannot write the table as Parquet: {0}; the csv format has the same table")]
    Parquet(#[source] parquet::errors::ParquetError),
    /// A profile cannot be compressed.
    #[error("cannot compress the profile: {0}; the folded format has the same stacks")]
    Gzip(#[source] std::io::Error),
    /// A histogram cannot be written.
    #[error("cannot write the histograms: {0}; the hgrm format has their sum")]
    Log(String),
    /// The summary cannot be written as JSON.
    #[error("cannot write the summary as JSON: {0}; the text format may still work")]
    Json(#[source] serde_json::Error),
}

impl ReportError {
    /// There is nothing that could be weighed like this.
    pub(super) const fn nothing(by: By) -> Self {
        match by {
            By::Wait => Self::NoWaits,
            By::Blame => Self::NoBlame,
            By::Ops => Self::NoStacks,
        }
    }
}
