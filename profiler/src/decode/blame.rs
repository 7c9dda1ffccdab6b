//! Who had a lock while others waited for it.
//!
//! In: the moments at which a lock that others wanted was let go, and by whom; waits
//! that are over. Out: each wait in parts, charged to the holders; and how long
//! holders held it, where both ends were seen.
//!
//! A contended lock passes from hand to hand, so that the time between two releases
//! belongs to the one who made the second. What lies behind the last release is the
//! way from being woken to running, and belongs to who woke. A wait in which no
//! release was seen is charged to nobody.

use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;

use super::{ActorId, Mode, NO_ACTOR};

/// Releases remembered of one lock: a wait is charged when it is settled, so this
/// must hold what the busiest lock does until then.
const MOST_OF_LOCK: usize = 1 << 16;
/// Releases remembered of all locks; and as many acquisitions.
const MOST: usize = 1 << 17;
/// Where that is too many, what is older than this is forgotten, ns.
const RECENT_NS: u64 = 500_000_000;
/// Parts of waits whose memory is kept.
const SPARE: usize = 64;

/// Who had a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) actor: ActorId,
    pub(super) mode: Option<Mode>,
    /// The goroutine's number or the thread's.
    pub(super) goid: u64,
}

impl Holder {
    /// Nobody that was seen.
    const UNSEEN: Self = Self { actor: NO_ACTOR, mode: None, goid: 0 };

    /// Whether anything is known of it.
    pub(super) fn is_seen(&self) -> bool {
        self.actor != NO_ACTOR
    }
}

/// A part of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) holder: Holder,
    pub(super) ns: u64,
}

/// The moment at which a lock was let go.
#[derive(Clone, Copy, Debug)]
struct Release {
    ts_ns: u64,
    task: u64,
    holder: Holder,
    /// How long it was held has been told.
    is_told: bool,
}

/// What happened to one lock.
#[derive(Default)]
struct Timeline {
    /// In the order of time.
    releases: VecDeque<Release>,
    /// When waits for it ended and whose, in the order of time.
    acquired: VecDeque<(u64, u64)>,
}

/// What happened to all locks, by address.
#[derive(Default)]
pub(super) struct Blame {
    locks: HashMap<u64, Timeline>,
    releases: usize,
    acquisitions: usize,
    /// Parts of waits that were told; kept for their memory.
    spare: Vec<Vec<Part>>,
}

impl Blame {
    /// `task` let the lock go.
    pub(super) fn release(&mut self, lock: u64, task: u64, ts_ns: u64, holder: Holder) {
        if self.releases >= MOST {
            self.forget_before(ts_ns.saturating_sub(RECENT_NS));
        }
        let releases = &mut self.locks.entry(lock).or_default().releases;
        let release = Release { ts_ns, task, holder, is_told: false };
        let is_full = self.releases >= MOST;
        self.releases += usize::from(insert(releases, release, is_full, |it| it.ts_ns));
    }

    /// A wait of `task` ended, and it has the lock, or tries again.
    pub(super) fn acquired(&mut self, lock: u64, task: u64, end_ns: u64) {
        if self.acquisitions >= MOST {
            self.forget_before(end_ns.saturating_sub(RECENT_NS));
        }
        let acquired = &mut self.locks.entry(lock).or_default().acquired;
        let is_full = self.acquisitions >= MOST;
        self.acquisitions += usize::from(insert(acquired, (end_ns, task), is_full, |it| it.0));
    }

    /// Whether `task` released the lock at such a time.
    pub(super) fn has_released(&self, lock: u64, task: u64, at_ns: RangeInclusive<u64>) -> bool {
        let Some(Timeline { releases, .. }) = self.locks.get(&lock) else { return false };
        let first = releases.partition_point(|release| release.ts_ns < *at_ns.start());
        let mut within = releases.range(first..).take_while(|it| it.ts_ns <= *at_ns.end());
        within.any(|release| release.task == task)
    }

