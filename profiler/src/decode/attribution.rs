//! Which key a wait belongs to.
//!
//! In: waits that are over with their parts, and operations that the kernel side says
//! are inside a wait's or came first after it. Out: the waits, each with its key or
//! without. A wait inside an operation (Go's sync.Map) belongs to that operation's
//! key; any other to the key of the first operation that the task then does in the
//! frame that took the lock, or below it while that frame lives.

use std::collections::{HashMap, VecDeque};

use super::{MapKey, blame::Part, waits::Settled};

/// How long after its end a wait is kept for an operation to come, ns.
const PATIENCE_NS: u64 = 5_000_000_000;
/// Tasks whose waits and operations are kept for each other.
const MOST: usize = 1 << 13;
/// Operations kept of one task: a wait is told a while after it is over, and the task
/// may have gone on to many others.
const MOST_OF_TASK: usize = 1 << 10;
/// Operations kept of all tasks.
const MOST_KEPT: usize = 1 << 15;

/// An operation that a wait may belong to.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// `None` where the key could not be read.
    pub(super) key: Option<MapKey>,
    /// Its stack; of an operation that a wait is inside, the return address of its function.
    pub(super) frames: Vec<u64>,
    /// Index of its site.
    pub(super) site: u32,
}

/// A wait with the parts it is charged in.
#[derive(Debug)]
pub(super) struct Charged {
    pub(super) wait: Settled,
    pub(super) parts: Vec<Part>,
}

/// Operations by task, each with the moment of the wait that it belongs to, ns.
#[derive(Default)]
struct Candidates {
    tasks: HashMap<u64, VecDeque<(u64, Candidate)>>,
    /// How many there are.
    count: usize,
}

/// Brings waits and operations together. Of each task, the newest.
#[derive(Default)]
pub(super) struct Attribution {
    /// With the beginning of the whole wait that may be inside.
    inside: Candidates,
    /// With the end of the wait before.
    after: Candidates,
    /// By task: waits whose operation has not come.
    waits: HashMap<u64, Charged>,
}

impl Attribution {
    /// The wait of `task` that began at `wait_ns` may be inside this operation.
    pub(super) fn inside(&mut self, task: u64, wait_ns: u64, candidate: Candidate) {
        self.inside.keep(task, wait_ns, candidate);
    }

    /// What the wait may be inside of.
    pub(super) fn take_inside(&mut self, wait: &Settled) -> Option<Candidate> {
        self.inside.take(wait.task, wait.whole.wait_ns)
    }

    /// This operation is the first of `task` since its wait that ended at `end_ns`.
    /// Returns that wait, where it is there already.
    #[must_use]
    pub(super) fn after(
        &mut self,
        task: u64,
        end_ns: u64,
        candidate: Candidate,
    ) -> Option<(Charged, Candidate)> {
        if self.waits.get(&task).is_some_and(|known| known.wait.whole.end_ns == end_ns) {
            return self.waits.remove(&task).map(|charged| (charged, candidate));
        }
        self.after.keep(task, end_ns, candidate);
        None
    }

    /// A wait that is over. Returns it with its operation, where that came already,
    /// and the task's wait before it, which will have none any more.
    #[must_use]
    pub(super) fn wait(
        &mut self,
        charged: Charged,
    ) -> (Option<(Charged, Candidate)>, Option<Charged>) {
        let task = charged.wait.task;
        let before = self.waits.remove(&task);
        let end_ns = charged.wait.whole.end_ns;
        if let Some(candidate) = self.after.take(task, end_ns) {
            return (Some((charged, candidate)), before);
        }
        if self.waits.len() >= MOST {
            return (None, Some(charged));
        }
        self.waits.insert(task, charged);
        (None, before)
    }

