//! Names that others have chosen: of processes, arguments, files, functions, versions and
//! recordings. Whatever is said of them, on standard output or error, a terminal shows it and
//! does not obey it, and no line is forged.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::{Outcome, head};
use mapprof_tests::{Mapprof, Program, can_profile, programs};
use tempfile::TempDir;

/// Clears the screen, rings, forges a line, turns red by one C1 byte and backwards.
const HOSTILE: &str = "ev\x1b[2J\x07\nFORGED\u{9b}31m\u{202e}\r\x7f\u{200b}";

/// A child that does nothing and is killed in the end.
struct Idle(Child);

impl Drop for Idle {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Idle {
    fn start(command: &mut Command) -> Result<Self> {
        Ok(Self(command.stdin(Stdio::null()).spawn()?))
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

/// It commands nothing, on either stream.
fn harmless(what: &str, outcome: &Outcome) -> Result<()> {
    for (stream, text) in [("stdout", &outcome.stdout), ("stderr", &outcome.stderr)] {
        let is_bad = |c: char| {
            c != '\n' && (c.is_control() || matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}'))
        };
        ensure!(!text.contains(is_bad), "{what}: {stream} commands: {:?}", head(text));
        let forged = text.lines().find(|line| line.trim_start().starts_with("FORGED"));
        ensure!(forged.is_none(), "{what}: {stream} has a forged line: {text:?}");
    }
    ensure!(!outcome.stderr.contains("panicked"), "{what}: {}", outcome.stderr);
    Ok(())
}

/// Runs it; whatever it says, it must say it harmlessly, and something of it.
fn run<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>, said: &str) -> Result<Outcome> {
    let args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    let what = format!("{args:?}");
    let outcome = Mapprof::new(&args).run()?;
    harmless(&what, &outcome)?;
    let all = format!("{}{}", outcome.stdout, outcome.stderr);
    ensure!(all.contains(said), "{what}: no {said:?} in {}", head(&all));
    Ok(outcome)
}

fn copy(from: &Path, folder: &TempDir, name: impl AsRef<OsStr>) -> Result<PathBuf> {
    let path = folder.path().join(name.as_ref());
    fs::copy(from, &path)?;
    Ok(path)
}

/// In place of these bytes, others, as often as they occur.
fn patch(bytes: &mut [u8], from: &[u8], to: &[u8]) -> Result<()> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> = (0..bytes.len().saturating_sub(from.len()))
        .filter(|&at| bytes[at] == from[0] && bytes[at..].starts_with(from))
        .collect();
    ensure!(!places.is_empty(), "no {from:?} to be patched");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    Ok(())
}

/// A Go program whose name, a function of which, and whose version are hostile.
fn program(folder: &TempDir) -> Result<PathBuf> {
    let path = copy(&programs::newest_go("reads")?, folder, HOSTILE)?;
    let mut bytes = fs::read(&path)?;
    patch(&mut bytes, b"main.main", b"main.\x1bzqx")?;
    let magic = b"\xff Go buildinf:";
    let at = bytes.windows(magic.len()).position(|it| it == magic).context("no version")? + 32;
    let version = usize::from(bytes[at]);
    bytes[at + version - 1..][..2].copy_from_slice(b"\x1b\x07");
    fs::write(&path, bytes)?;
    Ok(path)
}

#[test]
fn other_peoples_processes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let sleep = copy(Path::new("/bin/sleep"), &folder, "mp-evil")?;
    let start = |name: &str| Idle::start(Command::new(&sleep).arg0(name).arg("100"));
    let both = [start(&format!("/x/{HOSTILE}"))?, start("mp-evil\n\x1b]0;owned\x07\nFORGED")?];
    for command in ["stat", "probes"] {
        let outcome = run([command, "--name", "mp-evil"], "choose one with --pid")?;
        let lines: Vec<_> = outcome.stderr.lines().collect();
        ensure!(lines.len() == 3, "a line for each, and one above: {lines:?}");
        for idle in &both {
            let line = lines.iter().find(|line| line.trim_start().starts_with(&idle.pid()));
            ensure!(line.is_some_and(|line| line.contains("FORGED")), "{lines:?}");
        }
    }
    let ended = copy(Path::new("/bin/true"), &folder, HOSTILE)?;
    let mut child = Command::new(ended).spawn()?;
    let pid = child.id().to_string();
    let has_ended = || -> Result<bool> {
        // Its name is cut within a character.
        let status = fs::read(format!("/proc/{pid}/status"))?;
        Ok(String::from_utf8_lossy(&status).contains("Z (zombie)"))
    };
    while !has_ended()? {
        std::thread::yield_now();
    }
    run(["stat", "--pid", &pid], "zombie")?;
    child.wait()?;
    run(["stat", "--name", HOSTILE], "nothing to probe in mp-evil")?;
    run(["stat", "--name", &format!("{HOSTILE}x")], "no process is named ev")?;
    run(["stat", "--", HOSTILE], "no program ev")?;
    Ok(())
}

