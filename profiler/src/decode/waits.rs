//! Parks to waits: a goroutine that is woken without getting the lock parks
//! again, and all its parks are one wait.
//!
//! In: segments (one park each) and the news that a task parks again. Out: waits
//! that are over. A wait is held back for [`GRACE_NS`], in which such news arrives.
//! A wait that can have one park only is held back, too: meanwhile arrives what other
//! CPUs have to say of its lock.

use std::collections::HashMap;
use std::sync::Arc;

use super::{LockId, Mode, names::WaitPlace};

/// How long after a park's end the same goroutine may be found to park again for
/// the same lock: it must be scheduled, spin, and enter the runtime, ns.
const GRACE_NS: u64 = 50_000_000;

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
    /// Not the wait's first park.
    pub(super) continued: bool,
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

#[derive(Default)]
pub(super) struct Settler {
    pending: HashMap<u64, Pending>,
}

struct Pending {
    segment: Option<Segment>,
    /// When the task was last seen to park again, ns; 0: never.
    parked_again_ns: u64,
}

impl Pending {
    fn goes_on(&self) -> bool {
        self.segment.as_ref().is_none_or(|segment| self.parked_again_ns >= segment.end_ns)
    }

    fn settled(&mut self, task: u64) -> Option<Settled> {
        self.segment.take().map(|whole| Settled { task, whole })
    }
}

impl Settler {
    /// A park of `task` ended.
    pub(super) fn segment(
        &mut self,
        task: u64,
        segment: Segment,
        mut deliver: impl FnMut(Settled),
    ) {
        let pending =
            self.pending.entry(task).or_insert(Pending { segment: None, parked_again_ns: 0 });
        match &mut pending.segment {
            Some(first) if segment.continued && first.lock == segment.lock => {
                first.start_ns = first.start_ns.min(segment.start_ns);
                first.end_ns = first.end_ns.max(segment.end_ns);
            }
            _ => {
                if let Some(settled) = pending.settled(task) {
                    deliver(settled);
                }
                pending.segment = Some(segment);
            }
        }
    }

    /// `task` parks again: its last park was not the end.
    pub(super) fn rewait(&mut self, task: u64, ts_ns: u64) {
        let pending =
            self.pending.entry(task).or_insert(Pending { segment: None, parked_again_ns: 0 });
        pending.parked_again_ns = pending.parked_again_ns.max(ts_ns);
    }

    /// When the wait that `task` is in began, where an earlier park of it is known.
    pub(super) fn began(&self, task: u64) -> Option<u64> {
        let pending = self.pending.get(&task)?;
        pending.goes_on().then_some(pending.segment.as_ref()?.start_ns)
    }

    /// Delivers what can no longer go on.
    pub(super) fn settle(&mut self, now_ns: u64, mut deliver: impl FnMut(Settled)) {
        self.pending.retain(|&task, pending| {
            let segment = pending.segment.as_ref();
            let last = segment.map_or(pending.parked_again_ns, |segment| segment.end_ns);
            // A task whose first park was never seen must not stay for ever.
            let over = if pending.segment.is_some() { !pending.goes_on() } else { true };
            if !over || last.saturating_add(GRACE_NS) > now_ns {
                return true;
            }
            if let Some(settled) = pending.settled(task) {
                deliver(settled);
            }
            false
        });
    }

    /// Delivers everything that ended.
    pub(super) fn finish(&mut self, mut deliver: impl FnMut(Settled)) {
        for (task, mut pending) in self.pending.drain() {
            if !pending.goes_on()
                && let Some(settled) = pending.settled(task)
            {
                deliver(settled);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn park(start_ns: u64, end_ns: u64, continued: bool) -> Segment {
        Segment {
            lock: 1,
            address: 0xc000,
            mode: None,
            place: Arc::default(),
            goid: 9,
            start_ns,
            end_ns,
            continued,
        }
    }

    fn settle(settler: &mut Settler, now_ns: u64) -> Vec<u64> {
        let mut waits = Vec::new();
        settler.settle(now_ns, |settled| waits.push(settled.ns()));
        waits
    }

    #[test]
    fn one_park_is_one_wait_after_the_grace() {
        let mut settler = Settler::default();
        settler.segment(7, park(100, 400, false), |_| panic!("too early"));
        assert!(settle(&mut settler, 500).is_empty());
        assert_eq!(settle(&mut settler, 400 + GRACE_NS), [300]);
        assert!(settle(&mut settler, u64::MAX).is_empty());
    }

    #[test]
    fn parks_of_one_wait_are_joined_with_the_gap_between_them() {
        let mut settler = Settler::default();
        settler.segment(7, park(100, 400, false), |_| panic!("too early"));
        settler.rewait(7, 450);
        assert!(settle(&mut settler, u64::MAX - 1).is_empty(), "it goes on");
        assert_eq!(settler.began(7), Some(100));
        settler.segment(7, park(450, 900, true), |_| panic!("too early"));
        assert_eq!(settle(&mut settler, 900 + GRACE_NS), [800]);
    }

    #[test]
    fn the_news_may_come_before_the_park_it_is_about() {
        let mut settler = Settler::default();
        settler.rewait(7, 450);
        settler.segment(7, park(100, 400, false), |_| panic!("too early"));
        assert!(settle(&mut settler, 400 + GRACE_NS).is_empty());
        settler.segment(7, park(450, 900, true), |_| panic!("too early"));
        assert_eq!(settle(&mut settler, 900 + GRACE_NS), [800]);
    }

    #[test]
    fn a_new_wait_settles_the_one_before() {
        let mut settler = Settler::default();
        settler.segment(7, park(100, 400, false), |_| panic!("too early"));
        let mut waits = Vec::new();
        settler.segment(7, park(500, 600, false), |settled| waits.push(settled.ns()));
        assert_eq!(waits, [300]);
        settler.finish(|settled| waits.push(settled.ns()));
        assert_eq!(waits, [300, 100]);
    }

    #[test]
    fn a_wait_that_goes_on_at_the_end_is_not_a_finished_one() {
        let mut settler = Settler::default();
        settler.segment(7, park(100, 400, false), |_| panic!("too early"));
        settler.rewait(7, 450);
        settler.finish(|_| panic!("it goes on"));
    }

    #[test]
    fn news_without_a_park_is_forgotten() {
        let mut settler = Settler::default();
        settler.rewait(7, 450);
        settle(&mut settler, 450 + GRACE_NS);
        assert!(settler.pending.is_empty());
    }
}
