//! Why there is no report.

use thiserror::Error;

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