    /// The parts of a wait, and how long others held the lock within it.
    pub(super) fn charge(
        &mut self,
        lock: u64,
        start_ns: u64,
        end_ns: u64,
        mut held: impl FnMut(u64),
    ) -> Vec<Part> {
        let whole = end_ns.saturating_sub(start_ns);
        let mut parts = self.spare.pop().unwrap_or_default();
        let unseen = Part { holder: Holder::UNSEEN, ns: whole };
        let Some(Timeline { releases, acquired }) = self.locks.get_mut(&lock) else {
            parts.push(unseen);
            return parts;
        };
        let first = releases.partition_point(|release| release.ts_ns <= start_ns);
        let mut from = start_ns;
        let mut before = first.checked_sub(1).map_or(0, |index| releases[index].ts_ns);
        for release in releases.iter_mut().skip(first) {
            if release.ts_ns > end_ns {
                break;
            }
            // While somebody waits, hardly a release stays unseen: where nobody else let
            // go in between, the task's last acquisition is what this release ends.
            if !release.is_told
                && release.holder.mode != Some(Mode::Read)
                && let Some(since) = last_of(acquired, release, start_ns.max(before))
            {
                release.is_told = true;
                held(release.ts_ns - since);
            }
            add(&mut parts, release.holder, release.ts_ns - from);
            from = release.ts_ns;
            before = release.ts_ns;
        }
        match parts.last().map(|last| last.holder) {
            Some(last) => add(&mut parts, last, end_ns - from),
            None => parts.push(unseen),
        }
        parts
    }

    /// Takes back what [`Self::charge`] gave, so that the next one needs no memory.
    pub(super) fn take_back(&mut self, mut parts: Vec<Part>) {
        if self.spare.len() < SPARE {
            parts.clear();
            self.spare.push(parts);
        }
    }

    fn forget_before(&mut self, ts_ns: u64) {
        self.locks.retain(|_, timeline| {
            let old = timeline.releases.partition_point(|release| release.ts_ns < ts_ns);
            timeline.releases.drain(..old);
            let old = timeline.acquired.partition_point(|acquired| acquired.0 < ts_ns);
            timeline.acquired.drain(..old);
            !(timeline.releases.is_empty() && timeline.acquired.is_empty())
        });
        self.releases = self.locks.values().map(|timeline| timeline.releases.len()).sum();
        self.acquisitions = self.locks.values().map(|timeline| timeline.acquired.len()).sum();
    }
}

/// Puts one where it belongs by its time: CPUs are read one after another, so that news may
/// be older than the last. Whether there is one more, since the oldest goes where there are
/// too many.
fn insert<T>(all: &mut VecDeque<T>, one: T, is_full: bool, ts_ns: impl Fn(&T) -> u64) -> bool {
    let has_left = (is_full || all.len() >= MOST_OF_LOCK) && all.pop_front().is_some();
    let later = all.iter().rev().take_while(|other| ts_ns(other) > ts_ns(&one)).count();
    all.insert(all.len() - later, one);
    !has_left
}

/// When the task that made the release had last waited for the lock, no earlier than `from_ns`.
fn last_of(acquired: &VecDeque<(u64, u64)>, release: &Release, from_ns: u64) -> Option<u64> {
    let until = acquired.partition_point(|it| it.0 <= release.ts_ns);
    let mut before = acquired.range(..until).rev().take_while(|it| it.0 >= from_ns);
    before.find(|it| it.1 == release.task).map(|it| it.0)
}

