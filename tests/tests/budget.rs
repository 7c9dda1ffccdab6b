//! What a target may be charged: budgets that make no sense, targets that hardly run, that
//! run at full speed, stand still and copy themselves, and what the figures then say.
//!
//! How much is observed at what cost is a matter of the machine, and measured by `cargo
//! xtask bench`; here is what must hold on any.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use mapprof_tests::emergency::{STOP, Stop};
use mapprof_tests::mapprof::Outcome;
use mapprof_tests::memory::{UNCHANGED, changed_code};
use mapprof_tests::process::eventually;
use mapprof_tests::truth::Counts;
use mapprof_tests::{Mapprof, Program, can_profile, observe, programs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How long it takes to learn that a target hardly runs: windows of some milliseconds, until
/// enough of the time was seen.
const LEARNT: Duration = Duration::from_secs(4);

/// What people get without a word.
const ONE_PERCENT: [&str; 2] = ["--max-overhead", "1%"];

#[test]
fn budgets_that_make_no_sense_are_refused() -> Result<()> {
    for (budget, reasons) in [
        ("0", &["nothing", "1%"][..]),
        ("0%", &["nothing"]),
        ("-1%", &["nothing"]),
        ("101%", &["101%", "at most 100%"]),
        ("2", &["200%", "at most 100%"]),
        ("0.005%", &["window", "at least"]),
        ("1e-300", &["window", "at least"]),
        ("much", &["share", "none"]),
        ("", &["share"]),
        ("1%%", &["share"]),
        ("nan", &["1%"]),
        ("inf", &["1%"]),
        ("None", &["'none'"]),
    ] {
        for command in ["top", "stat", "record"] {
            let option = format!("--max-overhead={budget}");
            Mapprof::new([command, "--pid", "1", &option])
                .run()?
                .expect_code(2)?
                .expect_message(reasons)
                .with_context(|| format!("{command} {option}"))?;
        }
    }
    Ok(())
}

/// What `paced` says of an interval.
#[derive(Deserialize)]
struct Paced {
    address: String,
    lookup: u64,
    keys: Vec<PacedKey>,
}

#[derive(Deserialize)]
struct PacedKey {
    key: String,
    lookup: u64,
}

fn unix_ns() -> Result<u128> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos())
}

/// A program that does so many operations, with sleep in between.
struct Idle {
    program: Program,
    ops: u64,
}

impl Idle {
    fn hold(ops: u64, rate: u64) -> Result<Self> {
        let (most, rate) = (ops.to_string(), rate.to_string());
        let args = ["-busy=false", "-rate", &rate, "-ops", &most];
        Ok(Self { program: Program::hold(&programs::newest_go("paced")?, args)?, ops })
    }

    /// What it did since `from`, once it has done all.
    fn truth(&mut self, from: u128) -> Result<Paced> {
        let mut truth = None;
        eventually("the program has done everything", Duration::from_secs(60), || {
            let told: Paced = self.program.ask(&format!("{from} {}", unix_ns()?))?;
            let all = told.lookup == self.ops;
            truth = Some(told);
            Ok(all)
        })?;
        truth.context("it said nothing")
    }
}

impl Paced {
    /// An error unless the summary has these counts and calls them exact.
    fn is_exactly(&self, summary: &Value) -> Result<()> {
        let maps = summary["maps"].as_array().context("no maps")?;
        let map = maps
            .iter()
            .find(|map| map["address"] == *self.address)
            .with_context(|| format!("no map at {} in {summary}", self.address))?;
        exactly(map, self.lookup).context("the map")?;
        for key in self.keys.iter().filter(|key| key.lookup > 0) {
            let shown = format!("{:?}", key.key);
            let mut keys = map["keys"].as_array().context("no keys")?.iter();
            let found = keys.find(|it| it["key"] == *shown).with_context(|| shown.clone())?;
            exactly(found, key.lookup).context(shown)?;
        }
        Ok(())
    }
}

fn exactly(figure: &Value, lookups: u64) -> Result<()> {
    let (ops, margin) = (&figure["ops"]["lookup"], margin(figure));
    ensure!(*ops == lookups && margin == 0, "{ops} ± {margin} instead of {lookups}");
    Ok(())
}

/// Half the width of a figure's interval; what is exact may say nothing.
fn margin(figure: &Value) -> u64 {
    figure["margin"].as_u64().unwrap_or(0)
}

