//! What is watched at this moment, and for how long it was.
//!
//! In: gates that open and shut. Out: how much of a slice was watched, window by window.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{bill::Spent, budget::Budget};
use crate::{kernel::Attachment, model::Watched};

/// Sites that are watched together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Operations of maps.
    Maps,
    /// Waits for locks.
    Locks,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Locks, Self::Maps];

    /// Its place in what the bill reads of both.
    pub(super) fn index(self) -> usize {
        usize::from(self == Self::Locks)
    }
}

/// What goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// There are no probes.
    Out,
    /// All is told; what it cost since then is looked at now and again.
    Always { since: Instant, spent: Spent },
    /// A window is open, which took something to open.
    Open { until: Instant, before: Spent, cycle_ns: u64 },
    /// No wait that begins is told any more, and those that were have yet to end, which is
    /// looked at now and again.
    Ending { look: Instant, before: Spent, cycle_ns: u64 },
    /// Nothing is told; what sites that are always in place cost since then is looked at
    /// now and again.
    Shut { until: Instant, since: Instant, spent: Spent },
}

/// An open gate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    pub(super) since: Instant,
    /// What the sites had cost by then.
    pub(super) spent: Spent,
    /// CPU time that the target had used by then, ns.
    pub(super) cpu_ns: u64,
}

/// A window that is over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ended {
    /// How long it was open.
    pub(super) open_for: Duration,
    /// What the sites had cost when it was opened.
    pub(super) before: Spent,
    /// What the hits in it cost, ns.
    pub(super) inside_ns: u64,
}

/// Sites that are watched together, and how.
#[derive(Debug)]
pub(super) struct Group {
    /// `None`: all is told, whatever it costs.
    pub(super) budget: Option<Budget>,
    pub(super) state: State,
    /// Sites that are hit often: in place only while they are told.
    pub(super) hot: BTreeSet<usize>,
    /// Sites that are hardly ever hit: always in place, which spares putting them in.
    pub(super) cold: BTreeSet<usize>,
    pub(super) hot_probes: Option<Attachment>,
    pub(super) cold_probes: Option<Attachment>,
    pub(super) opened: Option<Opened>,
    /// The newest window: when it was opened, and what the sites had cost by then.
    window: Option<(Instant, Spent)>,
    /// The last one that was shut.
    pub(super) last: Ended,
    /// When it was shut.
    pub(super) shut_at: Instant,
    /// What was told until the gate was shut, and has yet to arrive.
    pub(super) pending: Option<Watched>,
    /// What each site had cost when hot ones were told from cold ones, and when that was.
    pub(super) sorted: (Instant, Vec<u64>),
    /// Watched in this slice before the gate was opened, ns.
    observed_ns: u64,
    /// When it was last seen to cost no more than it may.
    pub(super) fine: Instant,
}

impl Group {
    pub(super) fn new(budget: Option<Budget>) -> Self {
        Self {
            budget,
            state: State::Out,
            hot: BTreeSet::new(),
            cold: BTreeSet::new(),
            hot_probes: None,
            cold_probes: None,
            opened: None,
            window: None,
            last: Ended::default(),
            shut_at: Instant::now(),
            pending: None,
            sorted: (Instant::now(), Vec::new()),
            observed_ns: 0,
            fine: Instant::now(),
        }
    }

    /// Whether any of the slice that goes on was watched.
    pub(super) fn has_watched(&self) -> bool {
        self.observed_ns > 0 || self.opened.is_some()
    }

    /// Whether there is anything to watch.
    pub(super) fn is_used(&self) -> bool {
        !self.hot.is_empty() || !self.cold.is_empty()
    }

    /// Notes that the gate is opened.
    pub(super) fn open(&mut self, opened: Opened) {
        self.window = Some((opened.since, opened.spent));
        self.fine = opened.since;
        self.opened = Some(opened);
    }

    /// Notes that it is shut.
    pub(super) fn shut(&mut self, now: Instant, spent: Spent, cpu_ns: u64) {
        if let Some((since, before)) = self.window.take() {
            self.last = Ended { open_for: now - since, before, inside_ns: spent.since(before).ns };
        }
        self.shut_at = now;
        self.pending = self.told(now, spent, cpu_ns);
    }

    /// Its probes, to be taken out; nothing is told from here on.
    pub(super) fn take(&mut self) -> [Option<Attachment>; 2] {
        self.state = State::Out;
        [self.hot_probes.take(), self.cold_probes.take()]
    }

    /// What has been told since the gate was opened.
    fn told(&mut self, now: Instant, spent: Spent, cpu_ns: u64) -> Option<Watched> {
        let opened = self.opened.take()?;
        let watched = Watched {
            observed_ns: (now - opened.since).as_nanos() as u64,
            probe_ns: spent.since(opened.spent).ns,
            cpu_ns: cpu_ns.saturating_sub(opened.cpu_ns),
        };
        self.observed_ns = self.observed_ns.saturating_add(watched.observed_ns);
        Some(watched)
    }

