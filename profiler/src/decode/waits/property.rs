//! Whatever goroutines do, and in whatever order CPUs tell of it: no wait is told that is
//! longer than the one it is of, and each that parked is told once.

use std::collections::{BTreeMap, HashMap, VecDeque};

use probe_ebpf::{LastPark, SAME_CALL_NS, SemaEntry, WRITER_SEMA};
use proptest::prelude::*;

use super::*;

/// An entry to the semaphore: how long it parks, where it does, and the way to the next one.
#[derive(Clone, Debug)]
struct Step {
    park_ns: Option<u64>,
    gap_ns: u64,
}

/// A call that takes a lock, and how long it is held.
#[derive(Clone, Debug)]
struct Call {
    lock: u64,
    steps: Vec<Step>,
    /// A writer of an RWMutex waits for readers behind it.
    readers: Option<Step>,
    hold_ns: u64,
    /// Somebody waits when it is released.
    is_release_seen: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let park = prop_oneof![1 => Just(None), 3 => (1_u64..30_000_000).prop_map(Some)];
    (park, 200_u64..60_000).prop_map(|(park_ns, gap_ns)| Step { park_ns, gap_ns })
}

fn call() -> impl Strategy<Value = Call> {
    let readers = prop::option::of(step());
    let steps = prop::collection::vec(step(), 0..4);
    (0_u64..3, steps, readers, 0_u64..200_000, any::<bool>()).prop_map(
        |(lock, steps, readers, hold_ns, is_release_seen)| Call {
            lock,
            steps,
            readers,
            hold_ns,
            is_release_seen,
        },
    )
}

/// What a goroutine does, one moment after the other.
#[derive(Clone, Copy, Debug)]
enum Act {
    Enter { object: u64, lifo: bool },
    Park,
    End,
    Release,
}

/// One true wait, by the program's own clock.
#[derive(Clone, Copy, Debug)]
struct Truth {
    task: u64,
    start_ns: u64,
    end_ns: u64,
    has_parked: bool,
}

/// The moments of a goroutine's calls, and the true waits.
fn live(task: u64, begin_ns: u64, calls: &[Call]) -> (Vec<(u64, Act)>, Vec<Truth>) {
    let (mut acts, mut truths, mut now_ns) = (Vec::new(), Vec::new(), begin_ns);
    for call in calls {
        let (start_ns, sema) = (now_ns, 0xc004 + 0x100 * call.lock);
        let mut has_parked = false;
        let mut enter = |now_ns: &mut u64, object, lifo, step: &Step, gap_ns| {
            acts.push((*now_ns, Act::Enter { object, lifo }));
            if let Some(park_ns) = step.park_ns {
                has_parked = true;
                acts.push((*now_ns + 50, Act::Park));
                *now_ns += 50 + park_ns;
                acts.push((*now_ns, Act::End));
            }
            *now_ns += gap_ns;
        };
        for (index, step) in call.steps.iter().enumerate() {
            let is_last = index + 1 == call.steps.len();
            // It has the writers' mutex: a few instructions to the readers.
            let gap_ns = if is_last { step.gap_ns % SAME_CALL_NS } else { step.gap_ns };
            enter(&mut now_ns, sema, index > 0, step, gap_ns);
        }
        if let Some(readers) = &call.readers {
            enter(&mut now_ns, sema + WRITER_SEMA, false, readers, 100);
        }
        truths.push(Truth { task, start_ns, end_ns: now_ns, has_parked });
        now_ns += call.hold_ns;
        // Two calls so close are told apart by nothing but the release.
        if call.is_release_seen || call.hold_ns <= SAME_CALL_NS {
            acts.push((now_ns, Act::Release));
        }
        now_ns += 100;
    }
    (acts, truths)
}

/// What the kernel side does with these moments, see probe-ebpf/src/locks.rs.
#[derive(Default)]
struct Kernel {
    waits: HashMap<u64, (LastPark, u64, bool)>,
    parks: HashMap<u64, LastPark>,
    window: u64,
}

impl Kernel {
    /// Windows as run/windows.rs opens and shuts them.
    fn see(&mut self, window: u64) {
        if std::mem::replace(&mut self.window, window) != window {
            self.waits.retain(|_, (_, _, has_parked)| window == 0 && *has_parked);
        }
    }

    fn act(&mut self, task: u64, now_ns: u64, act: Act, window: u64) -> Option<Segment> {
        match act {
            Act::Enter { .. } if window == 0 => {}
            Act::Enter { object, lifo } => {
                let entry = SemaEntry { object, lifo, window, now_ns };
                let open = self.waits.get(&task).map(|it| it.0);
                let open = open.filter(|it| lifo && entry.goes_on(it));
                let mut found = open.map(|open| (open.wait_ns, open.part));
                if let Some(last) = self.parks.get_mut(&task) {
                    if found.is_none() && entry.goes_on(last) {
                        found = Some((last.wait_ns, last.part + 1));
                    }
                    match found {
                        Some((wait_ns, _)) if wait_ns == last.wait_ns => last.seen_ns = now_ns,
                        _ => last.object = 0,
                    }
                }
                let (wait_ns, part) = found.unwrap_or((now_ns, 0));
                let open = LastPark { object, wait_ns, seen_ns: now_ns, window, part };
                self.waits.insert(task, (open, now_ns, false));
            }
            Act::Park => {
                self.waits.entry(task).and_modify(|(_, _, has_parked)| *has_parked = true);
            }
            Act::End => {
                let (open, start_ns, _) = self.waits.remove(&task)?;
                self.parks.insert(task, LastPark { seen_ns: now_ns, ..open });
                return Some(Segment {
                    lock: (open.object >> 8) as LockId,
                    address: open.object & !0xff,
                    mode: None,
                    place: Arc::default(),
                    goid: task,
                    start_ns,
                    end_ns: now_ns,
                    wait_ns: open.wait_ns,
                    part: open.part as u8,
                });
            }
            Act::Release => {
                if let Some(last) = self.parks.get_mut(&task) {
                    last.object = 0;
                }
            }
        }
        None
    }
}