/// Watches a program from its beginning until it has done everything: its truth, and what
/// mapprof left.
fn watched<T: DeserializeOwned>(program: &mut Program, options: &[&str]) -> Result<(T, Outcome)> {
    let running = Mapprof::stat(program.pid()).args(options).attach()?;
    program.begin()?;
    let truth = program.truth()?;
    Ok((truth, running.interrupt()?))
}

/// An error unless the program's code is as in its file, and it ends well.
fn is_left_alone(program: Program) -> Result<()> {
    assert_eq!(changed_code(program.pid())?, UNCHANGED, "probes were left");
    program.finish_well()
}

fn json(outcome: Outcome) -> Result<Value> {
    Ok(serde_json::from_str(&outcome.expect_code(0)?.stdout)?)
}

#[test]
fn a_target_that_hardly_runs_is_watched_all_the_time() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let mut idle = Idle::hold(400, 200)?;
    let running = Mapprof::stat(idle.program.pid()).args(ONE_PERCENT).attach()?;
    sleep(LEARNT);
    let from = unix_ns()?;
    idle.program.begin()?;
    let truth = idle.truth(from)?;
    truth.is_exactly(&json(running.interrupt()?)?)?;
    idle.program.finish_well()
}

/// Stopped in the middle: nothing happens meanwhile, and afterwards all is counted.
#[test]
fn a_suspended_target_is_waited_for() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let mut idle = Idle::hold(200, 50)?;
    let pid = Pid::from_raw(idle.program.pid().cast_signed());
    let running = Mapprof::stat(idle.program.pid()).args(ONE_PERCENT).attach()?;
    sleep(LEARNT);
    let from = unix_ns()?;
    idle.program.begin()?;
    sleep(Duration::from_secs(1));
    kill(pid, Signal::SIGSTOP)?;
    sleep(Duration::from_secs(2));
    kill(pid, Signal::SIGCONT)?;
    let truth = idle.truth(from)?;
    truth.is_exactly(&json(running.interrupt()?)?)?;
    idle.program.finish_well()
}

/// Watched all the time for as long as it does nothing; then it does nothing but read maps.
/// How long the stop takes is the bench's to measure (`cargo xtask bench emergency`).
#[test]
fn a_sudden_load_is_an_emergency() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let mut program = hot("5s")?;
    let mut running = Mapprof::stat(program.pid()).args(ONE_PERCENT).arg("-v").attach()?;
    sleep(LEARNT);
    program.begin()?;
    let line = running.wait_for(|line| line.contains(STOP))?;
    let stop = Stop::of(&line).with_context(|| format!("no times in {line:?}"))?;
    ensure!(stop.shut_ms <= stop.last_hit_ms && stop.last_hit_ms <= stop.out_ms, "{stop:?}");
    let truth: Counts = program.truth()?;
    let summary = json(running.interrupt()?)?;
    assert_eq!(truth.mismatches, 0, "the program read something wrong");
    let window = &summary["window"];
    ensure!(window["windows"].as_u64() >= Some(1), "no windows: {window}");
    let observed_ns = window["observed_ns"].as_u64().context("nothing observed")?;
    let rest_ns = window["duration_ns"].as_u64().unwrap_or(0).saturating_sub(observed_ns);
    // Most of the time in which it was hot.
    ensure!(Duration::from_nanos(rest_ns) > Duration::from_secs(2), "watched on: {window}");
    is_left_alone(program)
}

/// What a summary must say that was made in windows.
fn is_windowed(summary: &Value) -> Result<()> {
    let window = &summary["window"];
    let cost = &window["cost"];
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    ensure!(number(&window["windows"]) >= 1.0, "no windows: {window}");
    ensure!(number(&cost["probe_ns"]) > 0.0, "no cost: {window}");
    ensure!(number(&cost["target_cpu_share"]) > 0.0, "no share of the CPU time: {window}");
    ensure!(number(&cost["hit_ns"]) > 0.0, "no cost of a hit: {window}");
    ensure!((number(&cost["max_share"]) - 0.01).abs() < 1e-9, "another budget: {window}");
    let observed = number(&window["observed_ns"]) / number(&window["duration_ns"]);
    ensure!(observed > 0.0 && observed < 0.2, "observed {observed}: {window}");
    Ok(())
}

