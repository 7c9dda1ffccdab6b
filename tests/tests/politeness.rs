//! What mapprof does for whoever types: completions, manual pages, bars that do not get in
//! the way, and no complaint where nobody reads on.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::binary;
use mapprof_tests::process::eventually;
use mapprof_tests::{Mapprof, Program, can_profile, programs};
use tempfile::TempDir;

/// What bash offers for a line whose last word is to be completed.
fn completed(script: &str, line: &str) -> Result<Vec<String>> {
    let words: Vec<&str> = line.split(' ').collect();
    let program = format!(
        "{script}\nCOMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=({line}{last}); \
         COMP_CWORD={at}; _mapprof mapprof '{word}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        last = if line.ends_with(' ') { "''" } else { "" },
        at = words.len() - 1,
        word = words[words.len() - 1],
        before = words[words.len() - 2],
    );
    let output = Command::new("bash").args(["--norc", "-c", &program]).output()?;
    ensure!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

#[test]
fn bash_completes_commands_options_and_values() -> Result<()> {
    let script = Mapprof::new(["completions", "bash"]).run()?.expect_code(0)?.stdout;
    let check = Command::new("bash").args(["-n", "-c", &script]).output()?;
    ensure!(check.status.success() && check.stderr.is_empty(), "{check:?}");
    for (line, wanted, unwanted) in [
        ("mapprof re", &["record", "report"][..], "top"),
        ("mapprof ", &["diff", "doctor", "stat"], "__demo-workload"),
        ("mapprof diff --fo", &["--format"], "--output"),
        ("mapprof diff --format ", &["text", "json", "flamegraph"], "folded"),
        ("mapprof completions ", &["bash", "zsh", "fish"], "text"),
    ] {
        let offered = completed(&script, line)?;
        for word in wanted {
            ensure!(offered.iter().any(|it| it == word), "{line}: no {word} in {offered:?}");
        }
        ensure!(!offered.iter().any(|it| it == unwanted), "{line}: {unwanted} in {offered:?}");
    }
    Ok(())
}

#[test]
fn every_shell_has_a_script() -> Result<()> {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        Mapprof::new(["completions", shell]).run()?.expect_stdout("fail-on")?;
    }
    Mapprof::new(["completions", "cmd"]).run()?.expect_code(2)?.expect_message(&["cmd", "fish"])?;
    Ok(())
}

#[test]
fn manual_pages_are_right() -> Result<()> {
    let folder = tempfile::tempdir()?;
    Mapprof::new(["man"]).arg(folder.path()).run()?.expect_code(0)?;
    let mut pages = 0;
    for entry in fs::read_dir(folder.path())? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        for section in [".TH ", ".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION"] {
            ensure!(text.contains(section), "no {section} in {}", path.display());
        }
        pages += 1;
        // Where there is no groff the pages' parts are all that is looked at.
        let Ok(output) =
            Command::new("groff").args(["-man", "-ww", "-Tutf8", "-z"]).arg(&path).output()
        else {
            continue;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && said.is_empty(), "{}: {said}", path.display());
    }
    ensure!(pages >= 10, "{pages} pages");
    let record = fs::read_to_string(folder.path().join("mapprof-record.1"))?;
    ensure!(record.contains("output"), "{record}");
    Ok(())
}

#[test]
fn nobody_has_to_read_to_the_end() -> Result<()> {
    for args in [&["completions", "zsh"][..], &["man"]] {
        let status = Mapprof::new(args).run_unread()?;
        ensure!(status.code() == Some(0), "{args:?}: {status}");
    }
    Ok(())
}

/// A tmux server of its own.
struct Terminal(TempDir);

impl Terminal {
    fn open(command: &str) -> Result<Self> {
        let terminal = Self(tempfile::tempdir()?);
        terminal.tmux(&["new-session", "-d", "-x", "100", "-y", "20", "env PS1='$ ' sh"])?;
        eventually("a prompt", std::time::Duration::from_secs(20), || {
            Ok(terminal.screen()?.contains('$'))
        })?;
        terminal.tmux(&["send-keys", "-l", command])?;
        terminal.tmux(&["send-keys", "Enter"])?;
        Ok(terminal)
    }

    fn tmux(&self, args: &[&str]) -> Result<String> {
        let output = Command::new("tmux")
            .args(["-f", "/dev/null", "-S"])
            .arg(self.0.path().join("tmux"))
            .args(args)
            .env_remove("TMUX")
            .env("TERM", "xterm-256color")
            .output()
            .context("running tmux; cargo xtask setup installs it")?;
        ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn screen(&self) -> Result<String> {
        self.tmux(&["capture-pane", "-p"])
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}

#[test]
fn a_recording_shows_how_long_it_will_take_and_leaves_no_trace() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let mut program =
        Program::hold(&programs::newest_go("reads")?, ["-goroutines", "1", "-span", "60s"])?;
    program.begin()?;
    let (pid, file) = (program.pid(), folder.path().join("run.mprof"));
    let command = format!(
        "clear; '{}' record --pid {pid} --duration 6s -o '{}' > '{}'; echo status=$?",
        binary().display(),
        file.display(),
        folder.path().join("stdout").display(),
    );
    let terminal = Terminal::open(&command)?;
    let patience = std::time::Duration::from_secs(30);
    eventually("a bar with the time that is left", patience, || {
        let screen = terminal.screen()?;
        Ok(screen.contains("recording [")
            && screen.contains(" left")
            && screen.contains("events/s"))
    })?;
    eventually("the end", patience, || Ok(terminal.screen()?.contains("status=0")))?;
    let screen = terminal.screen()?;
    ensure!(!screen.contains("recording [") && screen.contains("recorded "), "{screen}");
    assert_eq!(fs::read_to_string(folder.path().join("stdout"))?, "");
    Ok(())
}

#[test]
fn without_a_terminal_there_is_no_bar() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let mut program =
        Program::hold(&programs::newest_go("reads")?, ["-goroutines", "1", "-span", "60s"])?;
    program.begin()?;
    let file = folder.path().join("run.mprof");
    let outcome = Mapprof::new([
        "record",
        "--max-overhead",
        "none",
        "--duration",
        "2s",
        "--pid",
        &program.pid().to_string(),
    ])
    .arg("-o")
    .arg(&file)
    .run()?
    .expect_code(0)?;
    ensure!(!outcome.stderr.contains("recording ["), "{}", outcome.stderr);
    ensure!(!outcome.stderr.contains('\x1b') && outcome.stdout.is_empty(), "{outcome:?}");
    let mut unread = Command::new(binary())
        .arg("diff")
        .args([&file, &file])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    drop(unread.stdout.take());
    let ended = unread.wait_with_output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.code() == Some(0) && said.is_empty(), "{}: {said}", ended.status);
    Ok(())
}