/// The records of all goroutines on so many rings, in the order of time on each.
fn tell(
    lives: &[Vec<(u64, Act)>],
    rings: usize,
    cpu: &[usize],
    window_at: impl Fn(u64) -> u64,
) -> Vec<VecDeque<(u64, Segment)>> {
    let mut acts: Vec<_> = lives
        .iter()
        .enumerate()
        .flat_map(|(task, acts)| acts.iter().map(move |&(ns, act)| (ns, task as u64, act)))
        .collect();
    acts.sort_by_key(|it| it.0);
    let (mut kernel, mut told) = (Kernel::default(), vec![VecDeque::new(); rings]);
    for (index, (now_ns, task, act)) in acts.into_iter().enumerate() {
        kernel.see(window_at(now_ns));
        if let Some(segment) = kernel.act(task, now_ns, act, window_at(now_ns)) {
            told[cpu[index % cpu.len()] % rings].push_back((task, segment));
        }
    }
    told
}

/// Reads the rings in this order, and settles with all that has surely come.
fn read(mut rings: Vec<VecDeque<(u64, Segment)>>, order: &[usize]) -> Vec<Settled> {
    let (mut settler, mut waits) = (Settler::default(), Vec::new());
    let blame = Blame::default();
    let mut turn = order.iter().cycle();
    while rings.iter().any(|ring| !ring.is_empty()) {
        let at = turn.next().map_or(0, |at| at % rings.len());
        let at = if rings[at].is_empty() {
            rings.iter().position(|ring| !ring.is_empty()).unwrap_or(0)
        } else {
            at
        };
        if let Some((task, segment)) = rings[at].pop_front() {
            settler.segment(task, segment);
        }
        let next = rings.iter().filter_map(|ring| ring.front()).map(|(_, it)| it.end_ns).min();
        settler.settle(next.unwrap_or(u64::MAX), &blame, |settled| waits.push(settled));
    }
    settler.finish(&GoOn::new(), &blame, |settled| waits.push(settled));
    waits
}

/// Each wait is of one true wait, and those of a goroutine do not overlap.
fn check(waits: &[Settled], truths: &[Truth]) -> Result<(), TestCaseError> {
    let mut by_task: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    for wait in waits {
        let (start_ns, end_ns) = (wait.whole.start_ns, wait.whole.end_ns);
        let is_part = |truth: &&Truth| {
            truth.task == wait.task && truth.start_ns <= start_ns && end_ns <= truth.end_ns
        };
        prop_assert!(truths.iter().any(|it| is_part(&it)), "{wait:?} of {truths:?}");
        by_task.entry(wait.task).or_default().push((start_ns, end_ns));
    }
    for spans in by_task.values_mut() {
        spans.sort_unstable();
        prop_assert!(spans.windows(2).all(|it| it[0].1 <= it[1].0), "{spans:?}");
    }
    let sum: u64 = waits.iter().map(Settled::ns).sum();
    prop_assert!(sum <= truths.iter().map(|it| it.end_ns - it.start_ns).sum());
    Ok(())
}

type Lives = (Vec<Vec<(u64, Act)>>, Vec<Truth>);

fn lives() -> impl Strategy<Value = Lives> {
    let calls = (0_u64..1_000_000, prop::collection::vec(call(), 1..12));
    prop::collection::vec(calls, 1..5).prop_map(|all| {
        let lives = all.iter().enumerate();
        let lives =
            lives.map(|(task, (begin_ns, calls))| live(task as u64, 1000 + begin_ns, calls));
        let (acts, truths): (Vec<_>, Vec<_>) = lives.unzip();
        (acts, truths.concat())
    })
}

proptest! {
    #[test]
    fn every_wait_is_told_once_and_as_long_as_it_was(
        (lives, truths) in lives(),
        rings in 1_usize..5,
        cpu in prop::collection::vec(0_usize..8, 1..40),
        order in prop::collection::vec(0_usize..8, 1..40),
    ) {
        let waits = read(tell(&lives, rings, &cpu, |_| 1), &order);
        check(&waits, &truths)?;
        let parked: Vec<_> = truths.iter().filter(|it| it.has_parked).collect();
        prop_assert_eq!(waits.len(), parked.len());
    }

    /// Nothing is known of what happened between windows.
    #[test]
    fn in_windows_no_wait_is_longer_than_it_was(
        (lives, truths) in lives(),
        rings in 1_usize..5,
        cpu in prop::collection::vec(0_usize..8, 1..40),
        order in prop::collection::vec(0_usize..8, 1..40),
        (open_ns, shut_ns) in (1_u64..20_000_000, 1_u64..20_000_000),
    ) {
        let window_at = |ns| {
            let (window, at) = (ns / (open_ns + shut_ns), ns % (open_ns + shut_ns));
            if at < open_ns { 1 + window } else { 0 }
        };
        check(&read(tell(&lives, rings, &cpu, window_at), &order), &truths)?;
    }
}
