//! Which time is shown: all, the newest interval, or a step of the past; and the held
//! picture while measuring goes on.

use crate::model::{Step, Subject, SubjectStep, summary::Summary};
use crate::view::{Picture, Request, grid::RowId, step_at};

use super::{App, Page};

/// Which summary is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Everything since the start.
    Total,
    /// The newest interval.
    Last,
    /// A step of the past.
    Step,
}

impl App {
    /// Takes a newer picture; holds it back while paused, but for what was asked for.
    /// Returns one that is of no use any more: freeing it takes longer than a frame.
    pub fn update(&mut self, picture: Picture) -> Option<Picture> {
        let mut before = match &mut self.shown {
            Some(held) if self.paused => {
                answer(held, &picture);
                self.newer.replace(picture)
            }
            shown => shown.replace(picture),
        };
        if let (false, Some(now), Some(before)) = (self.paused, &mut self.shown, &mut before) {
            // Until the answer comes.
            keep(now, before);
        }
        self.settle();
        self.rebuild();
        self.grow_flame();
        before
    }

    /// What the next pictures are to have.
    pub fn request(&self) -> Request {
        Request { step: self.step, subject: self.subject() }
    }

    /// Who has a graph of its own in what is shown.
    fn subject(&self) -> Option<Subject> {
        match self.page.as_ref()? {
            Page::Detail(RowId::Key(map, key)) => {
                Some(Subject::Key { map: map.clone(), key: key.clone() })
            }
            Page::Detail(RowId::Lock(id)) => Some(Subject::Lock(id.clone())),
            _ => None,
        }
    }

    /// Goes to the step that is wanted, once its figures are there.
    fn settle(&mut self) {
        if let (Some(start), Some(picture)) = (self.step, &self.shown)
            && let Some(at) = &picture.at
            && step_at(&picture.steps, start) == Some(at.index)
        {
            self.span = Span::Step;
        }
    }

    /// One step towards the past or the present.
    pub(super) fn step_by(&mut self, back: bool) {
        let steps = self.steps();
        let newest = steps.len().checked_sub(1);
        let now = self.step.and_then(|start| step_at(steps, start));
        let to = match (now, self.span) {
            _ if newest.is_none() => return self.tell("No interval is over yet."),
            (Some(now), _) if back => Some(now.saturating_sub(1)),
            (Some(now), _) => (Some(now) < newest).then_some(now + 1),
            // The newest interval is shown already.
            (None, Span::Last) if back => newest.map(|newest| newest.saturating_sub(1)),
            (None, _) if back => newest,
            (None, _) => None,
        };
        match to {
            Some(index) => self.go_to_step(index),
            None => self.newest(),
        }
    }

    /// To the oldest step there is.
    pub(super) fn oldest(&mut self) {
        if self.steps().is_empty() {
            self.tell("No interval is over yet.");
        } else {
            self.go_to_step(0);
        }
    }

    /// To the newest interval, whichever that is.
    pub(super) fn newest(&mut self) {
        self.leave_past(Span::Last);
    }

    /// Everything, or the newest interval; out of the past to everything.
    pub(super) fn next_span(&mut self) {
        let next = match (self.step, self.span) {
            (None, Span::Total) => Span::Last,
            _ => Span::Total,
        };
        self.leave_past(next);
    }

    fn leave_past(&mut self, to: Span) {
        self.step = None;
        self.span = to;
        self.rebuild();
        self.grow_flame();
    }

    fn go_to_step(&mut self, index: usize) {
        if let Some(step) = self.steps().get(index) {
            self.see_step(step.totals.start_unix_ns);
        }
    }

    /// To the step that began then, as soon as its figures are there.
    pub(super) fn see_step(&mut self, start_unix_ns: u64) {
        self.step = Some(start_unix_ns);
        self.settle();
        self.rebuild();
        self.grow_flame();
    }

    /// Holds the picture, or takes the newest.
    pub(super) fn pause(&mut self) {
        self.paused ^= true;
        if !self.paused
            && let Some(newer) = self.newer.take()
        {
            self.update(newer);
        }
    }

    /// The picture that is shown.
    pub(in crate::view) fn picture(&self) -> Option<&Picture> {
        self.shown.as_ref()
    }

    /// The past as far as it is shown.
    pub(in crate::view) fn steps(&self) -> &[Step] {
        self.shown.as_ref().map_or(&[], |picture| &picture.steps)
    }

    /// The figures that are shown.
    pub(in crate::view) fn summary(&self) -> Option<&Summary> {
        let picture = self.shown.as_ref()?;
        let at = picture.at.as_ref().map(|at| &at.summary);
        Some(match self.span {
            Span::Total => &picture.total,
            Span::Last => &picture.last,
            Span::Step => at.unwrap_or(&picture.last),
        })
    }

    /// Which time is shown.
    pub(in crate::view) fn span(&self) -> Span {
        self.span
    }

    /// Which of the steps is shown, in the past.
    pub(in crate::view) fn at(&self) -> Option<usize> {
        let at = self.shown.as_ref()?.at.as_ref()?;
        (self.span == Span::Step).then_some(at.index)
    }

    /// In the past: when the step that is shown began, ns since the epoch, and how long
    /// that is before the end of the newest one, ns.
    pub(in crate::view) fn when(&self) -> Option<(u64, u64)> {
        let steps = self.steps();
        let start = steps.get(self.at()?)?.totals.start_unix_ns;
        let end = steps.last()?.totals;
        let end = end.start_unix_ns.saturating_add(end.duration_ns);
        Some((start, end.saturating_sub(start)))
    }

    /// The figures over time of what is opened, where they are there.
    pub(in crate::view) fn subject_steps(&self) -> &[SubjectStep] {
        let told = self.shown.as_ref().and_then(|picture| picture.subject.as_ref());
        match (told, self.subject()) {
            (Some((of, steps)), Some(wanted)) if *of == wanted => steps,
            _ => &[],
        }
    }

    /// Whether the picture is held.
    pub(in crate::view) fn paused(&self) -> bool {
        self.paused
    }

    /// Why measuring has ended, also while an older picture is held.
    pub(in crate::view) fn ended(&self) -> Option<&str> {
        let newest = self.newer.as_ref().or(self.shown.as_ref());
        let reason = newest.and_then(|picture| picture.ended.as_deref());
        reason.or(self.closed.then_some("no more data"))
    }
}

/// Gives a held picture what was asked for.
fn answer(held: &mut Picture, newer: &Picture) {
    if newer.subject.is_some() {
        held.subject.clone_from(&newer.subject);
    }
    let start = newer.at.as_ref().and_then(|at| newer.steps.get(at.index));
    if let (Some(at), Some(step)) = (&newer.at, start)
        && let Some(index) = step_at(&held.steps, step.totals.start_unix_ns)
    {
        let mut at = at.clone();
        at.index = index;
        held.at = Some(at);
    }
}

/// Keeps what was asked for before, where the next picture was made before that.
fn keep(now: &mut Picture, before: &mut Picture) {
    if now.subject.is_none() {
        now.subject = before.subject.take();
    }
    let start = before.at.as_ref().and_then(|at| before.steps.get(at.index));
    if let (None, Some(at), Some(step)) = (&now.at, &before.at, start)
        && let Some(index) = step_at(&now.steps, step.totals.start_unix_ns)
    {
        let mut at = at.clone();
        at.index = index;
        now.at = Some(at);
    }
}
