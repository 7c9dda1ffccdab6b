//! How soon mapprof knows the hot keys of a busy map within its default budget: two
//! goroutines do nothing but read 10,000 keys, by Zipf's law with an exponent of 1.1.

use std::time::{Duration, Instant};

use anyhow::Result;
use mapprof_tests::mapprof::binary;
use mapprof_tests::summary::Summary;
use mapprof_tests::terminal::{Terminal, quoted};
use mapprof_tests::truth::Counts;
use mapprof_tests::{Mapprof, Program, programs};

use super::Args;
use super::figures::{Claim, Row, Samples};

const LOAD: [&str; 6] = ["-kind", "zipf", "-keys", "10000", "-goroutines", "2"];
/// Of the many keys, those that are looked for.
const TOP: usize = 10;
/// How long somebody looks at the display.
const GLANCE: Duration = Duration::from_secs(3);
/// How often the screen is read.
const BLINK: Duration = Duration::from_millis(20);
/// Longer than mapprof takes to begin and to end.
const EDGE: Duration = Duration::from_secs(2);

pub(super) fn measure(args: &Args) -> Result<Row> {
    let seconds = if args.quick { 2 } else { 10 };
    let mut first =
        Samples::new("start of the display to the hot key on its first row of keys", "ms");
    let mut recall = Samples::new("of the 10 hottest keys, found", "%");
    for _ in 0..args.rounds() {
        first.push(glance()?);
        recall.push(long_look(Duration::from_secs(seconds))?);
    }
    let claims = vec![
        Claim::at_most("start of the display to the hot key on it, ms", first.median(), 1000.0),
        Claim::at_least(
            format!("found of the 10 hottest within {seconds} s, %, worst round"),
            recall.min(),
            100.0,
        ),
    ];
    Ok(Row { samples: vec![first, recall], claims })
}

/// From the return key after `mapprof --pid PID` until the hottest key is the first of those
/// used most on the screen, ms. Not a number if it never is.
fn glance() -> Result<f64> {
    let mut program = begun(GLANCE + EDGE)?;
    let terminal = Terminal::open()?;
    terminal.types(&format!("clear; {} --pid {}", quoted(&binary()), program.pid()))?;
    let began = Instant::now();
    terminal.press("Enter")?;
    let mut seen = Vec::new();
    while began.elapsed() < GLANCE {
        let screen = terminal.screen()?;
        seen.extend(first_key(&screen).map(|key| (began.elapsed(), key)));
        std::thread::sleep(BLINK);
    }
    terminal.press("q")?;
    let hottest = hottest(&program.truth()?);
    program.finish_well()?;
    let found = seen.iter().find(|(_, key)| Some(key) == hottest.first());
    Ok(found.map_or(f64::INFINITY, |(after, _)| after.as_secs_f64() * 1e3))
}

/// The first key below the heading of those used most: what stands before its map.
fn first_key(screen: &str) -> Option<String> {
    let mut lines = screen.lines().skip_while(|line| !line.contains("Keys used most"));
    let (before, _) = lines.nth(1)?.split_once(" m1 map[")?;
    before.split_whitespace().last().map(str::to_owned)
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

#[cfg(test)]
mod tests {
    use super::first_key;

    #[test]
    fn the_first_key_stands_before_its_map() {
        let screen = " ops/s  share   Keys used most\n 118k  15.2% █▌    0  m1 map[int]int in f\n";
        assert_eq!(first_key(screen).as_deref(), Some("0"));
        assert_eq!(first_key("Keys used most\n\n"), None);
        assert_eq!(first_key(""), None);
    }
}
