//! One lock: who waited, who made them wait, and for which keys.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::naming::{Naming, UNKNOWN, Who, hex, lock_id, map_id};
use crate::decode::Mode;
use crate::model::summary::{Holder, KeyPart, Lock, Open, Pair, WaitSum, Waiter};
use crate::model::{
    ActorId, Blamed, LockId, LockSlice, MapKey, OpenSlice, Row, StackId, Tables, Waits,
    hist::WaitHist,
};

/// Keys of one stack.
const MOST_KEYS: usize = 5;
/// Pairs of one lock.
const MOST_PAIRS: usize = 64;

pub(super) fn summary(naming: &Naming<'_>, tables: &Tables, lock: &LockSlice) -> Lock {
    let id = lock.lock;
    let info = naming.lock(id);
    let pairs = Pairs::of(naming, tables, id);
    let told = |waits: &Waits| {
        let &Waits { count, wait_ns, .. } = waits;
        let margins = lock.wait.margins_of(count, wait_ns);
        (count > 0).then_some(WaitSum { count, wait_ns, margins })
    };
    Lock {
        id: lock_id(id),
        address: info.and_then(|info| info.address).map(hex),
        kind: info.map_or_else(|| UNKNOWN.to_owned(), |info| info.kind.clone()),
        label: info.and_then(|info| info.label.clone()),
        maps: pairs.maps(),
        wait: lock.wait.h(),
        estimate_ns: None,
        wait_hist: lock.wait.clone(),
        hold_hist: lock.hold.clone(),
        read: told(&lock.read),
        write: told(&lock.write),
        hold: (!lock.hold.is_empty()).then(|| lock.hold.h()),
        attributed_ns: lock.attributed_ns.min(lock.wait.sum_ns()),
        blamed_ns: lock.blamed_ns,
        waiters: waiters(naming, tables, lock, &pairs),
        holders: holders(naming, tables, lock),
        pairs: pairs.summaries(naming, &lock.wait),
        open_waits: lock.open,
        open_max_ns: lock.open_max_ns,
        open: lock.open_longest.iter().map(|open| open_wait(naming, open)).collect(),
    }
}

fn open_wait(naming: &Naming<'_>, open: &OpenSlice) -> Open {
    Open {
        stack: naming.stack_frames(open.stack),
        mode: open.mode.map(Into::into),
        goroutine: (open.task != 0).then_some(open.task),
        waited_ns: open.waited_ns,
    }
}

/// Who made whom wait at one lock; those that read the same are one.
struct Pairs<'a>(BTreeMap<(Who<'a>, Who<'a>), WaitSum>);

impl<'a> Pairs<'a> {
    fn of(naming: &Naming<'a>, tables: &Tables, lock: LockId) -> Self {
        let mut pairs: BTreeMap<_, WaitSum> = BTreeMap::new();
        let all = (lock, 0, 0)..=(lock, ActorId::MAX, ActorId::MAX);
        for ((_, holder, waiter), waits) in tables.pairs.range(all) {
            pairs.entry((naming.who(*holder), naming.who(*waiter))).or_default().add(waits);
        }
        Self(pairs)
    }

    /// Of those whose holder is known.
    fn summaries(&self, naming: &Naming<'_>, all: &WaitHist) -> Vec<Pair> {
        let known = self.0.iter().filter(|((holder, _), _)| holder.stack.is_some());
        let mut pairs: Vec<_> = known.collect();
        pairs.sort_by_key(|(_, sum)| Reverse((sum.wait_ns, sum.count)));
        pairs.truncate(MOST_PAIRS);
        let pair = |(&(holder, waiter), sum): (&(Who<'_>, Who<'_>), &WaitSum)| Pair {
            holder: naming.party(holder),
            waiter: naming.party(waiter),
            count: sum.count.min(all.count()),
            wait_ns: sum.wait_ns,
            margins: all.margins_of(sum.count, sum.wait_ns),
        };
        pairs.into_iter().map(pair).collect()
    }

    /// Keys of those who waited, by stack.
    fn keys(&self) -> BTreeMap<StackId, Keys<'a>> {
        let mut keys: BTreeMap<StackId, Keys<'a>> = BTreeMap::new();
        for ((_, waiter), sum) in &self.0 {
            if let (Some(stack), Some(key)) = (waiter.stack, waiter.key) {
                keys.entry(stack).or_default().add(key, sum.count, sum.wait_ns);
            }
        }
        keys
    }

    fn maps(&self) -> Vec<String> {
        let waiters = self.0.keys().filter_map(|(_, waiter)| waiter.key);
        let mut maps: Vec<_> = waiters.map(|key| key.map).collect();
        maps.sort_unstable();
        maps.dedup();
        maps.into_iter().map(map_id).collect()
    }
}

