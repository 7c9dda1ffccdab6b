//! What is looked at only when asked for (`--with`): waits for what is no lock of the
//! program's, and the spinning before a wait for one.

use std::path::Path;

use anyhow::{Context, Result};
use mapprof_tests::programs::{self, Link};
use mapprof_tests::summary::{Lock, Summary, Waiter};
use mapprof_tests::truth::{Parked, ParkedIn, Tolerance};
use mapprof_tests::{Mapprof, Program, can_profile, observe};

const VERSIONS: [&str; 2] = ["1.19", "1.27.3"];

/// Runs `parked` under mapprof with the given switches.
fn parked(program: &Path, what: &str, rounds: &str, with: &[&str]) -> Result<(Parked, Summary)> {
    let program = Program::hold(program, ["-for", what, "-rounds", rounds])?;
    let mapprof = Mapprof::stat(program.pid()).args(["--only", "locks"]).args(with);
    let (truth, outcome) = observe::<Parked>(program, mapprof)?;
    let summary = outcome.summary()?;
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    assert!(summary.window.lost.is_empty(), "lost: {:?}", summary.window.lost);
    Ok((truth, summary))
}

/// All waits in the function, with the kinds of what they are for.
fn waiters<'a>(
    summary: &'a Summary,
    function: &'a str,
) -> impl Iterator<Item = (&'a Lock, &'a Waiter)> {
    let is_in = move |waiter: &Waiter| waiter.stack.iter().any(|frame| frame.function == function);
    let of = move |lock: &'a Lock| {
        lock.waiters.iter().filter(move |waiter| is_in(waiter)).map(move |waiter| (lock, waiter))
    };
    summary.locks.iter().flat_map(of)
}

/// What the summary has otherwise than the program's clock: how many waits there were,
/// for what, and a sum that is off by more than 2% and the probes' own cost.
fn difference(truth: &ParkedIn, summary: &Summary) -> Option<String> {
    let found: Vec<_> = waiters(summary, &truth.function).collect();
    let count: u64 = found.iter().map(|(_, waiter)| waiter.count).sum();
    let sum: u64 = found.iter().map(|(_, waiter)| waiter.wait_ns).sum();
    let clock = truth.waits;
    let most = clock.waits + clock.doubtful;
    let slack = clock.wait_ns / 50 + clock.doubtful_ns + most * Tolerance::REAL.probes_per_wait_ns;
    let is_right = found.iter().all(|(lock, _)| lock.kind == truth.kind)
        && (clock.waits..=most).contains(&count)
        && sum.abs_diff(clock.wait_ns) <= slack;
    let kinds: Vec<_> = found.iter().map(|(lock, _)| &lock.kind).collect();
    (!is_right).then(|| format!("{truth:?}: {count} waits, {sum} ns, for {kinds:?}"))
}

#[test]
fn waits_for_groups_conditions_and_channels_are_as_measured() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    for version in VERSIONS {
        let program = programs::go(version, Link::Stripped, "parked")?;
        let (truth, summary) =
            parked(&program, "events", "100", &["--with", "waitgroup,cond,chan"])?;
        assert!(truth.waits.iter().all(|waits| waits.waits.waits > 50), "{truth:?}");
        let differences: Vec<_> =
            truth.waits.iter().filter_map(|truth| difference(truth, &summary)).collect();
        assert_eq!(differences, Vec::<String>::new(), "Go {version}");
        for lock in &summary.locks {
            let is_waited_for = truth.waits.iter().any(|waits| waits.kind == lock.kind);
            assert!(is_waited_for, "nobody waits for a {}", lock.kind);
        }
        let others = summary.window.not_included.join("; ");
        assert!(others.contains("(--with runtime)"), "{others}");
    }
    Ok(())
}