    /// Ends the slice that began at `began`: for how long it was watched, ns, and what is
    /// left to be told of it as a window. The gate stays as it is, unless all is over.
    pub(super) fn cut(
        &mut self,
        began: Instant,
        now: Instant,
        spent: Spent,
        cpu_ns: u64,
    ) -> (u64, Option<Watched>) {
        let all = (now - began).as_nanos() as u64;
        let whole = self.observed_ns == 0 && self.opened.is_some_and(|it| it.since <= began);
        let is_open = self.opened.is_some();
        let rest = self.told(now, spent, cpu_ns);
        if is_open && self.state != State::Out {
            self.opened = Some(Opened { since: now, spent, cpu_ns });
        }
        let observed = std::mem::take(&mut self.observed_ns);
        if whole { (all, None) } else { (observed.min(all), rest) }
    }

    /// When it is to be looked at next; `None`: any time.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.state {
            State::Open { until, .. } | State::Shut { until, .. } => Some(until),
            State::Ending { look, .. } => Some(look),
            State::Out | State::Always { .. } => None,
        }
    }

    /// Whether a window is open, or waits that began in it have yet to end.
    pub(super) fn is_midway(&self) -> bool {
        self.budget.is_some() && matches!(self.state, State::Open { .. } | State::Ending { .. })
    }

    /// Whether waits that have begun are seen to their end.
    pub(super) fn sees_ends(&self) -> bool {
        !matches!(self.state, State::Out | State::Shut { .. })
    }
}

/// Everything that is watched.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) maps: Group,
    pub(super) locks: Group,
    /// Number of the newest window.
    pub(super) number: u64,
    pub(super) random: fastrand::Rng,
    /// When the budgets were last told how time went by, and with which figures.
    pub(super) passed: (Instant, u64, [Spent; 2]),
    /// When the run's last slice ended, where taking the probes out is no part of it.
    pub(super) ended: Option<Instant>,
}

impl Watch {
    pub(super) fn new(maps: Option<Budget>, locks: Option<Budget>) -> Self {
        Self {
            maps: Group::new(maps),
            locks: Group::new(locks),
            number: 1,
            random: fastrand::Rng::new(),
            passed: (Instant::now(), 0, Default::default()),
            ended: None,
        }
    }

    pub(super) fn group(&mut self, kind: Kind) -> &mut Group {
        match kind {
            Kind::Maps => &mut self.maps,
            Kind::Locks => &mut self.locks,
        }
    }

    /// How long nothing needs to be done.
    pub(super) fn idle(&self, now: Instant) -> Option<Duration> {
        let due = [&self.maps, &self.locks].into_iter().filter_map(Group::due).min()?;
        Some(due.saturating_duration_since(now))
    }

    /// Whether any figure is from windows.
    pub(super) fn is_bounded(&self) -> bool {
        self.maps.budget.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn watched_since(since: Instant) -> Group {
        let mut group = Group::new(None);
        group.state = State::Always { since, spent: Spent::default() };
        group.opened = Some(opened(since));
        group
    }

    fn opened(since: Instant) -> Opened {
        Opened { since, spent: Spent::default(), cpu_ns: 0 }
    }

    #[test]
    fn what_was_open_all_the_time_is_no_window() {
        let began = Instant::now();
        let mut group = watched_since(began);
        let spent = Spent { hits: 10, ns: 5000 };
        assert_eq!(group.cut(began, began + 10 * MS, spent, 7), (10_000_000, None));
        let next = began + 10 * MS;
        assert_eq!(group.cut(next, next + MS, spent, 7), (1_000_000, None), "and the next");
    }

    #[test]
    fn what_was_open_in_part_is_told_as_windows() {
        let began = Instant::now();
        let mut group = watched_since(began + 2 * MS);
        let spent = Spent { hits: 10, ns: 5000 };
        let window = group.told(began + 3 * MS, spent, 9).unwrap();
        assert_eq!(window, Watched { observed_ns: 1_000_000, probe_ns: 5000, cpu_ns: 9 });
        assert_eq!(group.told(began + 4 * MS, spent, 9), None);
        group.opened = Some(opened(began + 8 * MS));
        let (observed, rest) = group.cut(began, began + 10 * MS, Spent { hits: 11, ns: 5600 }, 9);
        assert_eq!(observed, 3_000_000);
        assert_eq!(rest.map(|it| it.observed_ns), Some(2_000_000));
        // What goes on in the next slice begins with it.
        let next = began + 10 * MS;
        assert_eq!(group.cut(next, next + MS, spent, 9), (1_000_000, None));
    }

    #[test]
    fn the_last_slice_ends_with_the_watching() {
        let began = Instant::now();
        let mut group = watched_since(began);
        group.take();
        let spent = Spent::default();
        assert_eq!(group.cut(began, began + MS, spent, 0), (1_000_000, None), "and is whole");
        assert_eq!(group.cut(began + MS, began + 2 * MS, spent, 0), (0, None));
    }

    #[test]
    fn nothing_open_is_nothing_watched() {
        let mut group = Group::new(None);
        let began = Instant::now();
        assert_eq!(group.cut(began, began + MS, Spent::default(), 0), (0, None));
    }
}
