//! Parks to waits: a goroutine that is woken without getting the lock parks
//! again, and all its parks are one wait.
//!
//! In: segments (one park each), and which waits go on. Out: waits that are over. The
//! kernel side says of each park which wait of the task it is of, and those of one are
//! joined in whatever order they come: what two CPUs say is not in the order of time. A
//! wait is over once the same task is seen in a later one, or where the table of open
//! waits does not have it. It is held back for [`GRACE_NS`] all the same, in which other
//! CPUs' news of its lock arrives.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use super::{LockId, Mode, blame::Blame, names::WaitPlace};
use crate::catalog;

/// From a moment up to which all rings have been read to the end of waits that are surely
/// known as a whole, ns: a probe may be preempted between the clock and the ring, and the
/// goroutine between two parks.
const GRACE_NS: u64 = 50_000_000;
/// From being woken to waiting again, where one call does so and does not say it, ns: a few
/// instructions and the rest of two probes.
const RETRY_NS: u64 = 5_000;

/// One park.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) lock: LockId,
    /// Address of the lock.
    pub(super) address: u64,
    pub(super) mode: Option<Mode>,
    /// Where it was wanted.
    pub(super) place: Arc<WaitPlace>,
    /// The goroutine's number or the thread's.
    pub(super) goid: u64,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    /// When the whole wait began, ns: its name among the task's.
    pub(super) wait_ns: u64,
    /// How many parks of it ended before.
    pub(super) part: u8,
}

impl Segment {
    /// When that began what is known by this park: the whole wait, where it is the first. Of
    /// the others, the earlier ones may have been lost.
    fn begin_ns(&self) -> u64 {
        if self.part == 0 { self.wait_ns.min(self.start_ns) } else { self.start_ns }
    }

    /// Whether both are of one wait. A writer's two waits, for other writers and for readers,
    /// are of one where one call made them.
    fn is_of(&self, other: &Self) -> bool {
        (self.wait_ns, self.lock, self.mode) == (other.wait_ns, other.lock, other.mode)
            && self.place.origin == other.place.origin
    }

    /// Whether the same call waits again: `func (mu *fdMutex) rwlock`
    /// (src/internal/poll/fd_mutex.go) enters the semaphore each time as if it were the first.
    fn retries(&self, before: &Self, task: u64, blame: &Blame) -> bool {
        let gap = self.start_ns.checked_sub(before.end_ns);
        *self.place.kind == *catalog::FD_MUTEX
            && Segment { wait_ns: before.wait_ns, ..self.clone() }.is_of(before)
            && gap.is_some_and(|gap| gap <= RETRY_NS)
            && !blame.has_released(self.address, task, before.end_ns..=self.start_ns)
    }
}

/// A whole wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) task: u64,
    /// All of its parks as one.
    pub(super) whole: Segment,
}

impl Settled {
    /// How long it was, ns.
    pub(super) fn ns(&self) -> u64 {
        self.whole.end_ns.saturating_sub(self.whole.start_ns)
    }
}

/// Waits that go on: the task, and when the whole began, ns.
pub(super) type GoOn = HashSet<(u64, u64)>;

#[derive(Default)]
pub(super) struct Settler {
    /// Waits of each task, in the order of time.
    tasks: HashMap<u64, VecDeque<Pending>>,
    /// The ends of those of which a later one of the same task is known, ns, and the task.
    over: BinaryHeap<Reverse<(u64, u64)>>,
}

struct Pending {
    /// All parks that have come, as one.
    whole: Segment,
    /// When the newest of them began, ns.
    newest_ns: u64,
    /// A later wait of the task is known.
    is_over: bool,
}

