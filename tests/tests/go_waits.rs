//! Waits against the clock of the goroutine that waits: never longer than the call that they
//! are in, whole where one call waits twice, and not forgotten where they have no end.

use anyhow::{Context, Result};
use mapprof_tests::programs::{self, Link};
use mapprof_tests::summary::{Lock, Summary};
use mapprof_tests::{Mapprof, Program, can_profile, observe};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Convoys {
    locks: Vec<Convoy>,
    violations: u64,
}

#[derive(Debug, Deserialize)]
struct Convoy {
    address: String,
    kind: String,
    hold_ns: u64,
    calls: u64,
    sum_ns: u64,
    longest_ns: u64,
}

fn lock_at<'a>(summary: &'a Summary, address: &str) -> Option<&'a Lock> {
    summary.locks.iter().find(|lock| lock.address.as_deref() == Some(address))
}

fn convoys(more: &[&str]) -> Result<(Convoys, Summary)> {
    let program = Program::hold(&programs::newest_go("convoy")?, ["-span", "700ms"])?;
    let mapprof = Mapprof::stat(program.pid()).args(["--only", "locks"]).args(more);
    let (truth, outcome) = observe::<Convoys>(program, mapprof)?;
    assert_eq!(truth.violations, 0, "a lock did not exclude");
    Ok((truth, outcome.summary()?))
}

/// Goroutines that lose the race for a lock park again, and some enter the runtime without
/// parking: what is made of their parks is never more than the calls took that they are in.
#[test]
fn a_convoys_waits_are_no_longer_than_its_calls() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let (truth, summary) = convoys(&[])?;
    for truth in &truth.locks {
        let lock = lock_at(&summary, &truth.address).with_context(|| format!("{truth:?}"))?;
        let wait = &lock.wait;
        assert_eq!(lock.kind, truth.kind);
        assert!(wait.count > 0 && wait.count <= truth.calls, "{wait:?} of {truth:?}");
        assert!(wait.sum_ns <= truth.sum_ns, "{wait:?} of {truth:?}");
        assert!(wait.max_ns <= truth.longest_ns, "{wait:?} of {truth:?}");
        // Little is spent otherwise where locks are held for long.
        if truth.hold_ns >= 200_000 {
            assert!(wait.sum_ns >= truth.sum_ns / 2, "{wait:?} of {truth:?}");
        }
    }
    Ok(())
}

#[test]
fn in_windows_no_wait_is_longer_than_the_longest_call() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let (truth, summary) = convoys(&["--max-overhead", "2%"])?;
    for truth in &truth.locks {
        // A window may miss a lock.
        let Some(lock) = lock_at(&summary, &truth.address) else { continue };
        assert!(lock.wait.max_ns <= truth.longest_ns, "{:?} of {truth:?}", lock.wait);
    }
    Ok(())
}

#[derive(Debug, Deserialize)]
struct RwKeys {
    address: String,
    keys: Vec<KeyTruth>,
}

#[derive(Debug, Deserialize)]
struct KeyTruth {
    key: String,
    calls: u64,
    waits: u64,
    sum_ns: u64,
    longest_ns: u64,
}

/// A writer waits for other writers and then for readers: one wait, that belongs to the key
/// behind it as a whole.
fn a_writers_wait_is_one(version: &str, link: Link) -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(&programs::go(version, link, "rwkeys")?, [] as [&str; 0])?;
    let mapprof = Mapprof::stat(program.pid());
    let (truth, outcome) = observe::<RwKeys>(program, mapprof)?;
    let summary = outcome.summary()?;
    let lock = lock_at(&summary, &truth.address).context("the lock is not there")?;
    let writers: Vec<_> = truth.keys.iter().filter(|key| key.key.starts_with('w')).collect();
    let (least, most) =
        writers.iter().fold((0, 0), |(least, most), key| (least + key.waits, most + key.calls));
    let write = lock.write.context("no writers")?;
    // Whose thread lost its CPU in between has waited twice, as far as can be told.
    assert!(
        (least * 98 / 100..=most + most / 20).contains(&write.count),
        "{} waits of writers instead of {least} to {most}",
        write.count
    );
    let longest = truth.keys.iter().map(|key| key.longest_ns).max().unwrap_or(0);
    assert!(lock.wait.max_ns <= longest, "{} ns instead of {longest}", lock.wait.max_ns);
    let keys: Vec<_> = summary.maps.iter().flat_map(|map| &map.keys).collect();
    for key in writers {
        let name = format!("{:?}", key.key);
        let found = keys.iter().find(|it| it.key == name).with_context(|| name.clone())?;
        let wait = found.wait.with_context(|| format!("{name} never waited"))?;
        assert!(wait.sum_ns <= key.sum_ns, "{wait:?} of {key:?}");
        assert!(wait.sum_ns >= key.sum_ns * 95 / 100, "{wait:?} of {key:?}");
    }
    Ok(())
}

