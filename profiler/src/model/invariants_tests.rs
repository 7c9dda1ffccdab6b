//! Arbitrary runs: watched all the time or in windows, with tables that overflow, parts that
//! are told late, and few tasks. No summary of them contradicts itself, nor does one of the
//! same slices joined or read back.

use probe_ebpf::Op;
use proptest::prelude::*;

use super::*;
use crate::decode::{BlameEvent, Mode, WaitEvent};

/// What a run does next.
#[derive(Clone, Debug)]
enum Act {
    Operation {
        map: u32,
        key: u8,
        op: usize,
        site: u64,
        count: u64,
    },
    Stack {
        map: u32,
        stack: u32,
    },
    Wait {
        lock: u32,
        stack: u32,
        ns: u64,
        ago: u64,
        parts: Vec<(u32, u64)>,
        key: Option<u8>,
    },
    /// The key and the parts of waits are told now.
    Settle,
    Window(u64),
    LockWindow(u64),
    Close,
    OpenWait {
        lock: u32,
        stack: u32,
        ns: u64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let ns = prop_oneof![1_u64..1_000, 1_000_u64..1_000_000, 1_000_000_u64..5_000_000_000];
    let parts = prop::collection::vec((0_u32..5, 1_u64..100), 0..4);
    let key = prop::option::of(0_u8..6);
    prop_oneof![
        6 => (0_u32..4, 0_u8..40, 0_usize..8, 0_u64..6, 1_u64..50).prop_map(
            |(map, key, op, site, count)| Act::Operation { map, key, op, site, count }
        ),
        1 => (0_u32..4, 0_u32..4).prop_map(|(map, stack)| Act::Stack { map, stack }),
        8 => (0_u32..4, 0_u32..5, ns.clone(), 0_u64..3_000_000_000, parts, key).prop_map(
            |(lock, stack, ns, ago, parts, key)| Act::Wait { lock, stack, ns, ago, parts, key }
        ),
        2 => Just(Act::Settle),
        3 => (1_u64..20_000_000).prop_map(Act::Window),
        3 => (1_u64..20_000_000).prop_map(Act::LockWindow),
        2 => Just(Act::Close),
        1 => (0_u32..4, 0_u32..5, ns).prop_map(
            |(lock, stack, ns)| Act::OpenWait { lock, stack, ns }
        ),
    ]
}

/// A wait, its parts by holder, and its key.
type Unsettled = (WaitEvent, Vec<(u32, u64)>, Option<u8>);

/// A run that is going on.
struct Run {
    builder: Builder,
    slices: Vec<Slice>,
    now: u64,
    /// Waits whose key and parts have yet to be told.
    unsettled: Vec<Unsettled>,
    /// Told of this interval: windows, and how much they observed, ns.
    maps: (bool, u64),
    locks: (bool, u64),
    opens: bool,
    tasks: Option<u64>,
}

const INTERVAL: u64 = 1_000_000_000;

fn mode(lock: u32, stack: u32) -> Option<Mode> {
    (lock == 1).then_some(if stack.is_multiple_of(2) { Mode::Read } else { Mode::Write })
}

impl Run {
    fn new(in_windows: (bool, bool), opens: bool, tasks: Option<u64>) -> Self {
        let limits = Limits {
            keys_per_map: 8,
            total_keys: 20,
            maps: 3,
            callers_per_map: 3,
            locks: 3,
            key_waits: 2,
            op_stacks: 2,
            key_sites: 3,
            waiters: 3,
            holders: 2,
            pairs: 3,
            past_rows: 50,
        };
        Self {
            builder: Builder::new(limits),
            slices: Vec::new(),
            now: INTERVAL,
            unsettled: Vec::new(),
            maps: (in_windows.0, 0),
            locks: (in_windows.1, 0),
            opens,
            tasks,
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Operation { map, key, op, site, count } => {
                let bytes = [key];
                let key = Op::ALL[op].is_asked_for().then_some((&bytes[..], 1));
                self.builder.operation(map, Op::ALL[op], key, None, site, count);
            }
            Act::Stack { map, stack } => self.builder.op_stack(map, Op::Lookup, stack),
            Act::Wait { lock, stack, ns, ago, parts, key } => {
                let start_ns = if self.opens { self.now.saturating_sub(ago).max(1) } else { 0 };
                let task = u64::from(stack);
                let wait = WaitEvent { lock, stack, mode: mode(lock, stack), task, start_ns, ns };
                self.builder.wait(&wait);
                self.unsettled.push((wait, parts, key));
            }
            Act::Settle => self.settle(),
            Act::Window(ns) if self.maps.0 => {
                self.maps.1 += ns;
                self.builder.window(Watched { observed_ns: ns, ..Watched::default() });
            }
            Act::LockWindow(ns) if self.locks.0 => {
                self.locks.1 += ns;
                self.builder.lock_window(Watched { observed_ns: ns, ..Watched::default() });
                self.now += ns;
                if self.opens {
                    self.builder.lock_opens(self.now);
                }
            }
            Act::Window(_) | Act::LockWindow(_) => {}
            Act::Close => self.close(),
            Act::OpenWait { .. } if self.tasks.is_some() => {}
            Act::OpenWait { lock, stack, ns } => {
                let mode = mode(lock, stack);
                let wait = WaitEvent { lock, stack, mode, task: 1, start_ns: 0, ns };
                self.builder.open_wait(&wait);
            }
        }
    }

