//! Whether the truth lies inside the margins: programs whose map operations follow a
//! timetable, and which know how many there were in exactly the time that mapprof says it
//! looked at.
//!
//! One run after the other: where nothing is idle, mapprof's windows open when the target
//! has just been pushed from its CPU, and what is measured is the scheduler.

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::Outcome;
use mapprof_tests::{Mapprof, Program, programs};
use serde::Deserialize;
use serde_json::Value;

use super::figures::{Claim, Row, Samples};

/// What mapprof is told to keep within.
const BUDGET: &str = "1%";
/// How long one run lasts.
const DURATION: &str = "3s";
/// The most frequent keys: what people look at.
const TOP: usize = 10;
/// Of 200 runs.
const COVERED_PERCENT: (f64, f64) = (93.0, 97.0);

/// Timetables of `paced`.
const LOADS: [&str; 2] = ["steady", "bursty"];

pub(super) fn measure(rounds: u32) -> Result<Row> {
    let mut row = Row::default();
    let mut tallies = LOADS.map(Tally::new);
    for round in 0..rounds {
        for tally in &mut tallies {
            let load = tally.load;
            tally.run(round).with_context(|| format!("round {round} of the {load} load"))?;
        }
    }
    for tally in tallies {
        tally.tell(&mut row);
    }
    Ok(row)
}

/// What `paced` says of an interval.
#[derive(Deserialize)]
struct Truth {
    address: String,
    lookup: u64,
    /// The most frequent ones first.
    keys: Vec<KeyTruth>,
}

#[derive(Deserialize)]
struct KeyTruth {
    key: String,
    lookup: u64,
}

/// A count as mapprof tells it: the true one is said to be at most `margin` away, unless
/// too little was seen to say so.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Estimate {
    count: u64,
    margin: u64,
    few: bool,
}

impl Estimate {
    fn of(value: &Value) -> Result<Self> {
        let count = value["ops"]["lookup"].as_u64().context("no count")?;
        // What is exact may say so by saying nothing.
        let margin = value["margin"].as_u64().unwrap_or(0);
        Ok(Self { count, margin, few: value["few"] == true })
    }
}

/// How estimates of one kind did.
#[derive(Debug, Default)]
struct Score {
    estimates: u32,
    covered: u32,
    /// Sum of (estimate − truth) ÷ truth.
    off: f64,
    /// Sum of margin ÷ truth.
    width: f64,
    /// Told without a margin.
    exact: u32,
    /// Said to rest on too few events, which claims nothing.
    few: u32,
}

impl Score {
    fn add(&mut self, estimate: Estimate, truth: u64) {
        if truth == 0 {
            return;
        }
        if estimate.few {
            self.few += 1;
            return;
        }
        self.estimates += 1;
        self.covered += u32::from(estimate.count.abs_diff(truth) <= estimate.margin);
        self.exact += u32::from(estimate.margin == 0);
        self.off += (estimate.count as f64 - truth as f64) / truth as f64;
        self.width += estimate.margin as f64 / truth as f64;
    }

    /// Of 100; not a number where there were none.
    fn percent(&self, part: f64) -> f64 {
        part / f64::from(self.estimates) * 100.0
    }

    fn tell(&self, of: &str, row: &mut Row) {
        let covered = self.percent(f64::from(self.covered));
        let (least, most) = COVERED_PERCENT;
        row.claims.extend([
            Claim::at_least(format!("{of}: truth inside the 95% interval, %"), covered, least),
            Claim::at_most(format!("{of}: the same, no wider than it must be, %"), covered, most),
            Claim::plain(format!("{of}: estimates"), f64::from(self.estimates)),
            Claim::plain(format!("{of}: too few events to say"), f64::from(self.few)),
            Claim::plain(format!("{of}: bias, %"), self.percent(self.off)),
            Claim::plain(format!("{of}: mean ± of the interval, %"), self.percent(self.width)),
            Claim::plain(format!("{of}: told as exact, %"), self.percent(f64::from(self.exact))),
        ]);
    }
}

struct Tally {
    load: &'static str,
    totals: Score,
    keys: Score,
    /// Runs in which the budget allowed to watch all the time.
    always_on: u32,
    windows: Vec<u64>,
    samples: [Samples; 3],
}

impl Tally {
    fn new(load: &'static str) -> Self {
        Self {
            samples: [
                Samples::new(format!("{load}: ± of the map"), "% of the truth"),
                Samples::new(format!("{load}: ± of a top key"), "% of the truth"),
                Samples::new(format!("{load}: observed"), "% of the time"),
            ],
            load,
            totals: Score::default(),
            keys: Score::default(),
            always_on: 0,
            windows: Vec::new(),
        }
    }

