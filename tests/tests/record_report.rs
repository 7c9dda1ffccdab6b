//! What is recorded on one machine can be read on another, without privileges.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::{Outcome, binary, head};
use mapprof_tests::summary::Summary;
use mapprof_tests::truth::{Counts, Locks};
use mapprof_tests::{Mapprof, Program, can_profile, observe, programs, unprivileged};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

/// A recording of a whole run of a program, its own truth, and a mapprof that
/// anybody may run.
struct Recorded<T> {
    truth: T,
    folder: TempDir,
}

impl<T: DeserializeOwned> Recorded<T> {
    fn of(name: &str, args: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let program = Program::hold(&programs::newest_go(name)?, args)?;
        let mapprof = Mapprof::new([
            "record",
            "--max-overhead",
            "none",
            "--duration",
            "170s",
            "--keys",
            "1000000",
        ])
        .args(["--ring-mib", "32", "--pid", &program.pid().to_string()])
        .arg("-o")
        .arg(folder.path().join("run.mprof"));
        let (truth, outcome) = observe(program, mapprof)?;
        outcome.expect_code(0)?;
        fs::copy(binary(), folder.path().join("mapprof"))?;
        for file in [".", "run.mprof", "mapprof"] {
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(folder.path().join(file), mode)?;
        }
        Ok(Self { truth, folder })
    }
}

impl<T> Recorded<T> {
    fn report(&self, file: &Path, format: &str) -> Result<Outcome> {
        unprivileged(&self.folder.path().join("mapprof"), ["report", "--format", format])
            .args(["--keys", "1000000"])
            .arg(file)
            .run()
    }

    fn reported(&self, format: &str) -> Result<Outcome> {
        self.report(&self.folder.path().join("run.mprof"), format)?.expect_code(0)
    }
}

#[test]
fn counts_survive() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let recorded = Recorded::<Counts>::of("counts", &[])?;
    let summary = recorded.reported("json")?.summary()?;
    assert_eq!(recorded.truth.differences(&summary), Vec::<String>::new());
    let text = recorded.reported("text")?.stdout;
    for part in ["map[string]main.wide", "\"user:0\""] {
        ensure!(text.contains(part), "no {part} in the text, which begins\n{}", head(&text));
    }
    Ok(())
}

#[test]
fn waits_survive() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let recorded = Recorded::<Locks>::of("locks", &["-span", "800ms"])?;
    let summary = recorded.reported("json")?.summary()?;
    assert_eq!(recorded.truth.differences(&summary), Vec::<String>::new());

    // Folded stacks: `frame;frame;frame weight`, the weights being the time waited.
    let folded = recorded.reported("folded")?.stdout;
    let mut weight = 0;
    for line in folded.lines() {
        let (stack, own) = line.rsplit_once(' ').unwrap_or_default();
        ensure!(stack.contains("main."), "a stack that does not reach main: {line}");
        weight += own.parse::<u64>()?;
    }
    let waited: u64 = summary.locks.iter().map(|lock| lock.wait.sum_ns).sum();
    ensure!(weight.abs_diff(waited) <= waited / 1000, "{weight} ns folded of {waited}");

    let picture = recorded.reported("flamegraph")?.stdout;
    ensure!(picture.contains("<svg") && picture.trim_end().ends_with("</svg>"), "not an SVG");
    ensure!(picture.contains("main."), "no function in the picture");
    Ok(())
}

/// Where a report says that the recording is damaged, bytes from its beginning.
fn damage(outcome: &Outcome) -> Option<usize> {
    let (_, rest) = outcome.stderr.split_once("at byte ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A recording is written to the end of every slice, so that its beginning is of
/// use if its end is missing; what is no recording is refused.
#[test]
fn damaged_recordings() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let recorded = Recorded::<Counts>::of("counts", &["-rounds", "8000"])?;
    let whole = fs::read(recorded.folder.path().join("run.mprof"))?;
    let events = recorded.reported("json")?.summary()?.window.events;
    let file = recorded.folder.path().join("damaged.mprof");
    // Reports what is damaged from this byte on: the events that are left.
    let left = |bytes: &[u8], at: usize| -> Result<u64> {
        fs::write(&file, bytes)?;
        let outcome = recorded.report(&file, "json")?.expect_code(1)?;
        let named = damage(&outcome).with_context(|| outcome.stderr.clone())?;
        ensure!(named <= at, "damaged at {at}, found at {named}");
        let summary: Summary = serde_json::from_str(&outcome.stdout)?;
        ensure!(summary.window.events <= events, "more than there was");
        Ok(summary.window.events)
    };
    let mut most = 0;
    for sixteenth in 1..16 {
        let at = whole.len() * sixteenth / 16;
        let cut = left(&whole[..at], at).with_context(|| format!("cut at {at}"))?;
        ensure!(cut >= most, "less is left of more");
        most = cut;
        let mut flipped = whole.clone();
        flipped[at] ^= 0x40;
        left(&flipped, at).with_context(|| format!("flipped at {at}"))?;
    }
    ensure!(most > 0, "nothing is left of fifteen sixteenths");
    for foreign in [&whole[..0], &whole[..4], b"not a recording"] {
        fs::write(&file, foreign)?;
        recorded.report(&file, "text")?.expect_code(1)?.expect_message(&["damaged.mprof"])?;
    }
    Ok(())
}
