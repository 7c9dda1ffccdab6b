//! Waits for native locks, told from calls that found the lock free.

use anyhow::{Context, Result, ensure};
use mapprof_tests::summary::{Lock, LockFunction, Summary};
use mapprof_tests::{Mapprof, Program, can_profile, observe, programs};
use serde::Deserialize;

const PROBES: [&str; 4] = [
    "lock:pthread_mutex_lock lock=arg1",
    "lock:pthread_rwlock_rdlock lock=arg1",
    "lock:pthread_rwlock_wrlock lock=arg1",
    "lock:spin_take lock=arg1 kind=spinlock",
];

/// What a return probe and the probe before it add to one wait, ns, generously.
const PROBES_PER_WAIT_NS: u64 = 40_000;

#[derive(Deserialize)]
struct Truth {
    mutex: LockTruth,
    rwlock: LockTruth,
    spin: LockTruth,
    free: Free,
}

#[derive(Deserialize)]
struct LockTruth {
    address: String,
    waits: u64,
    wait_ns: u64,
}

/// Calls that found the lock free.
#[derive(Deserialize)]
struct Free {
    pthread_mutex_lock: u64,
    spin_take: u64,
}

fn function<'a>(summary: &'a Summary, name: &str) -> Result<&'a LockFunction> {
    let mut functions = summary.lock_functions.iter();
    functions.find(|it| it.function.starts_with(name)).with_context(|| format!("no {name}"))
}

fn lock<'a>(summary: &'a Summary, truth: &LockTruth) -> Result<&'a Lock> {
    let mut locks = summary.locks.iter();
    let found = locks.find(|lock| lock.address.as_ref() == Some(&truth.address));
    found.with_context(|| format!("no lock at {}", truth.address))
}

/// Every wait in which the program slept, and for as long.
fn check_waits(lock: &Lock, truth: &LockTruth) -> Result<()> {
    let (count, sum) = (lock.wait.count, lock.wait.sum_ns);
    ensure!(count == truth.waits, "{count} waits instead of {}", truth.waits);
    let slack = truth.wait_ns / 50 + truth.waits * PROBES_PER_WAIT_NS;
    ensure!(sum.abs_diff(truth.wait_ns) <= slack, "{sum} ns instead of {}", truth.wait_ns);
    Ok(())
}

/// Where no function has a name, its place in the file is one.
#[test]
fn a_stripped_programs_locks_are_named_by_module_and_offset() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold_c(&programs::stripped_waits()?, &[])?;
    let mapprof = Mapprof::stat(program.pid()).args(["--probe", PROBES[0]]);
    let (truth, outcome) = observe::<Truth>(program, mapprof)?;
    let summary = outcome.summary()?;
    let label = lock(&summary, &truth.mutex)?.label.clone().unwrap_or_default();
    assert!(label.starts_with("waits-stripped+0x"), "{label}");
    let missing = "otherwise than by pthread_mutex_lock";
    let not_included = summary.window.not_included;
    assert!(not_included.iter().any(|what| what.contains(missing)), "{not_included:?}");
    Ok(())
}

#[derive(Deserialize)]
struct RustTruth {
    reads: u64,
    writes: u64,
}

#[test]
fn rusts_readers_are_told_from_its_writers() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let (truth, summary) = Mapprof::new(["stat", "--format", "json", "--"])
        .arg(programs::rwlocks()?)
        .run()?
        .truth_and_summary::<RustTruth>()?;
    let lock = summary.locks.iter().find(|lock| lock.kind == "std::sync::RwLock");
    let lock = lock.context("no RwLock")?;
    assert_eq!(lock.read.map(|it| it.count), Some(truth.reads));
    assert_eq!(lock.write.map(|it| it.count), Some(truth.writes));
    let label = lock.label.as_deref().unwrap_or_default();
    assert!(label.starts_with("rwlocks::take_to_"), "{label}");
    // It also waited for a condition, which nobody sees, and that is said.
    let not_included = summary.window.not_included;
    assert!(not_included.iter().any(|what| what.contains("Condvar")), "{not_included:?}");
    Ok(())
}

#[test]
fn a_call_that_found_the_lock_free_is_no_wait() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold_c(&programs::waits()?, &[])?;
    let probes = PROBES.iter().flat_map(|probe| ["--probe", *probe]);
    let mapprof = Mapprof::stat(program.pid()).args(probes);
    let (truth, outcome) = observe::<Truth>(program, mapprof)?;
    let summary = outcome.summary()?;

    let mutex = function(&summary, "pthread_mutex_lock")?;
    assert_eq!(mutex.waits, truth.mutex.waits);
    // glibc takes one itself for the stack of each thread that the program makes
    // (allocate_stack, nptl/allocatestack.c).
    let free = truth.free.pthread_mutex_lock;
    assert!((free..=free + 4).contains(&(mutex.calls - mutex.waits)), "{mutex:?}, not {free}");
    assert_eq!((mutex.slept, mutex.lasting_ns), (mutex.waits, None));
    check_waits(lock(&summary, &truth.mutex)?, &truth.mutex)?;

    let rwlock = lock(&summary, &truth.rwlock)?;
    check_waits(rwlock, &truth.rwlock)?;
    let half = Some(truth.rwlock.waits / 2);
    assert_eq!(rwlock.read.map(|it| it.count), half);
    assert_eq!(rwlock.write.map(|it| it.count), half);

    // Who spins may lose its CPU meanwhile; then nobody knows, and that is said.
    let spin = function(&summary, "spin_take")?;
    assert_eq!(spin.calls, truth.spin.waits + truth.free.spin_take);
    assert!(spin.lasted + spin.preempted >= truth.spin.waits, "{spin:?}");
    assert!(spin.lasting_ns.is_some());

    // What is no code is no frame, and the lock is named by who takes it.
    for lock in &summary.locks {
        let label = lock.label.as_deref().unwrap_or_default();
        ensure!(["take_shared", "contend", "main"].contains(&label), "{label}");
        let frames = lock.waiters.iter().flat_map(|waiter| &waiter.stack);
        for frame in frames {
            ensure!(!frame.function.starts_with("0x"), "{}", frame.function);
        }
    }

    // No lock but those two and the one that is spun for has any: not those of one thread each.
    let kinds: Vec<_> = summary.locks.iter().map(|lock| lock.kind.as_str()).collect();
    let expected = ["pthread_mutex", "pthread_rwlock", "spinlock"];
    assert!(kinds.iter().all(|kind| expected.contains(kind)) && kinds.len() <= 3, "{kinds:?}");
    Ok(())
}
