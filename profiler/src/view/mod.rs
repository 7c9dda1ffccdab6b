//! The live view. In: [`Picture`]s, one per interval. Out: a terminal full of
//! them, and nothing else: the view measures nothing, and every figure it shows
//! is the summary's own or that figure over the summary's duration.
//!
//! `keys` decodes keys to actions, `state` is what is shown and how actions
//! change it (no terminal, no I/O), `grid` and `tables` turn a summary into rows,
//! `draw` paints the state, `terminal` is the event loop and `screen` owns the
//! real terminal.

mod blocks;
mod draw;
mod grid;
mod keys;
mod screen;
mod state;
mod tables;
mod terminal;

#[cfg(test)]
mod draw_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod state_tests;

use crate::model::summary::Summary;

pub use draw::{Look, ThemeChoice};
pub use keys::Action;
pub use state::{App, Flow, Span, Tab};
pub use terminal::{ViewError, run};

/// All that the view shows at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Everything since the start.
    pub total: Summary,
    /// The newest interval.
    pub last: Summary,
    /// The newest intervals, oldest first; twenty are more than are shown.
    pub history: Vec<Point>,
    /// What there is to say about the run, one sentence each: why a table is
    /// empty, what could not be attached.
    pub notices: Vec<String>,
    /// Why measuring ended, when it has.
    pub ended: Option<String>,
}

/// One interval, for the small graphs in the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// Records received.
    pub events: u64,
    /// Length of the interval, ns.
    pub duration_ns: u64,
    /// Waits that ended in it, summed over all locks, ns.
    pub wait_ns: u64,
}