    /// Each round is another draw of all that is random in the load.
    fn run(&mut self, round: u32) -> Result<()> {
        let seed = (round + 1).to_string();
        let args = ["-load", self.load, "-seed", &seed, "-span", "60s"];
        let mut program = Program::hold(&programs::newest_go("paced")?, args)?;
        program.begin()?;
        let outcome = Mapprof::new(["stat", "--format", "json", "--keys", "1000"])
            .args(["--max-overhead", BUDGET, "--duration", DURATION])
            .args(["--pid", &program.pid().to_string()])
            .run()?;
        let summary = summary(outcome)?;
        let window = &summary["window"];
        let ns = |name| window[name].as_u64().with_context(|| format!("no {name} in {window}"));
        let (start, duration) = (ns("start_unix_ns")?, ns("duration_ns")?);
        let truth: Truth = program.ask(&format!("{start} {}", start + duration))?;
        program.finish_well()?;
        self.always_on += u32::from(ns("observed_ns")? == duration);
        self.windows.push(window["windows"].as_u64().unwrap_or(0));
        self.samples[2].push(ns("observed_ns")? as f64 / duration as f64 * 100.0);
        self.add(&truth, &summary)
    }

    fn add(&mut self, truth: &Truth, summary: &Value) -> Result<()> {
        let maps = summary["maps"].as_array().context("no maps")?;
        let map = maps
            .iter()
            .find(|map| map["address"] == *truth.address)
            .with_context(|| format!("no map at {}", truth.address))?;
        let total = Estimate::of(map)?;
        self.totals.add(total, truth.lookup);
        self.samples[0].push(total.margin as f64 / truth.lookup as f64 * 100.0);
        let keys = map["keys"].as_array().context("no keys")?;
        for key in truth.keys.iter().take(TOP) {
            let shown = format!("{:?}", key.key);
            // A key that was not seen is an estimate of nothing, and without a margin wrong.
            let found = keys.iter().find(|it| it["key"] == *shown);
            let estimate = found.map_or(Ok(Estimate::default()), Estimate::of)?;
            self.keys.add(estimate, key.lookup);
            self.samples[1].push(estimate.margin as f64 / key.lookup as f64 * 100.0);
        }
        Ok(())
    }

    fn tell(self, row: &mut Row) {
        let name = self.load;
        self.totals.tell(&format!("{name}, map"), row);
        self.keys.tell(&format!("{name}, top {TOP} keys"), row);
        let windows = self.windows.iter().sum::<u64>() as f64 / self.windows.len() as f64;
        row.claims.extend([
            Claim::plain(format!("{name}: windows a run"), windows),
            Claim::at_most(format!("{name}: runs without windows"), f64::from(self.always_on), 0.0),
        ]);
        row.samples.extend(self.samples);
    }
}

fn summary(outcome: Outcome) -> Result<Value> {
    let outcome = outcome.expect_code(0)?;
    let summary: Value = serde_json::from_str(&outcome.stdout).context("not a summary")?;
    let lost = &summary["window"]["lost"];
    ensure!(lost.as_object().is_some_and(serde_json::Map::is_empty), "events were lost: {lost}");
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_interval_covers_what_is_within_its_margin() {
        let mut score = Score::default();
        for (count, margin, truth) in [(90, 10, 100), (111, 10, 100), (100, 0, 100), (5, 1, 0)] {
            score.add(Estimate { count, margin, few: false }, truth);
        }
        score.add(Estimate { count: 3, margin: 1, few: true }, 100);
        assert_eq!((score.estimates, score.covered, score.exact, score.few), (3, 2, 1, 1));
        assert!((score.percent(score.off) - 1.0 / 3.0).abs() < 1e-9, "{score:?}");
    }

    #[test]
    fn keys_that_were_not_seen_are_not_covered() {
        let mut tally = Tally::new("steady");
        let key = |key: &str| KeyTruth { key: key.into(), lookup: 100 };
        let truth = Truth { address: "0x10".into(), lookup: 1000, keys: vec![key("a"), key("b")] };
        let summary = json!({"maps": [{"address": "0x10", "ops": {"lookup": 990}, "margin": 20,
            "keys": [{"key": "\"a\"", "ops": {"lookup": 95}, "margin": 6}]}]});
        tally.add(&truth, &summary).expect("a summary");
        assert_eq!((tally.totals.covered, tally.keys.covered, tally.keys.estimates), (1, 1, 2));
        assert!(tally.add(&truth, &json!({"maps": []})).is_err());
    }
}