fn hot(span: &str) -> Result<Program> {
    Program::hold(&programs::newest_go("reads")?, ["-goroutines", "2", "-span", span])
}

#[test]
fn a_hot_target_is_watched_in_windows() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let mut program = hot("8s")?;
    let (truth, outcome) = watched::<Counts>(&mut program, &ONE_PERCENT)?;
    let summary = json(outcome)?;
    assert_eq!(truth.mismatches, 0, "the program read something wrong");
    is_windowed(&summary)?;
    for map in &truth.maps {
        let maps = summary["maps"].as_array().context("no maps")?;
        let found = maps.iter().find(|it| it["address"] == *map.address).context("no such map")?;
        ensure!(margin(found) > 0 || found["few"] == true, "a sample without margin: {found}");
        let keys = found["keys"].as_array().context("no keys")?;
        for key in keys.iter().take(10) {
            ensure!(margin(key) > 0 || key["few"] == true, "a sample without margin: {key}");
        }
    }
    is_left_alone(program)
}

/// The figures' frame, for people.
#[test]
fn the_text_tells_share_and_cost() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let mut program = hot("20s")?;
    program.begin()?;
    let text = Mapprof::new(["stat", "--duration", "4s", "--pid", &program.pid().to_string()])
        .args(ONE_PERCENT)
        .run()?
        .expect_code(0)?
        .stdout;
    let head: Vec<_> = text.lines().take_while(|line| !line.is_empty()).collect();
    let line = |word: &str| {
        let found = head.iter().find(|line| line.starts_with(word));
        found.copied().with_context(|| format!("no {word} in {head:#?}"))
    };
    let (window, cost) = (line("window")?, line("cost")?);
    ensure!(window.contains("observed") && !window.contains("observed 100%"), "{window}");
    ensure!(cost.contains('%') && cost.contains("probes"), "{cost}");
    ensure!(text.contains('±'), "no margins:\n{text}");
    Ok(())
}

#[test]
fn a_hot_target_may_be_suspended() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let mut program = hot("8s")?;
    let pid = program.pid();
    let running = Mapprof::stat(pid).args(ONE_PERCENT).attach()?;
    program.begin()?;
    for _ in 0..3 {
        sleep(Duration::from_millis(700));
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGSTOP)?;
        sleep(Duration::from_millis(700));
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGCONT)?;
    }
    let truth: Counts = program.truth()?;
    is_windowed(&json(running.interrupt()?)?)?;
    assert_eq!(truth.mismatches, 0, "the program read something wrong");
    is_left_alone(program)
}

#[test]
fn without_a_budget_a_recording_is_exact() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("run.mprof");
    let program = Program::hold(&programs::newest_go("counts")?, ["-rounds", "1000"])?;
    let mapprof = Mapprof::new(["record", "--keys", "1000000", "--max-overhead", "none"])
        .args(["--duration", "170s", "--ring-mib", "64"])
        .args(["--pid", &program.pid().to_string(), "-o"])
        .arg(&file);
    let (truth, outcome) = observe::<Counts>(program, mapprof)?;
    outcome.expect_code(0)?;
    let report = Mapprof::new(["report", "--format", "json", "--keys", "1000000"]).arg(&file);
    let summary = report.run()?.summary()?;
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    let differences = truth.differences(&summary).into_iter();
    let differences: Vec<_> =
        differences.filter(|it| !it.starts_with("lost: key_sites_beyond_limit")).collect();
    assert_eq!(differences, Vec::<String>::new());
    assert_eq!(summary.window.observed_ns, summary.window.duration_ns);
    Ok(())
}

#[test]
fn a_recording_is_bounded_by_default() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("run.mprof");
    let mut program = hot("6s")?;
    let running = Mapprof::new(["record", "--duration", "170s", "-o"])
        .arg(&file)
        .args(["--pid", &program.pid().to_string()])
        .attach()?;
    program.begin()?;
    let truth: Counts = program.truth()?;
    running.interrupt()?.expect_code(0)?;
    assert_eq!(truth.mismatches, 0, "the program read something wrong");
    is_windowed(&json(Mapprof::new(["report", "--format", "json"]).arg(&file).run()?)?)?;
    program.finish_well()
}

