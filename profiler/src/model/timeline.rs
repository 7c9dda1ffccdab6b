//! How figures were over time.
//!
//! In: a [`Session`]'s past. Out: for each of its steps the totals and what was heaviest
//! in it, or the figures of one map, key or lock.

use std::collections::HashMap;

use super::hist::WaitHist;
use super::session::Session;
use super::summarize::{Naming, lock_id, map_id};
use super::{Key, MapId, MapSlice, Slice, SliceTotals};

/// What has figures of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A map, by its id in the summary.
    Map(String),
    /// A key, by its map's id and its text.
    Key {
        /// The map's id in the summary.
        map: String,
        /// As the summary shows it.
        key: String,
    },
    /// A lock, by its id in the summary.
    Lock(String),
}

/// One interval, or several where they are long ago.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// When, and how much.
    pub totals: SliceTotals,
    /// The key with most operations.
    pub top_key: Option<Subject>,
    /// The lock with most wait, where somebody waited.
    pub top_lock: Option<Subject>,
}

/// The figures of one [`Subject`] in one [`Step`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubjectStep {
    /// Wall clock at its beginning, ns since the epoch.
    pub start_unix_ns: u64,
    /// Its length, ns.
    pub duration_ns: u64,
    /// Operations; `None` where the key is not among those that the step kept.
    pub ops: Option<u64>,
    /// Waits that ended.
    pub waits: u64,
    /// Their sum, ns.
    pub wait_ns: u64,
    /// Others' waits that are charged to it, ns.
    pub blame_ns: u64,
    /// A map's elements at the end, where that is known.
    pub len: Option<u64>,
}

/// The waits of one lock in one [`Step`].
#[derive(Clone, Debug, PartialEq)]
pub struct LockStep<'a> {
    /// The lock's id in the summary.
    pub lock: String,
    /// Wall clock at its beginning, ns since the epoch.
    pub start_unix_ns: u64,
    /// Its length, ns.
    pub duration_ns: u64,
    /// Waits that ended.
    pub wait: &'a WaitHist,
}

impl Session {
    /// The past, oldest first; old steps may be several intervals.
    pub fn steps(&self) -> Vec<Step> {
        let naming = Naming::of_keys(self.definitions());
        let step = |slice: &Slice| Step {
            totals: SliceTotals::of(slice),
            top_key: top_key(&naming, slice),
            top_lock: top_lock(slice),
        };
        self.past().steps().iter().map(step).collect()
    }

    /// One map, key or lock over the same steps.
    pub fn subject_steps(&self, subject: &Subject) -> Vec<SubjectStep> {
        let mut teller =
            Teller { naming: Naming::of_keys(self.definitions()), texts: HashMap::new() };
        self.past().steps().iter().map(|slice| teller.step(subject, slice)).collect()
    }

    /// Every lock's waits over the same steps, step by step.
    pub fn lock_steps(&self) -> Vec<LockStep<'_>> {
        let steps = self.past().steps().iter();
        let rows = steps.flat_map(|slice| slice.locks.iter().map(move |lock| (slice, lock)));
        rows.filter(|(_, lock)| !lock.wait.is_empty())
            .map(|(slice, lock)| LockStep {
                lock: lock_id(lock.lock),
                start_unix_ns: slice.start_unix_ns,
                duration_ns: slice.duration_ns,
                wait: &lock.wait,
            })
            .collect()
    }
}

fn top_key(naming: &Naming<'_>, slice: &Slice) -> Option<Subject> {
    let keys = slice.maps.iter().flat_map(|map| map.keys.iter().map(move |key| (map.map, key)));
    // The first of equal ones.
    let (map, key) = keys.rev_max_by_ops()?;
    Some(Subject::Key { map: map_id(map), key: naming.key_text(map, &key.key) })
}

fn top_lock(slice: &Slice) -> Option<Subject> {
    let waited = slice.locks.iter().filter(|lock| lock.wait.sum_ns() > 0);
    let most = waited.reduce(|a, b| if b.wait.sum_ns() > a.wait.sum_ns() { b } else { a })?;
    Some(Subject::Lock(lock_id(most.lock)))
}

/// The first of those with most operations.
trait MaxByOps<'a>: Iterator<Item = (MapId, &'a super::KeySlice)> + Sized {
    fn rev_max_by_ops(self) -> Option<Self::Item> {
        self.reduce(|a, b| if b.1.ops.total() > a.1.ops.total() { b } else { a })
    }
}

impl<'a, I: Iterator<Item = (MapId, &'a super::KeySlice)>> MaxByOps<'a> for I {}

/// Tells one subject's figures; a key's text is made once.
struct Teller<'a> {
    naming: Naming<'a>,
    texts: HashMap<Key, String>,
}

