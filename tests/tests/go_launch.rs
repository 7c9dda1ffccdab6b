//! A command is followed: through what it executes, into what it starts, and to what it loads.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use mapprof_tests::go::{self, NEWEST};
use mapprof_tests::programs::{self, Link};
use mapprof_tests::summary::Summary;
use mapprof_tests::truth::Counts;
use mapprof_tests::{Mapprof, Outcome, can_profile};
use tempfile::TempDir;

/// A program's standard input that says when to go on, and has no end.
struct Gate {
    folder: TempDir,
    pipe: File,
}

impl Gate {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("gate");
        go::run(Command::new("mkfifo").arg(&path))?;
        let pipe = File::options().read(true).write(true).open(path)?;
        Ok(Self { folder, pipe })
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("gate")
    }

    /// Lets a program do its work, and end.
    fn open(&mut self) -> Result<()> {
        Ok(self.pipe.write_all(b"\n\n")?)
    }
}

/// `mapprof stat` of a command, with all keys, as JSON.
fn stat<A: AsRef<std::ffi::OsStr>>(command: impl IntoIterator<Item = A>) -> Mapprof {
    Mapprof::new(["stat", "--format", "json", "--keys", "1000000", "--duration", "170s"])
        .args(["--ring-mib", "32", "--"])
        .args(command)
}

/// What programs printed of themselves before the summary, and that.
fn truths_and_summary(outcome: &Outcome) -> Result<(Vec<Counts>, Summary)> {
    let at = outcome.stdout.find("\n{\n").context("no summary")? + 1;
    let (lines, summary) = outcome.stdout.split_at(at);
    let truths = lines.lines().filter(|line| line.starts_with('{'));
    let truths = truths.map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok((truths, serde_json::from_str(summary)?))
}

/// Of all maps those with keys that begin so.
fn with_keys(summary: &Summary, prefix: &str) -> Summary {
    let mut summary = summary.clone();
    let prefix = format!("\"{prefix}:");
    summary.maps.retain(|map| map.keys.iter().any(|key| key.key.starts_with(&prefix)));
    summary
}

fn is_exact(truth: &Counts, summary: &Summary, prefix: &str) {
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    let summary = with_keys(summary, prefix);
    assert_eq!(truth.differences(&summary), Vec::<String>::new(), "{prefix}");
}

/// The program that is executed in the command's place has its probes from its beginning, and
/// its status is the command's.
#[test]
fn what_env_and_nice_execute() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = programs::newest_go("reexec")?;
    let program = program.to_str().context("a path of plain text")?;
    for wrapper in [&["env", "X=1"][..], &["nice", "-n", "1"]] {
        let outcome = stat(wrapper).args([program, "-exit", "7"]).run()?.expect_code(7)?;
        let (truths, summary) = truths_and_summary(&outcome)?;
        is_exact(&truths[0], &summary, "before");
        ensure!(summary.target.exe == program, "{:?}", summary.target);
    }
    Ok(())
}

/// Call sites are looked up in the files, which are kept open: the process is gone by then. It
/// lives for some tens of milliseconds, in which it is seen where it lies in memory.
#[test]
fn a_program_that_ends_at_once() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    for link in [Link::Normal, Link::Pie, Link::CgoPie] {
        let program = programs::go(NEWEST, link, "reexec")?;
        for _ in 0..5 {
            let outcome = stat([&program]).args(["-rounds", "1000"]).run()?.expect_code(0)?;
            let (truths, summary) = truths_and_summary(&outcome)?;
            is_exact(&truths[0], &summary, "before");
            let functions = outcome.stdout.matches("\"function\": \"");
            let unknown = outcome.stdout.matches("\"function\": \"0x").count();
            ensure!(functions.count() > 0 && unknown == 0, "{}: {unknown}", link.name());
        }
    }
    Ok(())
}

