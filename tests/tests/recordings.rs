//! Recordings as people use them: read while they grow, in part, merged, and within a size.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::{Outcome, binary};
use mapprof_tests::process::eventually;
use mapprof_tests::summary::Summary;
use mapprof_tests::truth::Counts;
use mapprof_tests::{Mapprof, Program, can_profile, observe, programs, unprivileged};
use tempfile::TempDir;

/// A folder that anybody may write to, with a mapprof that anybody may run.
struct Folder(TempDir);

impl Folder {
    fn new() -> Result<Self> {
        let folder = Self(tempfile::tempdir()?);
        fs::set_permissions(folder.0.path(), fs::Permissions::from_mode(0o777))?;
        fs::copy(binary(), folder.path("mapprof"))?;
        folder.open("mapprof")?;
        Ok(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self, name: &str) -> Result<()> {
        Ok(fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755))?)
    }

    /// As nobody.
    fn run(&self, args: &[&str], files: &[&Path]) -> Result<Outcome> {
        unprivileged(&self.path("mapprof"), args).args(files).run()
    }

    fn summary(&self, file: &Path) -> Result<Summary> {
        let args = ["report", "--format", "json", "--keys", "1000000"];
        self.run(&args, &[file])?.summary()
    }

    /// A recording of a whole run, and what the program says of it.
    fn counts(&self, name: &str) -> Result<(PathBuf, Counts)> {
        let file = self.path(name);
        let program = Program::hold(&programs::newest_go("counts")?, ["-rounds", "4000"])?;
        let mapprof = Mapprof::new([
            "record",
            "--max-overhead",
            "none",
            "--keys",
            "1000000",
            "--interval",
            "100ms",
        ])
        .args(["--duration", "170s", "--ring-mib", "32"])
        .args(["--pid", &program.pid().to_string(), "-o"])
        .arg(&file);
        let (truth, outcome) = observe(program, mapprof)?;
        outcome.expect_code(0)?;
        self.open(name)?;
        Ok((file, truth))
    }
}

/// What is wrong with the figures; that the program has more call sites of keys than are told
/// apart is not.
fn differences(truth: &Counts, summary: &Summary) -> Vec<String> {
    let all = truth.differences(summary).into_iter();
    all.filter(|it| !it.starts_with("lost: key_sites_beyond_limit")).collect()
}

#[test]
fn a_growing_recording_can_be_read_and_a_broken_one_told_apart() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = Folder::new()?;
    let file = folder.path("run.mprof");
    let mut program = Program::hold(&programs::newest_go("reads")?, ["-span", "60s"])?;
    let running =
        Mapprof::new(["record", "--max-overhead", "none", "--interval", "100ms", "--pid"])
            .arg(program.pid().to_string())
            .arg("-o")
            .arg(&file)
            .attach()?;
    folder.open("run.mprof")?;
    program.begin()?;
    let mut events = 0;
    eventually("intervals come in", Duration::from_secs(20), || {
        let outcome = folder.run(&["report", "--format", "json"], &[&file])?.expect_code(0)?;
        ensure!(outcome.stderr.contains("still being written"), "{}", outcome.stderr);
        events = serde_json::from_str::<Summary>(&outcome.stdout)?.window.events;
        Ok(events > 0)
    })?;
    // Another may not write there meanwhile.
    Mapprof::new([
        "record",
        "--max-overhead",
        "none",
        "--duration",
        "1s",
        "--pid",
        &program.pid().to_string(),
        "-o",
    ])
    .arg(&file)
    .run()?
    .expect_code(1)?
    .expect_message(&["another mapprof", "run.mprof"])?;
    // A crash.
    running.signal(nix::sys::signal::Signal::SIGKILL)?;
    drop(running);
    let outcome = folder.run(&["report", "--format", "json"], &[&file])?.expect_code(1)?;
    let outcome = outcome.expect_message(&["at byte", "broken off"])?;
    let left: Summary = serde_json::from_str(&outcome.stdout)?;
    ensure!(left.window.events >= events, "less than before");
    Ok(())
}

#[test]
fn parts_add_up_to_the_whole() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = Folder::new()?;
    let (file, truth) = folder.counts("run.mprof")?;
    let whole = folder.summary(&file)?;
    assert_eq!(differences(&truth, &whole), Vec::<String>::new());
    let mut events = 0;
    for part in [&["--to", "300ms"][..], &["--from", "300ms"]] {
        let args = [&["report", "--format", "json"], part].concat();
        // Either may be empty: how long the program takes is the machine's affair.
        let outcome = folder.run(&args, &[&file])?;
        if outcome.status.success() {
            events += outcome.summary()?.window.events;
        }
    }
    assert_eq!(events, whole.window.events);
    let last = folder.run(&["report", "--format", "json", "--from=-1h"], &[&file])?.summary()?;
    assert_eq!(last.window.events, whole.window.events);
    folder
        .run(&["report", "--from", "2h"], &[&file])?
        .expect_code(1)?
        .expect_message(&["run.mprof", "covers"])?;
    folder.run(&["report", "--from", "noon"], &[&file])?.expect_code(2)?;
    Ok(())
}