impl Settler {
    /// A park of `task` ended.
    pub(super) fn segment(&mut self, task: u64, segment: Segment) {
        let Self { tasks, over } = self;
        let waits = tasks.entry(task).or_default();
        let first = waits.partition_point(|other| other.whole.start_ns < segment.wait_ns);
        let mut its = waits.range_mut(first..).take_while(|it| it.whole.wait_ns == segment.wait_ns);
        if let Some(known) = its.find(|it| it.whole.is_of(&segment)) {
            let (before, is_over) = (known.whole.end_ns, known.is_over);
            known.join(segment);
            if is_over && known.whole.end_ns != before {
                over.push(Reverse((known.whole.end_ns, task)));
            }
            return;
        }
        let (newest_ns, begin_ns) = (segment.start_ns, segment.begin_ns());
        let whole = Segment { start_ns: begin_ns, ..segment };
        let at = waits.partition_point(|other| other.whole.start_ns < begin_ns);
        waits.insert(at, Pending { whole, newest_ns, is_over: false });
        // All but the last one are known to be over: it itself, or the one before it.
        let before_last = if at + 1 < waits.len() { Some(at) } else { at.checked_sub(1) };
        if let Some(known) = before_last.and_then(|at| waits.get_mut(at)) {
            known.is_over = true;
            over.push(Reverse((known.whole.end_ns, task)));
        }
    }

    /// Delivers what is over, by what has come from all CPUs up to `until_ns`.
    pub(super) fn settle(
        &mut self,
        until_ns: u64,
        blame: &Blame,
        mut deliver: impl FnMut(Settled),
    ) {
        while let Some(&Reverse((end_ns, task))) = self.over.peek()
            && end_ns.saturating_add(GRACE_NS) <= until_ns
        {
            self.over.pop();
            let Some(waits) = self.tasks.get_mut(&task) else { continue };
            // None where a park came that ended later.
            let at = waits.iter().position(|it| it.is_over && it.whole.end_ns == end_ns);
            let Some(at) = at else { continue };
            let Some(Pending { whole, .. }) = waits.remove(at) else { continue };
            match waits.get_mut(at).map(|next| &mut next.whole) {
                Some(next) if next.retries(&whole, task, blame) => next.start_ns = whole.start_ns,
                _ => deliver(Settled { task, whole }),
            }
        }
    }

    /// The same, and the newest of each task where it does not go on.
    pub(super) fn settle_newest(
        &mut self,
        until_ns: u64,
        go_on: &GoOn,
        blame: &Blame,
        mut deliver: impl FnMut(Settled),
    ) {
        self.settle(until_ns, blame, &mut deliver);
        self.tasks.retain(|&task, waits| {
            let is_done = waits.len() == 1
                && waits.back().is_some_and(|newest| {
                    newest.whole.end_ns.saturating_add(GRACE_NS) <= until_ns
                        && !go_on.contains(&(task, newest.whole.wait_ns))
                });
            if is_done && let Some(newest) = waits.pop_back() {
                deliver(Settled { task, whole: newest.whole });
            }
            !waits.is_empty()
        });
    }

    /// Delivers everything that ended; nothing more will come.
    pub(super) fn finish(&mut self, go_on: &GoOn, blame: &Blame, mut deliver: impl FnMut(Settled)) {
        self.settle(u64::MAX, blame, &mut deliver);
        for (task, waits) in self.tasks.drain() {
            for Pending { whole, .. } in waits {
                if !go_on.contains(&(task, whole.wait_ns)) {
                    deliver(Settled { task, whole });
                }
            }
        }
    }
}

impl Pending {
    /// Takes in another park of the same wait.
    fn join(&mut self, segment: Segment) {
        let (start_ns, end_ns) = (segment.begin_ns(), segment.end_ns);
        let whole = &mut self.whole;
        let (start_ns, end_ns) = (whole.start_ns.min(start_ns), whole.end_ns.max(end_ns));
        // What the task does next, it does where it waited last.
        if segment.start_ns > self.newest_ns {
            self.newest_ns = segment.start_ns;
            *whole = segment;
        }
        (whole.start_ns, whole.end_ns) = (start_ns, end_ns);
    }
}

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
