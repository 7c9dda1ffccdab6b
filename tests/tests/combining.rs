//! Operations that are counted in the kernel are counted exactly, whoever interrupts whom,
//! and few records tell of many.

use anyhow::{Context, Result, bail, ensure};
use mapprof_tests::summary::Summary;
use mapprof_tests::truth::Counts;
use mapprof_tests::{Mapprof, Program, can_profile, observe, programs};

/// More than the CPUs of most machines, so that probes are preempted in the middle.
const THREADS: u32 = 16;

/// What a run came to.
struct Watched {
    /// What the program did.
    truth: Counts,
    summary: Summary,
    events: u64,
    /// That told of the events.
    records: u64,
}

fn watched(name: &str, args: &[&str]) -> Result<Watched> {
    let held = Program::hold_on(THREADS, &programs::newest_go(name)?, args)?;
    // Of locks, tables of details may overflow where threads fight over them.
    let mapprof = Mapprof::stat(held.pid()).args(["--only", "maps", "-v"]);
    let (truth, outcome) = observe::<Counts>(held, mapprof)?;
    let line = outcome.stderr.lines().find(|line| line.contains(" events came in "));
    let line = line.with_context(|| format!("no such line in {}", outcome.stderr))?;
    let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [events, records] = numbers[..] else { bail!("not two numbers in {line}") };
    eprintln!("{name}: {events} events in {records} records");
    Ok(Watched { truth, summary: outcome.summary()?, events, records })
}

impl Watched {
    fn expect_exact(&self) {
        assert_eq!(self.truth.differences(&self.summary), Vec::<String>::new());
    }

    /// Whether all events were told in fewer records than one of `many` events each.
    fn expect_one_record_of(&self, many: u64) -> Result<()> {
        let Self { events, records, .. } = self;
        ensure!(records * many < *events, "{events} events in {records} records");
        Ok(())
    }
}

/// A thousand keys have a place each.
#[test]
fn many_operations_on_few_keys_are_few_records() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let run = watched("reads", &["-span", "3s"])?;
    run.expect_exact();
    // What the program prints goes through maps, too.
    assert!(run.events >= run.truth.total(), "{} events", run.events);
    run.expect_one_record_of(4)
}

/// Threads that take turns push each other's keys out.
#[test]
fn keys_that_compete_for_places_lose_nothing() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let run = watched("reads", &["-span", "3s", "-goroutines", "12"])?;
    run.expect_exact();
    run.expect_one_record_of(1)
}

/// So have two hundred that are longer than what most records have room for.
#[test]
fn long_keys_are_few_records_too() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let run = watched("ops", &["-span", "3s", "-kind", "long", "-keys", "200"])?;
    run.expect_exact();
    run.expect_one_record_of(4)
}

/// And structs whose strings lie elsewhere.
#[test]
fn keys_with_strings_inside_are_few_records_too() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let run = watched("ops", &["-span", "3s", "-kind", "composite", "-keys", "200"])?;
    run.expect_exact();
    run.expect_one_record_of(4)
}

/// Long keys for which threads compete, in their places and where records are made.
#[test]
fn long_keys_that_compete_lose_nothing() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let threads = ["-span", "3s", "-goroutines", "12"];
    for kind in ["long", "composite"] {
        let run = watched("ops", &[&["-kind", kind], &threads[..]].concat())?;
        run.expect_exact();
        run.expect_one_record_of(1)?;
    }
    Ok(())
}

/// Keys of all sorts and all operations, as fast as it goes.
#[test]
fn every_sort_of_key() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let run = watched("counts", &["-pause", "0s", "-rounds", "6000"])?;
    run.expect_exact();
    run.expect_one_record_of(2)
}