/// Where taking probes out takes a second, windows are longer and rarer, and that is said.
#[test]
fn one_by_one_windows_are_longer_and_rarer() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let mut program = hot("15s")?;
    let pid = program.pid();
    let options = [&ONE_PERCENT[..], &["--attach", "perf"]].concat();
    let (truth, outcome) = watched::<Counts>(&mut program, &options)?;
    let summary = json(outcome.expect_message(&["longer", "rarer"])?)?;
    let window = &summary["window"];
    ensure!(window["windows"].as_u64() >= Some(1), "no windows: {window}");
    ensure!(window["observed_ns"].as_u64() < window["duration_ns"].as_u64(), "{window}");
    assert_eq!(truth.mismatches, 0, "the program read something wrong");
    eventually("all probes are gone", Duration::from_secs(20), || {
        Ok(changed_code(pid)?.is_empty())
    })?;
    program.finish_well()
}

/// How much of the time waits were watched, ns: where nothing is said, as much as maps.
fn locks_observed(window: &Value) -> Option<u64> {
    window["locks_observed_ns"].as_u64().or_else(|| window["observed_ns"].as_u64())
}

/// Some fifty waits a second cost next to nothing.
#[test]
fn locks_are_watched_all_the_time_where_that_fits() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let args = ["-goroutines", "2", "-locks", "100", "-section", "20ms"];
    let mut program = Program::hold(&programs::newest_go("mutex")?, args)?;
    let (truth, outcome) = watched::<Value>(&mut program, &ONE_PERCENT)?;
    let summary = json(outcome)?;
    assert_eq!(truth["mismatches"], 0, "the lock did not exclude");
    let window = &summary["window"];
    assert_eq!(locks_observed(window), window["duration_ns"].as_u64(), "{window}");
    let locks = summary["locks"].as_array().context("no locks")?;
    let wait = locks.first().map(|lock| &lock["wait"]).context("nobody was seen to wait")?;
    ensure!(wait["count"].as_u64() > Some(0) && margin(wait) == 0, "{wait}");
    program.finish_well()
}

/// A lock that is fought for hundreds of thousands of times a second.
#[test]
fn locks_of_a_convoy_are_watched_in_windows() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let args = ["-goroutines", "8", "-locks", "6000000", "-section", "300ns"];
    let mut program = Program::hold(&programs::newest_go("mutex")?, args)?;
    let (_, outcome) = watched::<Value>(&mut program, &ONE_PERCENT)?;
    let summary = json(outcome)?;
    let window = &summary["window"];
    ensure!(locks_observed(window) < window["duration_ns"].as_u64(), "{window}");
    let locks = summary["locks"].as_array().context("no locks")?;
    let wait = locks.first().map(|lock| &lock["wait"]).context("nobody was seen to wait")?;
    ensure!(margin(wait) > 0 || wait["few"] == true, "a sample without margin: {wait}");
    is_left_alone(program)
}

const GET: [&str; 3] = ["--no-builtin", "--probe", "lookup:get key=arg1:str"];

#[derive(Deserialize)]
struct Forks {
    gets: u64,
    children: Vec<u32>,
}

/// Runs the program that copies itself: what it did, and the summary. No process of it has
/// a probe afterwards, and each has computed what is right.
fn forks(path: &Path, gets: u64, options: &[&str]) -> Result<(Forks, Value)> {
    let mut program = Program::hold_c(path, &[&gets.to_string()])?;
    let pid = program.pid();
    let (truth, outcome) = watched::<Forks>(&mut program, &[&GET[..], options].concat())?;
    let summary = json(outcome)?;
    for process in [pid].iter().chain(&truth.children) {
        eventually("all probes are gone", Duration::from_secs(10), || {
            Ok(changed_code(*process)?.is_empty())
        })?;
    }
    program.finish_well()?;
    Ok((truth, summary))
}

#[test]
fn what_copies_of_the_target_do_is_not_counted() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let path = programs::forks()?;
    let (truth, summary) = forks(&path, 40_000, &["--max-overhead", "none"])?;
    let maps = summary["maps"].as_array().context("no maps")?;
    let ops: u64 = maps.iter().filter_map(|map| map["ops"]["lookup"].as_u64()).sum();
    assert_eq!(ops, truth.gets);
    Ok(())
}

/// Probes go in and out while there are more and more processes of the program.
#[test]
fn a_hot_target_may_copy_itself() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let (_, summary) = forks(&programs::forks()?, 2_000_000_000, &ONE_PERCENT)?;
    is_windowed(&summary)
}
