//! `mapprof diff`: what moved between two recordings, or two parts of one.
//!
//! In: recordings. Out: text, JSON or a flame graph; 3 where a condition of `--fail-on`
//! holds beyond the margin.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::{out, progress};
use crate::diff::gate::Gate;
use crate::diff::{self, Comparison, Options, Pairing, Part};
use crate::model::flame::By;
use crate::outside::Shown as _;
use crate::recording::{self, Moment, Place, ReadOptions, Replace};
use crate::report;

/// The exit status where a condition holds.
const FAILED: u8 = 3;

/// `mapprof diff`
#[derive(Args, Debug)]
pub(super) struct DiffArgs {
    /// The earlier recording; or the only one, of which two parts are compared
    #[arg(value_name = "BEFORE")]
    earlier: PathBuf,
    /// The later recording
    #[arg(value_name = "AFTER", required_unless_present_all = ["before", "after"])]
    later: Option<PathBuf>,
    /// Only this part of the earlier one: 0s..30s, 10s.. or ..-5s
    #[arg(long, value_name = "FROM..TO", value_parser = part, allow_hyphen_values = true)]
    before: Option<recording::Part>,
    /// Only this part of the later one, or of the only one
    #[arg(long, value_name = "FROM..TO", value_parser = part, allow_hyphen_values = true)]
    after: Option<recording::Part>,
    /// text, json or flamegraph
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// What the stacks of a flame graph are weighed by: wait (the default), blame or ops
    #[arg(long, value_name = "WHAT")]
    by: Option<By>,
    /// End with status 3 if this holds beyond the margin: 'lock.wait.p99 > +20%',
    /// 'key.share > 30% and map ~ Session'; may be given several times
    #[arg(long, value_name = "CONDITION")]
    fail_on: Vec<Gate>,
    /// Changes that are smaller than this are not told
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = percent)]
    least: f64,
    /// Keys of each map to compare, the heaviest
    #[arg(long, value_name = "N", default_value_t = Options::default().keys)]
    keys: usize,
    /// Where to write; standard output if absent
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the output even where it is a recording
    #[arg(long)]
    force: bool,
}

impl DiffArgs {
    /// Whether `--by` was given to what has no stacks.
    pub(super) fn by_is_ignored(&self) -> bool {
        self.by.is_some() && self.format != Format::Flamegraph
    }
}

/// How `mapprof diff` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For reading
    Text,
    /// For programs
    Json,
    /// Stacks, coloured by what changed
    Flamegraph,
}

fn part(text: &str) -> Result<recording::Part, String> {
    let Some((from, to)) = text.split_once("..") else {
        return Err("a part is written FROM..TO, as 0s..30s, 10s.. or ..-5s".to_owned());
    };
    let moment = |text: &str| -> Result<Option<Moment>, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|error: recording::MomentError| error.to_string())
    };
    Ok(recording::Part { from: moment(from)?, to: moment(to)? })
}

fn percent(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.trim_end_matches('%').trim().parse().ok();
    let share = number.map(|percent| percent / 100.0).filter(|share| (0.0..=100.0).contains(share));
    share.ok_or_else(|| "a share such as 5%".to_owned())
}

pub(super) fn run(args: &DiffArgs) -> Result<ExitCode> {
    let inputs = [args.earlier.as_path(), args.later.as_ref().unwrap_or(&args.earlier)];
    let replace = Replace::Reports.or_anything(args.force);
    let place = args.output.as_deref().map(|path| Place::find(path, &inputs, replace));
    let place = place.transpose()?;
    let mut damaged = false;
    let mut read = |path: &Path, part: Option<recording::Part>| -> Result<Part> {
        let options = ReadOptions { part: part.unwrap_or_default(), ..ReadOptions::default() };
        let recording = progress::reading(path, || recording::read_with(path, &options))?;
        if let Some(damage) = &recording.damage {
            out::note(&format!("{}: {damage}; what can be read is compared", path.shown()));
            damaged = true;
        }
        Ok(Part::of(&recording.session))
    };
    let before = read(&args.earlier, args.before)?;
    let after = read(args.later.as_ref().unwrap_or(&args.earlier), args.after)?;
    let pairing = Pairing::of(&before, &after);
    let options = Options { keys: args.keys, least: args.least };
    let comparison = Comparison::new(&before, &after, &pairing, options);
    let mut told = comparison.diff();
    told.checks = args.fail_on.iter().map(|gate| gate.check(&comparison)).collect();
    let bytes = match args.format {
        Format::Text => diff::text(&told).into_bytes(),
        Format::Json => report::json_of(&told)?,
        Format::Flamegraph => {
            report::render_diff(&before.summary, &after.summary, args.by.unwrap_or_default())?
        }
    };
    let written = match (place, args.format) {
        (Some(place), _) => place.write(&bytes).map_err(Into::into),
        (None, Format::Text) => out::print(&bytes),
        (None, _) => out::data(&bytes),
    };
    let failed = tell(&told.checks);
    match written {
        // Whoever has seen enough still wants to know whether it passed.
        Err(error) if !out::is_closed_pipe(&error) => return Err(error),
        _ => {}
    }
    Ok(match (failed, damaged) {
        (true, _) => ExitCode::from(FAILED),
        (false, true) => ExitCode::FAILURE,
        (false, false) => ExitCode::SUCCESS,
    })
}

/// Says what came of the conditions; returns whether one holds.
fn tell(checks: &[diff::gate::Checked]) -> bool {
    for check in checks {
        let verdict = match (check.holds, check.lines.is_empty()) {
            (true, _) => "FAILED",
            (false, true) => "passed",
            (false, false) => "passed, but",
        };
        out::note(&format!("--fail-on '{}': {verdict}", check.condition));
        for line in &check.lines {
            out::note(&format!("  {}", line.shown()));
        }
    }
    checks.iter().any(|check| check.holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_open_ends() {
        use std::time::Duration;
        let second = |n| Some(Moment::FromStart(Duration::from_secs(n)));
        let at = |from, to| Ok(recording::Part { from, to });
        assert_eq!(part("0s..30s"), at(second(0), second(30)));
        assert_eq!(part("10s.."), at(second(10), None));
        assert_eq!(part("..-5s"), at(None, Some(Moment::FromEnd(Duration::from_secs(5)))));
        assert!(part("30s").is_err() && part("x..y").is_err());
    }

    #[test]
    fn shares_are_percents() {
        assert_eq!(percent("5%"), Ok(0.05));
        assert_eq!(percent("0"), Ok(0.0));
        assert!(percent("-5%").is_err() && percent("x").is_err());
    }
}