#[test]
fn programs_and_what_is_in_them() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = program(&folder)?;
    let exe = path.as_os_str();
    let own = "lookup:main.*zqx key=arg1:int";
    let probes = [OsStr::new("probes"), OsStr::new("--exe"), exe];
    run(probes, "\\u{1b}[2J\\u{7}\\nFORGED")?;
    run([&probes[..], &["--probe", own].map(OsStr::new)].concat(), "main.\\u{1b}zqx")?;
    let json = run([&probes[..], &["--format", "json"].map(OsStr::new)].concat(), "FORGED")?;
    let value: serde_json::Value = serde_json::from_str(&json.stdout)?;
    ensure!(value["target"]["exe"].as_str() == path.to_str(), "{}", value["target"]);
    let script = copy(&path, &folder, "script")?;
    fs::write(&script, "#!/bin/ev\x1b[2J\x07il\nFORGED\n")?;
    run([OsStr::new("probes"), OsStr::new("--exe"), script.as_os_str()], "is a script")?;

    let library = Path::new("/lib/x86_64-linux-gnu/libm.so.6");
    let library = copy(library, &folder, format!("{HOSTILE}.so"))?;
    let idle = Idle::start(Command::new("/bin/sleep").env("LD_PRELOAD", &library).arg("100"))?;
    std::thread::sleep(std::time::Duration::from_millis(100));
    run(["probes", "--pid", &idle.pid(), "--probe", "lookup:lgamma* key=arg1:int"], "lgamma")?;
    let sleep = copy(Path::new("/bin/sleep"), &folder, format!("2{HOSTILE}"))?;
    let idle = Idle::start(Command::new(sleep).arg("100"))?;
    std::thread::sleep(std::time::Duration::from_millis(100));
    run(["stat", "--duration", "1s", "--pid", &idle.pid()], "2ev\\u{1b}[2J")?;
    Ok(())
}

#[test]
fn runs_and_recordings() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = program(&folder)?;
    let program = Program::hold(&path, [] as [&str; 0])?;
    let pid = program.pid().to_string();
    let name = |kind: &str| folder.path().join(format!("{kind}{HOSTILE}")).into_os_string();
    let (run_1, all) = (name("run"), name("all"));
    let attached = "attached ";
    let stat = ["stat", "-vv", "--duration", "300ms", "--pid", &pid];
    run(stat, attached)?;
    run([&stat[..], &["--format", "json"]].concat(), attached)?;
    let record = ["record", "--duration", "300ms", "--pid", &pid, "-o"].map(OsString::from);
    run([&record[..], std::slice::from_ref(&run_1)].concat(), "recorded ")?;
    let with = |words: &[&str], files: &[&OsString]| {
        let words = words.iter().map(OsString::from);
        words.chain(files.iter().map(|&file| file.clone())).collect::<Vec<OsString>>()
    };
    run(with(&["report"], &[&run_1]), "FORGED")?;
    run(with(&["diff"], &[&run_1, &run_1]), "FORGED")?;
    run(with(&["merge", "-o"], &[&all, &run_1, &run_1]), "merged 2")?;
    run(with(&["report"], &[&name("absent")]), "cannot read")?;
    run(with(&["report", "-o"], &[&run_1, &all]), "FORGED")?;
    run(with(&["merge", "-o"], &[&run_1, &run_1]), "FORGED")?;
    let whole = fs::read(&run_1)?;
    fs::write(&run_1, &whole[..whole.len() - 5])?;
    run(with(&["report"], &[&run_1]), "cut short")?;
    run(with(&["merge", "-o"], &[&all, &run_1, &name("absent")]), "cannot read")?;
    fs::write(&run_1, "no recording")?;
    run(with(&["replay"], &[&run_1]), "not a recording")?;
    run(with(&["record", "--pid", &pid, "-o"], &[&run_1]), "--force")?;
    // An option that a shell made of a file's name.
    let option = OsString::from_vec([b"--", HOSTILE.as_bytes()].concat());
    run(with(&["report"], &[&option]), "FORGED")?;
    ensure!(option.as_bytes().len() > 2);
    Ok(())
}