/// It is found once it is there.
#[test]
fn what_a_shell_executes_or_starts() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = programs::newest_go("reexec")?;
    let path = program.display();
    // Where no argument names it.
    for (script, how) in [
        (format!("exec '{path}' -wait <\"$0\""), "executed"),
        (format!("timeout 100 '{path}' -wait <\"$0\"; exit 5"), "started"),
    ] {
        let mut gate = Gate::new()?;
        let mut running = stat(["sh", "-c", &script]).arg(gate.path()).start()?;
        let notice = running.wait_for(|line| line.starts_with("attached "))?;
        ensure!(notice.contains(how) && notice.contains("not counted"), "{notice}");
        gate.open()?;
        let outcome = running.finish()?.expect_code(if how == "started" { 5 } else { 0 })?;
        let (truths, summary) = truths_and_summary(&outcome)?;
        is_exact(&truths[0], &summary, "before");
        ensure!(Path::new(&summary.target.exe) == program, "{:?}", summary.target);
    }
    Ok(())
}

/// Each in its turn, and both are named.
#[test]
fn one_program_after_another() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let (old, new) = (programs::FOLLOWED[0], programs::newest_go("reexec")?);
    let old = programs::go(old, Link::Normal, "reexec")?;
    let mut gate = Gate::new()?;
    let [old, new] = [old.display(), new.display()];
    let script = format!("'{old}' -wait <\"$0\"; '{new}' -wait -prefix after <\"$0\"; exit 3");
    let mut running = stat(["sh", "-c", &script]).arg(gate.path()).start()?;
    for _ in 0..2 {
        running.wait_for(|line| line.starts_with("attached "))?;
        gate.open()?;
    }
    let outcome = running.finish()?.expect_code(3)?;
    let (truths, summary) = truths_and_summary(&outcome)?;
    is_exact(&truths[0], &summary, "before");
    is_exact(&truths[1], &summary, "after");
    ensure!(summary.target.pid == 0 && summary.target.exe.contains("2 processes"));
    Ok(())
}

/// Loads a Go library and waits before it uses it.
const HOST: &str = "import ctypes, sys\n\
    library = ctypes.CDLL(sys.argv[1])\n\
    sys.stdin.readline()\n\
    library.Use(1000)\n";

/// A program in another language that comes to load a Go library.
#[test]
fn a_library_that_is_loaded_later() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let library = programs::go_library(NEWEST, "shared")?;
    let mut gate = Gate::new()?;
    let script = "exec python3 -c \"$0\" \"$1\" <\"$2\"";
    let mut running = stat(["sh", "-c", script, HOST]).arg(library).arg(gate.path()).start()?;
    let notice = running.wait_for(|line| line.starts_with("attached "))?;
    ensure!(notice.contains("python"), "{notice}");
    gate.open()?;
    let (truths, summary) = truths_and_summary(&running.finish()?.expect_code(0)?)?;
    is_exact(&truths[0], &summary, "shared");
    Ok(())
}

/// It runs all the same, and it is said that nothing was seen of it.
#[test]
fn a_command_with_nothing_to_probe() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let outcome = stat(["sh", "-c", "/bin/ls / >/dev/null; exit 4"]).run()?.expect_code(4)?;
    let outcome = outcome.expect_message(&["nothing to probe in sh", "nothing was watched"])?;
    let summary: Summary = serde_json::from_str(&outcome.stdout)?;
    assert_eq!(summary.maps.len() + summary.locks.len(), 0);
    Ok(())
}

/// Children that do the work are watched, or named; here there is time for the former.
#[test]
fn a_parent_that_only_waits() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let parent = programs::newest_go("parent")?;
    let outcome = stat([&parent]).run()?.expect_code(0)?;
    let told =
        |line: &str| line.contains("which the command started") || line.contains("not watched");
    ensure!(outcome.stderr.lines().any(told), "not a word of the children:\n{}", outcome.stderr);
    Ok(())
}