#[test]
fn a_writers_wait_is_one_go_1_21() -> Result<()> {
    a_writers_wait_is_one("1.21.13", Link::Stripped)
}

#[test]
fn a_writers_wait_is_one_go_1_27() -> Result<()> {
    a_writers_wait_is_one("1.27.3", Link::Normal)
}

#[derive(Debug, Deserialize)]
struct Queue {
    writes: u64,
    sum_ns: u64,
    longest_ns: u64,
    elapsed_ns: u64,
    lost: i64,
}

/// Those who write to one pipe wait for each other, and one at a time for room in it.
fn a_descriptors_queue_is_a_lock(version: &str, link: Link) -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(&programs::go(version, link, "fdqueue")?, ["-span", "1s"])?;
    let mapprof = Mapprof::stat(program.pid()).args(["--only", "locks"]);
    let (truth, outcome) = observe::<Queue>(program, mapprof)?;
    let summary = outcome.summary()?;
    assert_eq!(truth.lost, 0, "bytes got lost");
    let [lock] = &summary.locks[..] else { panic!("one lock instead of {:?}", summary.locks) };
    assert_eq!(lock.kind, "internal/poll.fdMutex");
    let wait = &lock.wait;
    assert!(
        wait.sum_ns <= truth.sum_ns && wait.max_ns <= truth.longest_ns,
        "{wait:?} of {truth:?}"
    );
    let in_queue = truth.sum_ns - truth.elapsed_ns;
    assert!(wait.sum_ns >= in_queue * 9 / 10, "{wait:?} of {truth:?}");
    assert!(wait.count > 0 && wait.count <= truth.writes, "{wait:?} of {truth:?}");
    assert_eq!(lock.write.map(|it| it.count), Some(wait.count), "all wait to write");
    assert!(lock.blamed_ns >= wait.sum_ns / 2, "{lock:?}");
    let is_named = |function: &str| function.starts_with("os.(*File).");
    assert!(lock.waiters.iter().all(|it| it.stack.iter().any(|f| is_named(&f.function))));
    assert!(lock.holders.iter().any(|it| it.mode.as_deref() == Some("write")), "{lock:?}");
    Ok(())
}

#[test]
fn a_descriptors_queue_is_a_lock_go_1_19() -> Result<()> {
    a_descriptors_queue_is_a_lock("1.19", Link::Stripped)
}

#[test]
fn a_descriptors_queue_is_a_lock_go_1_23() -> Result<()> {
    a_descriptors_queue_is_a_lock("1.23.9", Link::Normal)
}

#[test]
fn a_descriptors_queue_is_a_lock_go_1_27() -> Result<()> {
    a_descriptors_queue_is_a_lock("1.27.3", Link::StrippedPie)
}

#[derive(Deserialize)]
struct Stuck {
    address: String,
    waiters: u64,
    waited_ns: u64,
}

/// Goroutines that wait until their process is gone are told of like those that wait when
/// mapprof ends, and by name.
fn who_waits_to_the_end_is_told(is_killed: bool) -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = programs::go("1.24.11", Link::Stripped, "stuck")?;
    let mut program = Program::hold(&program, ["-waiters", "5", "-span", "1500ms"])?;
    let pid = program.pid();
    let running = Mapprof::stat(pid).attach()?;
    program.begin()?;
    let truth = program.truth::<Stuck>()?;
    if is_killed {
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL)?;
        program.finish()?;
    } else {
        program.finish_well()?;
    }
    let summary = running.finish()?.summary()?;
    let lock = lock_at(&summary, &truth.address).context("the lock is not there")?;
    assert_eq!((lock.kind.as_str(), lock.open_waits), ("sync.Mutex", truth.waiters));
    assert!(lock.open_max_ns >= truth.waited_ns, "{} ns", lock.open_max_ns);
    let in_main = |open: &mapprof_tests::summary::Open| {
        open.stack.iter().any(|frame| frame.function.starts_with("main.main"))
    };
    assert!(lock.open.len() == 5 && lock.open.iter().all(in_main), "{:?}", lock.open);
    let stuck = summary.findings.iter().filter(|finding| finding.rule == "stuck-waiters");
    assert_eq!(stuck.map(|it| &it.subject).collect::<Vec<_>>(), [&lock.id]);
    Ok(())
}

#[test]
fn who_waits_when_the_process_ends_is_told() -> Result<()> {
    who_waits_to_the_end_is_told(false)
}

#[test]
fn who_waits_when_the_process_is_killed_is_told() -> Result<()> {
    who_waits_to_the_end_is_told(true)
}