    /// Waits for whose operation nobody waits any longer.
    pub(super) fn give_up(&mut self, now_ns: u64) -> Vec<Charged> {
        let is_late = |end_ns: u64| end_ns.saturating_add(PATIENCE_NS) <= now_ns;
        self.after.retain(|end_ns| !is_late(end_ns));
        let ends = self.waits.iter().map(|(&task, charged)| (task, charged.wait.whole.end_ns));
        let late: Vec<u64> =
            ends.filter(|(_, end_ns)| is_late(*end_ns)).map(|(task, _)| task).collect();
        late.iter().filter_map(|task| self.waits.remove(task)).collect()
    }
}

impl Candidates {
    fn keep(&mut self, task: u64, moment_ns: u64, candidate: Candidate) {
        let is_full = self.tasks.len() >= MOST && !self.tasks.contains_key(&task);
        if is_full || self.count >= MOST_KEPT {
            // Tasks that are gone would stay for ever.
            self.tasks.clear();
            self.count = 0;
        }
        let kept = self.tasks.entry(task).or_default();
        if kept.len() == MOST_OF_TASK {
            kept.pop_front();
            self.count -= 1;
        }
        kept.push_back((moment_ns, candidate));
        self.count += 1;
    }

    /// The one of this moment; those before it are forgotten, since a task's waits are told
    /// in their order.
    fn take(&mut self, task: u64, moment_ns: u64) -> Option<Candidate> {
        let kept = self.tasks.get_mut(&task)?;
        let at = kept.iter().position(|(moment, _)| *moment == moment_ns)?;
        let found = kept.drain(..=at).next_back().map(|(_, candidate)| candidate);
        self.count -= at + 1;
        if kept.is_empty() {
            self.tasks.remove(&task);
        }
        found
    }

    /// Keeps the tasks whose newest moment is still of interest.
    fn retain(&mut self, is_kept: impl Fn(u64) -> bool) {
        let Self { tasks, count } = self;
        tasks.retain(|_, kept| {
            let is_kept = kept.back().is_some_and(|(moment, _)| is_kept(*moment));
            *count -= if is_kept { 0 } else { kept.len() };
            is_kept
        });
    }
}