impl Teller<'_> {
    fn step(&mut self, subject: &Subject, slice: &Slice) -> SubjectStep {
        let mut step = SubjectStep {
            start_unix_ns: slice.start_unix_ns,
            duration_ns: slice.duration_ns,
            ..SubjectStep::default()
        };
        match subject {
            Subject::Map(id) => {
                let map = slice.maps.iter().find(|map| map_id(map.map) == *id);
                step.ops = Some(map.map_or(0, |map| map.ops.total()));
                step.len = map.and_then(|map| map.len);
                let rows = slice.tables.key_waits.iter().filter(|(key, _)| map_id(key.map) == *id);
                rows.for_each(|(_, wait)| add_waits(&mut step, wait));
            }
            Subject::Key { map, key } => self.key(&mut step, slice, map, key),
            Subject::Lock(id) => {
                let lock = slice.locks.iter().find(|lock| lock_id(lock.lock) == *id);
                if let Some(lock) = lock {
                    add_waits(&mut step, &lock.wait);
                    step.blame_ns = lock.blamed_ns;
                }
            }
        }
        step
    }

    fn key(&mut self, step: &mut SubjectStep, slice: &Slice, map: &str, key: &str) {
        let of = slice.maps.iter().find(|slice| map_id(slice.map) == map);
        step.ops = match of {
            Some(of) => self.key_ops(of, key),
            None => Some(0),
        };
        for (row, wait) in slice.tables.key_waits.iter() {
            if map_id(row.map) == map && self.text(row.map, &row.key) == key {
                add_waits(step, wait);
            }
        }
        for ((_, holder, _), blamed) in slice.tables.holders.iter() {
            if let Some(row) = self.naming.who(*holder).key
                && map_id(row.map) == map
                && self.text(row.map, &row.key) == key
            {
                step.blame_ns = step.blame_ns.saturating_add(blamed.blame.sum_ns());
            }
        }
    }

    /// Where the key is not in the table it had none, or the table had no room for it.
    fn key_ops(&mut self, map: &MapSlice, key: &str) -> Option<u64> {
        let found = map.keys.iter().find(|row| self.text(map.map, &row.key) == key);
        found.map(|row| row.ops.total()).or((map.floor == 0).then_some(0))
    }

    fn text(&mut self, map: MapId, key: &Key) -> &str {
        // Looked for by reference, since most are known.
        if !self.texts.contains_key(key) {
            self.texts.insert(key.clone(), self.naming.key_text(map, key));
        }
        &self.texts[key]
    }
}

fn add_waits(step: &mut SubjectStep, wait: &WaitHist) {
    step.waits = step.waits.saturating_add(wait.count());
    step.wait_ns = step.wait_ns.saturating_add(wait.sum_ns());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn the_steps_sum_up_to_the_summary() {
        let session = fixture::session();
        let summary = session.summary(100);
        let steps = session.steps();
        assert_eq!(steps.len(), fixture::slices().len());
        let ops: u64 = steps.iter().map(|step| step.totals.ops).sum();
        assert_eq!(ops, summary.maps.iter().map(|map| map.ops.total()).sum::<u64>());
        assert!(steps.iter().any(|step| step.top_key.is_some() && step.top_lock.is_some()));
        for map in &summary.maps {
            let over_time = session.subject_steps(&Subject::Map(map.id.clone()));
            assert_eq!(over_time.iter().filter_map(|step| step.ops).sum::<u64>(), map.ops.total());
            for key in &map.keys {
                let (map, text) = (map.id.clone(), key.key.clone());
                let over_time = session.subject_steps(&Subject::Key { map, key: text });
                let sum = |of: fn(&SubjectStep) -> u64| over_time.iter().map(of).sum::<u64>();
                assert_eq!(sum(|step| step.ops.unwrap_or(0)), key.ops.total(), "{}", key.key);
                assert_eq!(sum(|step| step.wait_ns), key.wait.map_or(0, |h| h.sum_ns));
                assert_eq!(sum(|step| step.blame_ns), key.blame.map_or(0, |h| h.sum_ns));
            }
        }
        for lock in &summary.locks {
            let over_time = session.subject_steps(&Subject::Lock(lock.id.clone()));
            assert_eq!(over_time.iter().map(|step| step.wait_ns).sum::<u64>(), lock.wait.sum_ns);
            let rows = session.lock_steps();
            let waits = rows.iter().filter(|row| row.lock == lock.id).map(|row| row.wait.count());
            assert_eq!(waits.sum::<u64>(), lock.wait.count);
        }
    }

    #[test]
    fn a_step_has_a_summary_of_its_own() {
        let session = fixture::session();
        let last = session.steps().len() - 1;
        let summary = session.step_summary(last, 100).unwrap();
        assert_eq!(summary.window, session.last_summary(100).window);
        assert_eq!(summary.locks, session.last_summary(100).locks);
        assert!(session.step_summary(last + 1, 100).is_none());
    }
}
