//! How soon mapprof knows the hot keys of a busy map within its default budget: two
//! goroutines do nothing but read 10,000 keys, by Zipf's law with an exponent of 1.1.

use std::time::{Duration, Instant};

use anyhow::Result;
use mapprof_tests::summary::Summary;
use mapprof_tests::truth::Counts;
use mapprof_tests::{Mapprof, Program, programs};

use super::Args;
use super::figures::{Claim, Row, Samples};

const LOAD: [&str; 6] = ["-kind", "zipf", "-keys", "10000", "-goroutines", "2"];
/// Of the many keys, those that are looked for.
const TOP: usize = 10;
/// How long mapprof watches until it is asked for the first time, ms.
const GLANCE_MS: u64 = 500;
/// Longer than mapprof takes to begin and to end.
const EDGE: Duration = Duration::from_secs(2);

pub(super) fn measure(args: &Args) -> Result<Row> {
    let seconds = if args.quick { 2 } else { 10 };
    let mut first = Samples::new("start to a summary with the hot key first", "ms");
    let mut recall = Samples::new("of the 10 hottest keys, found", "%");
    for _ in 0..args.rounds() {
        first.push(glance()?);
        recall.push(long_look(Duration::from_secs(seconds))?);
    }
    let claims = vec![
        Claim::at_most("start to a summary with the hot key first, ms", first.median(), 1000.0),
        Claim::at_least(
            format!("found of the 10 hottest within {seconds} s, %, worst round"),
            recall.min(),
            100.0,
        ),
    ];
    Ok(Row { samples: vec![first, recall], claims })
}

/// From mapprof's start until its summary is there, ms. Not a number if the hottest key
/// is not the first in it.
fn glance() -> Result<f64> {
    let mut program = begun(Duration::from_millis(GLANCE_MS) + EDGE)?;
    let began = Instant::now();
    let summary = stat(&program, Duration::from_millis(GLANCE_MS))?;
    let took = began.elapsed();
    let hottest = hottest(&program.truth()?);
    program.finish_well()?;
    let found = shown(&summary).first() == hottest.first();
    Ok(if found { took.as_secs_f64() * 1e3 } else { f64::INFINITY })
}

/// How many of the hottest keys are the first in a summary, %.
fn long_look(duration: Duration) -> Result<f64> {
    let mut program = begun(duration + EDGE)?;
    let summary = stat(&program, duration)?;
    let hottest = hottest(&program.truth()?);
    program.finish_well()?;
    let shown = shown(&summary);
    let found = hottest.iter().filter(|key| shown.contains(key)).count();
    Ok(found as f64 / TOP as f64 * 100.0)
}

fn begun(span: Duration) -> Result<Program> {
    let span = format!("{}ms", span.as_millis());
    let program = programs::newest_go("ops")?;
    let mut held = Program::hold(&program, LOAD.into_iter().chain(["-span", &span]))?;
    held.begin()?;
    Ok(held)
}

fn stat(program: &Program, duration: Duration) -> Result<Summary> {
    let duration = format!("{}ms", duration.as_millis());
    let stat = Mapprof::new(["stat", "--max-overhead", "1%", "--format", "json", "--duration"]);
    stat.arg(duration).args(["--pid", &program.pid().to_string()]).run()?.summary()
}

/// The program's hottest keys, by its own count.
fn hottest(truth: &Counts) -> Vec<String> {
    let mut keys: Vec<_> = truth.maps.iter().flat_map(|map| &map.keys).collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.lookup));
    keys.iter().take(TOP).map(|key| key.key.clone()).collect()
}

/// The first keys of the busiest map.
fn shown(summary: &Summary) -> Vec<String> {
    let busiest = summary.maps.iter().max_by_key(|map| map.ops.lookup);
    let keys = busiest.map(|map| map.keys.as_slice()).unwrap_or_default();
    let mut keys: Vec<_> = keys.iter().collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.ops.lookup));
    keys.iter().take(TOP).map(|key| key.key.clone()).collect()
}