/// Keys and what part they have.
#[derive(Default)]
struct Keys<'a>(BTreeMap<&'a MapKey, WaitSum>);

impl<'a> Keys<'a> {
    fn add(&mut self, key: &'a MapKey, count: u64, wait_ns: u64) {
        self.0.entry(key).or_default().add(&Waits { count, wait_ns, ..Waits::default() });
    }

    /// Of a stack that has `whole_ns`: where tables overflow, rows of keys may have stayed of
    /// which those of the stack have gone.
    fn summaries(&self, naming: &Naming<'_>, whole_ns: u64) -> Vec<KeyPart> {
        let mut rest_ns = whole_ns;
        let mut keys: Vec<_> = self.0.iter().collect();
        keys.sort_by_key(|(_, sum)| Reverse((sum.wait_ns, sum.count)));
        keys.truncate(MOST_KEYS);
        let part = |(key, sum): (&&MapKey, &WaitSum)| {
            let wait_ns = sum.wait_ns.min(rest_ns);
            rest_ns -= wait_ns;
            KeyPart {
                map: map_id(key.map),
                key: naming.key_text(key.map, &key.key),
                count: sum.count,
                wait_ns,
            }
        };
        keys.into_iter().map(part).collect()
    }
}

impl WaitSum {
    fn add(&mut self, waits: &Waits) {
        self.count = self.count.saturating_add(waits.count);
        self.wait_ns = self.wait_ns.saturating_add(waits.wait_ns);
    }
}

/// Stacks that read the same are one; ties are broken by the lowest id.
fn waiters(
    naming: &Naming<'_>,
    tables: &Tables,
    lock: &LockSlice,
    pairs: &Pairs<'_>,
) -> Vec<Waiter> {
    let (id, keys) = (lock.lock, pairs.keys());
    let mut stacks: BTreeMap<(StackId, Option<Mode>), Waits> = BTreeMap::new();
    let all = (id, 0, None)..=(id, StackId::MAX, Some(Mode::Write));
    for ((_, stack, mode), waits) in tables.waiters.range(all) {
        stacks.entry((naming.stack(*stack), *mode)).or_default().add(waits);
    }
    let mut stacks: Vec<_> = stacks.into_iter().collect();
    stacks.sort_by_key(|(_, waits)| Reverse((waits.wait_ns, waits.count)));
    let waiter = |((stack, mode), waits): ((StackId, Option<Mode>), Waits)| Waiter {
        stack: naming.stack_frames(stack),
        mode: mode.map(Into::into),
        count: waits.count,
        wait_ns: waits.wait_ns,
        margins: lock.wait.margins_of(waits.count, waits.wait_ns),
        goroutines: waits.tasks.as_slice().to_vec(),
        keys: keys
            .get(&stack)
            .map(|keys| keys.summaries(naming, waits.wait_ns))
            .unwrap_or_default(),
    };
    stacks.into_iter().map(waiter).collect()
}

/// Stacks that read the same are one, whatever their keys; ties are broken by the
/// lowest id.
fn holders(naming: &Naming<'_>, tables: &Tables, lock: &LockSlice) -> Vec<Holder> {
    let id = lock.lock;
    let mut stacks: BTreeMap<(Option<StackId>, Option<Mode>), (Blamed, Keys<'_>)> = BTreeMap::new();
    let all = (id, 0, None)..=(id, ActorId::MAX, Some(Mode::Write));
    for ((_, holder, mode), blamed) in tables.holders.range(all) {
        let who = naming.who(*holder);
        let (sum, keys) = stacks.entry((who.stack, *mode)).or_default();
        sum.add(blamed);
        if let Some(key) = who.key {
            keys.add(key, blamed.blame.count(), blamed.blame.sum_ns());
        }
    }
    let order = |blame: &WaitHist| Reverse((blame.sum_ns(), blame.count()));
    let mut stacks: Vec<_> = stacks.into_iter().collect();
    stacks.sort_by_key(|(_, (sum, _))| order(&sum.blame));
    stacks
        .into_iter()
        .map(|((stack, mode), (sum, keys))| Holder {
            stack: stack.map(|stack| naming.stack_frames(stack)).unwrap_or_default(),
            mode: mode.map(Into::into),
            // A wait has one part for each of the stack's keys.
            count: sum.blame.count().min(lock.wait.count()),
            blame_ns: sum.blame.sum_ns(),
            margins: sum.blame.margins_of(sum.blame.count(), sum.blame.sum_ns()),
            goroutines: sum.tasks.as_slice().to_vec(),
            keys: keys.summaries(naming, sum.blame.sum_ns()),
        })
        .collect()
}