/// Whether the frame that took the lock was still there: the operation's stack, from
/// some frame of the same function on outwards, is the wait's.
///
/// Both stacks are return addresses, innermost first; `taker` is the wait's frame that
/// took the lock; `same_function` tells whether two addresses are in one function.
pub(super) fn is_below(
    wait: &[u64],
    taker: usize,
    operation: &[u64],
    mut same_function: impl FnMut(u64, u64) -> bool,
) -> bool {
    let Some((&took, callers)) = wait.get(taker..).and_then(<[u64]>::split_first) else {
        return false;
    };
    // Its innermost frame is the operation's own function.
    (1..operation.len()).any(|index| {
        let outer = &operation[index + 1..];
        let common = outer.len().min(callers.len());
        // A stack that was cut says less, but where there is nothing to compare at all
        // both must have come to their end.
        (common > 0 || outer.len() == callers.len())
            && outer[..common] == callers[..common]
            && same_function(operation[index], took)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::decode::waits::Segment;

    fn wait(task: u64, start_ns: u64, end_ns: u64) -> Charged {
        let whole = Segment {
            lock: 1,
            address: 0xc000,
            mode: None,
            place: Arc::default(),
            goid: 9,
            start_ns,
            end_ns,
            wait_ns: start_ns,
            part: 0,
        };
        Charged { wait: Settled { task, whole }, parts: Vec::new() }
    }

    fn operation(site: u32) -> Candidate {
        Candidate { key: None, frames: Vec::new(), site }
    }

    #[test]
    fn whichever_comes_first() {
        let mut table = Attribution::default();
        assert!(table.after(7, 200, operation(1)).is_none());
        let (found, before) = table.wait(wait(7, 100, 200));
        assert_eq!(found.map(|(_, operation)| operation.site), Some(1));
        assert!(before.is_none());
        let (found, before) = table.wait(wait(7, 300, 400));
        assert!(found.is_none() && before.is_none());
        let found = table.after(7, 400, operation(2)).unwrap();
        assert_eq!((found.0.wait.ns(), found.1.site), (100, 2));
    }

    #[test]
    fn another_waits_operation_is_none_of_this_ones() {
        let mut table = Attribution::default();
        assert!(table.after(7, 150, operation(1)).is_none());
        let (found, _) = table.wait(wait(7, 100, 200));
        assert!(found.is_none());
        // The next wait ends the hope for the first.
        let (_, before) = table.wait(wait(7, 300, 400));
        assert_eq!(before.map(|charged| charged.wait.whole.end_ns), Some(200));
        assert!(table.give_up(400 + PATIENCE_NS - 1).is_empty());
        assert_eq!(table.give_up(400 + PATIENCE_NS).len(), 1);
        assert!(table.give_up(u64::MAX).is_empty());
    }

    #[test]
    fn what_a_wait_is_inside_of_is_known_by_its_beginning() {
        let mut table = Attribution::default();
        table.inside(7, 100, operation(3));
        assert_eq!(table.take_inside(&wait(7, 100, 200).wait).map(|it| it.site), Some(3));
        assert_eq!(table.inside.count, 0);
        table.inside(7, 150, operation(3));
        assert!(table.take_inside(&wait(7, 100, 200).wait).is_none(), "another wait's");
    }

    #[test]
    fn the_next_waits_operations_may_be_told_first() {
        let mut table = Attribution::default();
        for (start, site) in [(100, 1), (300, 2)] {
            table.inside(7, start, operation(site));
            assert!(table.after(7, start + 50, operation(site)).is_none());
        }
        for (start, site) in [(100, 1), (300, 2)] {
            let charged = wait(7, start, start + 50);
            assert_eq!(table.take_inside(&charged.wait).map(|it| it.site), Some(site));
            let (found, _) = table.wait(charged);
            assert_eq!(found.map(|(_, operation)| operation.site), Some(site));
        }
        assert!(table.inside.tasks.is_empty() && table.after.tasks.is_empty());
        assert_eq!((table.inside.count, table.after.count), (0, 0));
    }

    #[test]
    fn memory_is_bounded() {
        let mut table = Attribution::default();
        for task in 0..2 * MOST as u64 {
            table.inside(task, 1, operation(1));
            assert!(table.after(task, 1, operation(1)).is_none());
            let _ = table.wait(wait(task, 2, 3));
        }
        assert!(table.inside.tasks.len() <= MOST && table.after.tasks.len() <= MOST);
        assert!(table.waits.len() <= MOST);
        for end_ns in 0..3 * MOST_OF_TASK as u64 {
            let _ = table.after(1, end_ns, operation(1));
        }
        assert_eq!(table.after.tasks[&1].len(), MOST_OF_TASK);
        for end_ns in 0..3 * MOST_KEPT as u64 {
            let _ = table.after(end_ns % 99, end_ns, operation(1));
        }
        let kept: usize = table.after.tasks.values().map(VecDeque::len).sum();
        assert!(kept <= MOST_KEPT && kept == table.after.count);
    }

    #[test]
    fn the_frame_that_took_the_lock_must_live() {
        // Functions are hundreds: 1xx is the lock's, 5xx get, 6xx helper, 9xx main.
        let same = |a: u64, b: u64| a / 100 == b / 100;
        let wait = [101, 501, 901, 999];
        let check = |operation: &[u64]| is_below(&wait, 1, operation, same);
        assert!(check(&[201, 520, 901, 999]), "in it");
        assert!(check(&[201, 601, 520, 901, 999]), "below it");
        assert!(check(&[201, 601, 520, 901]), "a stack that was cut");
        assert!(!check(&[201, 910, 999]), "it has returned");
        assert!(!check(&[201, 520, 905, 999]), "called again from elsewhere");
        assert!(!check(&[201, 620, 901, 999]), "another function called from there");
        assert!(!check(&[]) && !check(&[201]));
        assert!(!is_below(&wait, 9, &[201, 520], same));
        // A goroutine's own function.
        assert!(is_below(&[101, 501], 1, &[201, 520], same));
    }
}