/// Parts of one stack and key are one, whichever task it was: a wait in a long queue is one
/// wait, and not as many as there were before it. Few of them share a wait, and the newest
/// the most.
fn add(parts: &mut Vec<Part>, holder: Holder, ns: u64) {
    let what = |it: &Holder| (it.actor, it.mode);
    match parts.iter_mut().rev().find(|part| what(&part.holder) == what(&holder)) {
        Some(part) => part.ns += ns,
        None => parts.push(Part { holder, ns }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOCK: u64 = 0xc000;

    fn holder(actor: ActorId) -> Holder {
        Holder { actor, mode: Some(Mode::Write), goid: u64::from(actor) }
    }

    fn parts(blame: &mut Blame, start: u64, end: u64) -> Vec<(ActorId, u64)> {
        let parts = blame.charge(LOCK, start, end, |_| {});
        parts.into_iter().map(|part| (part.holder.actor, part.ns)).collect()
    }

    #[test]
    fn a_wait_is_charged_to_those_who_let_go_within_it() {
        let mut blame = Blame::default();
        blame.release(LOCK, 7, 300, holder(1));
        blame.release(LOCK, 8, 500, holder(2));
        // Out of order: another CPU's ring is read later.
        blame.release(LOCK, 9, 400, holder(3));
        assert_eq!(parts(&mut blame, 100, 510), [(1, 200), (3, 100), (2, 110)]);
        assert_eq!(parts(&mut blame, 350, 400), [(3, 50)]);
        assert_eq!(parts(&mut blame, 300, 420), [(3, 120)]);
    }

    #[test]
    fn a_wait_without_a_release_is_charged_to_nobody() {
        let mut blame = Blame::default();
        assert_eq!(parts(&mut blame, 100, 200), [(NO_ACTOR, 100)]);
        blame.release(LOCK, 7, 300, holder(1));
        assert_eq!(parts(&mut blame, 100, 200), [(NO_ACTOR, 100)]);
        assert_eq!(parts(&mut blame, 300, 400), [(NO_ACTOR, 100)]);
    }

    #[test]
    fn parts_of_one_holder_are_one() {
        let mut blame = Blame::default();
        for ts in [200, 300, 400] {
            blame.release(LOCK, 7, ts, holder(if ts == 300 { 2 } else { 1 }));
        }
        assert_eq!(parts(&mut blame, 100, 400), [(1, 200), (2, 100)]);
    }

    #[test]
    fn a_hold_is_known_where_somebody_waited_all_along() {
        let mut blame = Blame::default();
        let holds = |blame: &mut Blame, start, end| {
            let mut holds = Vec::new();
            blame.charge(LOCK, start, end, |ns| holds.push(ns));
            holds
        };
        blame.acquired(LOCK, 7, 150);
        blame.release(LOCK, 7, 300, holder(1));
        // This wait began after the acquisition: a release may have gone unseen.
        assert_eq!(holds(&mut blame, 200, 310), [0; 0]);
        assert_eq!(holds(&mut blame, 100, 310), [150]);
        // Once for all who waited.
        assert_eq!(holds(&mut blame, 90, 320), [0; 0]);
        // Somebody else had it in between.
        blame.acquired(LOCK, 7, 400);
        blame.release(LOCK, 8, 450, holder(2));
        blame.release(LOCK, 7, 500, holder(1));
        assert_eq!(holds(&mut blame, 310, 510), [0; 0]);
    }

    #[test]
    fn a_lock_that_is_let_go_once_for_each_who_waits_is_charged_once() {
        let mut blame = Blame::default();
        blame.acquired(LOCK, 7, 150);
        for reader in 0..8 {
            blame.release(LOCK, 7, 300 + reader, holder(1));
        }
        let mut holds = Vec::new();
        for reader in 0..8 {
            let parts = blame.charge(LOCK, 100, 301 + reader, |ns| holds.push(ns));
            assert_eq!(parts, [Part { holder: holder(1), ns: 201 + reader }]);
        }
        assert_eq!(holds, [150]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut blame = Blame::default();
        for n in 0..(2 * MOST as u64) {
            blame.release(n % 8, n, n, holder(1));
            blame.acquired(n % 8, n, n);
        }
        assert!(blame.releases <= MOST && blame.acquisitions <= MOST);
        let kept: usize = blame.locks.values().map(|timeline| timeline.releases.len()).sum();
        assert_eq!(kept, blame.releases);
        let kept: usize = blame.locks.values().map(|timeline| timeline.acquired.len()).sum();
        assert_eq!(kept, blame.acquisitions);
    }

    proptest! {
        #[test]
        fn the_parts_sum_up_to_the_wait(
            releases in prop::collection::vec((0_u64..1000, 0_u32..4), 0..40),
            start in 0_u64..1000,
            ns in 0_u64..1000,
        ) {
            let mut blame = Blame::default();
            for (ts, actor) in releases {
                blame.release(LOCK, u64::from(actor), ts, holder(actor));
            }
            let parts = parts(&mut blame, start, start + ns);
            prop_assert_eq!(parts.iter().map(|part| part.1).sum::<u64>(), ns);
        }
    }
}