#[test]
fn merging_keeps_the_sums() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = Folder::new()?;
    let (one, truth) = folder.counts("one.mprof")?;
    let (two, _) = folder.counts("two.mprof")?;
    let copy = folder.path("copy.mprof");
    folder.run(&["merge", "-o"], &[&copy, &one])?.expect_code(0)?;
    assert_eq!(differences(&truth, &folder.summary(&copy)?), Vec::<String>::new());

    let both = folder.path("both.mprof");
    folder.run(&["merge", "-o"], &[&both, &one, &two])?.expect_code(0)?;
    let ops = |summary: &Summary| {
        summary.maps.iter().map(|map| map.ops.lookup + map.ops.insert + map.ops.delete).sum::<u64>()
    };
    let (a, b, all) = (folder.summary(&one)?, folder.summary(&two)?, folder.summary(&both)?);
    assert_eq!(ops(&all), ops(&a) + ops(&b));
    assert_eq!(all.window.events, a.window.events + b.window.events);
    let text = folder.run(&["report"], &[&both])?.expect_code(0)?.stdout;
    ensure!(text.contains("(2 processes on 1 host)"), "{}", text.lines().next().unwrap_or(""));

    // A damaged one and one that is none: the rest is merged.
    let bytes = fs::read(&two)?;
    fs::write(&two, &bytes[..bytes.len() * 3 / 4])?;
    let none = folder.path("none.mprof");
    fs::write(&none, "no recording")?;
    folder.open("none.mprof")?;
    folder
        .run(&["merge", "-o"], &[&both, &one, &two, &none])?
        .expect_code(1)?
        .expect_message(&["two.mprof", "at byte", "none.mprof"])?;
    ensure!(folder.summary(&both)?.window.events >= a.window.events, "the whole one is missing");
    Ok(())
}

#[test]
fn bad_input_is_named() -> Result<()> {
    let folder = Folder::new()?;
    let write = |name: &str, bytes: &[u8]| -> Result<PathBuf> {
        fs::write(folder.path(name), bytes)?;
        folder.open(name)?;
        Ok(folder.path(name))
    };
    let cases = [
        (write("empty.mprof", b"")?, "is empty"),
        (write("foreign.mprof", b"\x7fELF\x02\x01\x01\0\0\0\0\0")?, "not a recording"),
        (write("newer.mprof", b"mapprof\0\xff\0\0\0")?, "newer mapprof"),
        (write("older.mprof", b"mapprof\0\x01\0\0\0")?, "version 1"),
        (folder.path("missing.mprof"), "no such file"),
        (folder.0.path().to_owned(), "directory"),
    ];
    let output = folder.path("out.mprof");
    for (file, why) in &cases {
        let name = file.file_name().context("a name")?.to_string_lossy();
        for command in ["report", "replay"] {
            folder.run(&[command], &[file])?.expect_code(1)?.expect_message(&[&name, why])?;
        }
        folder.run(&["merge", "-o"], &[&output, file])?.expect_code(1)?.expect_message(&[&name])?;
    }
    Ok(())
}

#[test]
fn replay_shows_a_recording_in_a_terminal() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = Folder::new()?;
    let (file, _) = folder.counts("run.mprof")?;
    folder.run(&["replay"], &[&file])?.expect_code(1)?.expect_message(&["terminal"])?;
    let socket = folder.path("tmux");
    let tmux = |args: &[&str]| -> Result<String> {
        let mut tmux = Command::new("tmux");
        tmux.args(["-f", "/dev/null", "-S"]).arg(&socket).args(args).env_remove("TMUX");
        let output = tmux.output().context("running tmux; cargo xtask setup installs it")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    tmux(&["new-session", "-d", "-x", "140", "-y", "40", "env PS1='$ ' sh"])?;
    let line = format!(
        "setpriv --reuid=65534 --regid=65534 --clear-groups {} replay {}; echo ended=$?",
        folder.path("mapprof").display(),
        file.display()
    );
    tmux(&["send-keys", "-l", &line])?;
    tmux(&["send-keys", "Enter"])?;
    let shows = |text: &str| {
        let mut screen = String::new();
        eventually(text, Duration::from_secs(20), || {
            screen = tmux(&["capture-pane", "-p"])?;
            Ok(screen.contains(text))
        })
        .with_context(|| format!("the screen was\n{screen}"))
    };
    let result = (|| {
        shows("recorded until")?;
        tmux(&["send-keys", "2"])?;
        shows("map[string]main.wide")?;
        tmux(&["send-keys", "["])?;
        shows("UTC")?;
        tmux(&["send-keys", "q"])?;
        shows("ended=0")
    })();
    tmux(&["kill-server"])?;
    result
}
