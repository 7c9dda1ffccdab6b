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

use crate::model::{Step, Subject, SubjectStep, summary::Summary};

pub use draw::{Look, ThemeChoice};
pub use keys::Action;
pub use state::{App, Flow, Span, Tab};
pub use terminal::{Links, Save, ViewError, run};

/// All that the view shows at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Everything since the start.
    pub total: Summary,
    /// The newest interval.
    pub last: Summary,
    /// The past, oldest first; old steps may be several intervals.
    pub steps: Vec<Step>,
    /// The step that was asked for.
    pub at: Option<At>,
    /// What was asked for, and its figures in each of `steps`.
    pub subject: Option<(Subject, Vec<SubjectStep>)>,
    /// What there is to say about the run, one sentence each: why a table is
    /// empty, what could not be attached.
    pub notices: Vec<String>,
    /// Why measuring ended, when it has.
    pub ended: Option<String>,
}

/// One step of the past in full.
#[derive(Clone, Debug, PartialEq)]
pub struct At {
    /// Which of [`Picture::steps`].
    pub index: usize,
    /// Its heaviest rows.
    pub summary: Summary,
}

/// What the next pictures are to have besides the present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The step that began then or went on then, ns since the epoch: old steps may be
    /// joined from one picture to the next.
    pub step: Option<u64>,
    /// Whose figures over time.
    pub subject: Option<Subject>,
}

/// One frame, as the loop of [`run`] paints it; for benchmarks.
#[doc(hidden)]
pub fn paint(frame: &mut ratatui::Frame<'_>, app: &mut App, look: Look) {
    draw::draw(frame, app, look);
}

/// The step that began at this time, or went on.
pub fn step_at(steps: &[Step], start_unix_ns: u64) -> Option<usize> {
    let after = steps.partition_point(|step| step.totals.start_unix_ns <= start_unix_ns);
    after.checked_sub(1)
}

/// How it is drawn and driven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looks {
    /// Colours and characters.
    pub look: Look,
    /// Whether the mouse is taken from the terminal at first.
    pub mouse: bool,
}