#[test]
fn what_is_not_asked_for_is_not_there_and_is_named() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    for version in VERSIONS {
        let program = programs::go(version, Link::Stripped, "parked")?;
        let (_, summary) = parked(&program, "events", "20", &[])?;
        let kinds: Vec<_> = summary.locks.iter().map(|lock| &lock.kind).collect();
        assert_eq!(kinds, Vec::<&String>::new(), "Go {version}");
        let others = summary.window.not_included.join("; ");
        for part in ["spinning before", "(--with waitgroup,cond,chan,runtime)"] {
            assert!(others.contains(part), "no {part:?} in {others}");
        }
    }
    Ok(())
}

/// One switch is one switch.
#[test]
fn waits_for_a_channel_alone() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = programs::newest_go("parked")?;
    let (truth, summary) = parked(&program, "events", "20", &["--with", "chan"])?;
    for truth in &truth.waits {
        let is_there = waiters(&summary, &truth.function).next().is_some();
        let is_asked_for = ["chan", "select"].contains(&truth.kind.as_str());
        assert_eq!(is_there, is_asked_for, "{}", truth.kind);
    }
    Ok(())
}

/// A probe in the runtime's own lock must do the program no harm, with many goroutines
/// at one channel on more threads than there are CPUs.
#[test]
fn the_runtimes_own_locks() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    for version in VERSIONS {
        let program = programs::go(version, Link::Normal, "parked")?;
        let placed = Mapprof::new(["probes", "--format", "json", "--with", "runtime", "--exe"])
            .arg(&program)
            .run()?
            .expect_stdout("runtime.lock2")?;
        let placed: serde_json::Value = serde_json::from_str(&placed.stdout)?;
        let sites = placed["sites"].as_array().context("no sites")?;
        let roles: Vec<_> = sites
            .iter()
            .filter(|site| site["function"] == "runtime.lock2")
            .filter_map(|site| site["role"].as_str())
            .collect();
        assert!(roles.contains(&"wait_begin") && roles.contains(&"wait_end"), "{roles:?}");

        let (_, summary) = parked(&program, "crowd", "2000", &["--with", "runtime"])?;
        let own: Vec<_> =
            summary.locks.iter().filter(|lock| lock.kind == "runtime.mutex").collect();
        assert!(!own.is_empty(), "Go {version}: nobody waited");
        for lock in own {
            let (wait, window) = (lock.wait, summary.window.duration_ns);
            assert!(wait.count > 0 && wait.max_ns <= window, "{wait:?} in {window} ns");
            // It says where in the runtime.
            let is_in_lock2 =
                |waiter: &Waiter| waiter.stack.iter().any(|it| it.function == "runtime.lock2");
            assert!(lock.waiters.iter().all(is_in_lock2), "{:?}", lock.waiters);
        }
    }
    Ok(())
}

/// The spinning is a part of the wait behind it and no wait of its own, and is no
/// longer named as missing. How much it adds is too little to be told from what a busy
/// machine does to a wait of microseconds.
#[test]
fn spinning_is_a_part_of_its_wait() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    for version in ["1.21.13", "1.27.3"] {
        let program = programs::go(version, Link::Normal, "parked")?;
        let (truth, summary) = parked(&program, "brief", "1000", &["--with", "spin"])?;
        let others = summary.window.not_included.join("; ");
        assert!(!others.contains("spinning"), "{others}");
        let [truth] = &truth.waits[..] else { panic!("one function: {truth:?}") };
        let found: Vec<_> = waiters(&summary, &truth.function).collect();
        let [(lock, waiter)] = found[..] else { panic!("one lock: {:?}", summary.locks) };
        let clock = truth.waits;
        let most = clock.waits + clock.doubtful;
        assert_eq!(lock.kind, truth.kind);
        assert!(waiter.count <= most, "{} waits of {most}", waiter.count);
        assert!(waiter.count >= clock.waits / 2, "{} waits of {most}", waiter.count);
        let all_ns = clock.wait_ns + clock.doubtful_ns;
        assert!(waiter.wait_ns <= all_ns, "{} ns of {all_ns}", waiter.wait_ns);
    }
    Ok(())
}