    fn settle(&mut self) {
        for (wait, parts, key) in std::mem::take(&mut self.unsettled) {
            let WaitEvent { lock, stack, start_ns, ns, .. } = wait;
            if let Some(key) = key {
                let key = Key { bytes: [key].into(), len: 1 };
                self.builder.key_wait(lock, &MapKey { map: u32::from(lock > 1), key }, ns);
            }
            let all: u64 = parts.iter().map(|part| part.1).sum();
            for (number, (holder, part)) in parts.iter().enumerate() {
                // One for each holder, as decode tells them, and together the whole.
                if parts[..number].iter().any(|it| it.0 == *holder) {
                    continue;
                }
                let ns = u128::from(ns) * u128::from(*part) / u128::from(all);
                let holder = if *holder == 0 { NO_ACTOR } else { *holder };
                self.builder.blame(&BlameEvent {
                    lock,
                    holder,
                    holder_mode: mode(lock, holder),
                    holder_task: 5,
                    waiter: stack,
                    start_ns,
                    ns: ns as u64,
                });
            }
        }
    }

    fn close(&mut self) {
        self.now += INTERVAL;
        let observed = |(in_windows, ns): (bool, u64)| if in_windows { ns } else { INTERVAL };
        let mut slice = self.builder.close(SliceMeta {
            start_unix_ns: self.now,
            duration_ns: INTERVAL,
            observed_ns: observed(self.maps).min(INTERVAL),
            locks_observed_ns: observed(self.locks).min(INTERVAL),
            tasks: self.tasks,
            events: 10,
            ..SliceMeta::default()
        });
        (self.maps.1, self.locks.1) = (0, 0);
        for map in &mut slice.maps {
            map.len = Some(self.now % 97);
        }
        self.slices.push(slice);
    }
}

/// What names of the ids are needed: waiters and holders have stacks, some have keys.
fn names() -> Definitions {
    let key = |key: u8| MapKey { map: 0, key: Key { bytes: [key].into(), len: 1 } };
    let actor = |id: u32| Actor { stack: id % 3, key: (id > 1).then(|| key(id as u8)) };
    Definitions {
        actors: (0..5).map(|id| (id, actor(id))).collect(),
        // Two stacks read the same.
        stacks: (0..5).map(|id| (id, vec![0x1000 + u64::from(id / 2)])).collect(),
        ..Definitions::default()
    }
}

fn summary(slices: &[Slice]) -> summary::Summary {
    let mut session = Session::new(TargetInfo::default());
    session.define(names());
    for slice in slices {
        session.push(slice.clone());
    }
    session.summary(5)
}

fn run(acts: Vec<Act>, in_windows: (bool, bool), opens: bool, tasks: Option<u64>) -> Vec<Slice> {
    let mut run = Run::new(in_windows, opens, tasks);
    if opens {
        run.builder.lock_opens(run.now);
    }
    for act in acts {
        run.act(act);
    }
    run.settle();
    // What has begun in windows is told with them when the run ends.
    run.act(Act::Window(1_000_000));
    run.act(Act::LockWindow(1_000_000));
    run.close();
    run.slices
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_summary_contradicts_itself(
        acts in prop::collection::vec(act(), 0..250),
        in_windows in any::<(bool, bool)>(),
        opens in any::<bool>(),
        tasks in prop::option::of(1_u64..20),
    ) {
        // What is counted exactly comes with the truth, and no more of it than can be.
        let tasks = tasks.filter(|_| in_windows.1);
        // No window is opened without being told (run/windows.rs).
        let opens = opens || in_windows.1;
        let slices = run(acts, in_windows, opens, tasks);
        prop_assert_eq!(summary(&slices).contradictions(), Vec::<String>::new());
        let all = merged(&slices.iter().collect::<Vec<_>>(), &Limits::default());
        prop_assert_eq!(summary(&[all]).contradictions(), Vec::<String>::new());
        let bytes = postcard::to_stdvec(&slices).expect("slices can be written");
        let read: Vec<Slice> = postcard::from_bytes(&bytes).expect("and read");
        prop_assert_eq!(read, slices);
    }

    /// Of an interval that was watched in part.
    #[test]
    fn what_is_scaled_has_an_interval_or_says_that_it_rests_on_too_little(
        acts in prop::collection::vec(act(), 0..250),
        opens in any::<bool>(),
    ) {
        for slice in run(acts, (true, true), opens, None) {
            let alone = summary(&[slice]);
            for lock in &alone.locks {
                prop_assert!(lock.wait.count == 0 || lock.wait.few || lock.wait.margin > 0);
                prop_assert!(lock.wait.sum_ns == 0 || lock.wait.few || lock.wait.margin_ns > 0);
            }
            for map in alone.maps.iter().filter(|map| map.ops.total() > 0) {
                prop_assert!(map.few || map.margin > 0);
                for key in map.keys.iter().filter(|key| key.ops.total() > 0) {
                    prop_assert!(key.few || key.margin > 0);
                }
            }
        }
    }
}

/// A convoy of which one window saw the beginning: its waits stand for more than all tasks
/// can wait.
#[test]
fn no_more_tasks_wait_than_there_are_and_the_output_says_that_it_is_a_bound() {
    let mut run = Run::new((true, true), true, Some(8));
    run.builder.lock_opens(run.now);
    for task in 0..30 {
        let wait = WaitEvent {
            lock: 0,
            stack: 0,
            mode: None,
            task,
            start_ns: run.now,
            ns: 2 * INTERVAL / 3,
        };
        run.builder.wait(&wait);
        run.unsettled.push((wait, vec![(1, 1)], Some(2)));
    }
    run.act(Act::Window(1_000_000));
    run.act(Act::LockWindow(10_000_000));
    run.settle();
    run.close();
    let summary = summary(&run.slices);
    assert_eq!(summary.contradictions(), Vec::<String>::new());
    let lock = &summary.locks[0];
    assert!(lock.wait.sum_ns.abs_diff(8 * INTERVAL) < INTERVAL / 100, "{lock:?}");
    assert!(lock.estimate_ns > Some(1000 * INTERVAL) && lock.wait.few, "{lock:?}");
    assert!(lock.holders[0].margins.few && lock.waiters[0].margins.few, "{lock:?}");
}

/// A wait that began while everything was watched ends when hardly anything is, and its
/// parts are told later still: they stand for one wait.
#[test]
fn a_wait_stands_for_as_many_as_the_window_does_in_which_it_began() {
    let mut run = Run::new((false, false), true, None);
    run.builder.lock_opens(run.now);
    run.builder.lock_opens(run.now + INTERVAL);
    run.close();
    let began = run.now - INTERVAL / 2;
    run.locks.0 = true;
    let wait = WaitEvent { lock: 0, stack: 0, mode: None, task: 7, start_ns: began, ns: INTERVAL };
    run.builder.wait(&wait);
    run.unsettled.push((wait, vec![(1, 1)], None));
    run.act(Act::LockWindow(1_000_000));
    run.close();
    run.act(Act::LockWindow(1_000_000));
    run.settle();
    run.close();
    let lock = summary(&run.slices).locks.remove(0);
    assert_eq!((lock.wait.count, lock.wait.sum_ns, lock.blamed_ns), (1, INTERVAL, INTERVAL));
}
