//! Figures that must be possible whatever was measured: of a crowd that queues, and of waits
//! that are long but rare.

use anyhow::{Context, Result, ensure};
use mapprof_tests::{Mapprof, Program, can_profile, observe, programs};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Crowd {
    goroutines: u64,
    queue: String,
    swept: String,
    longest_ns: u64,
}

/// Goroutines that a Go program has for itself.
const RUNTIMES_OWN: u64 = 40;

fn crowd(options: &[&str]) -> Result<(Crowd, Value)> {
    let program = Program::hold(&programs::newest_go("queue")?, ["-tasks", "40"])?;
    let mapprof = Mapprof::stat(program.pid()).args(options);
    let (truth, outcome) = observe::<Crowd>(program, mapprof)?;
    let summary = serde_json::from_str(&outcome.expect_code(0)?.stdout)?;
    Ok((truth, summary))
}

fn lock<'a>(summary: &'a Value, address: &str) -> Option<&'a Value> {
    summary["locks"].as_array()?.iter().find(|lock| lock["address"] == *address)
}

/// How many goroutines there are is read from the target's memory; no more of them wait.
fn fewer_wait_than_there_are(truth: &Crowd, summary: &Value) -> Result<()> {
    let window = &summary["window"];
    let tasks = window["tasks"].as_u64().context("it is not known how many there are")?;
    let range = truth.goroutines..=truth.goroutines + RUNTIMES_OWN;
    ensure!(range.contains(&tasks), "{tasks} goroutines, {} by its own count", truth.goroutines);
    let duration = window["duration_ns"].as_u64().context("no duration")?;
    for lock in summary["locks"].as_array().context("no locks")? {
        let waited = lock["wait"]["sum_ns"].as_u64().context("no sum")?;
        // A thousandth for rounding.
        ensure!(waited <= tasks * duration / 1000 * 1001, "{waited} ns in {lock}");
    }
    Ok(())
}

#[test]
fn no_more_wait_than_there_are_and_long_waits_are_found() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let (truth, summary) = crowd(&["--max-overhead", "1%"])?;
    fewer_wait_than_there_are(&truth, &summary).context("at 1%")?;

    let (truth, summary) = crowd(&["--max-overhead", "none"])?;
    fewer_wait_than_there_are(&truth, &summary).context("everything traced")?;
    let swept = lock(&summary, &truth.swept).context("nobody waited for the janitor")?;
    let longest = swept["wait"]["max_ns"].as_u64().unwrap_or(0);
    ensure!(longest <= truth.longest_ns, "{longest} ns, {} by its own clock", truth.longest_ns);
    ensure!(lock(&summary, &truth.queue).is_some(), "nobody queued");
    let found: Vec<_> = summary["findings"]
        .as_array()
        .context("no findings")?
        .iter()
        .filter(|finding| finding["subject"] == swept["id"])
        .collect();
    let rules: Vec<_> = found.iter().map(|finding| &finding["rule"]).collect();
    ensure!(rules == ["long-waits"], "{found:?}");
    let message = found[0]["message"].as_str().unwrap_or("");
    ensure!(message.contains("main.janitor"), "{message}");
    Ok(())
}
