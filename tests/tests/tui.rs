//! The live display in a real terminal: what it shows, what its keys do, and that
//! the terminal is as it was afterwards.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::binary;
use mapprof_tests::memory::{UNCHANGED, changed_code};
use mapprof_tests::process::eventually;
use mapprof_tests::{Program, can_profile, programs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// A tmux server of its own with a shell in it.
struct Terminal {
    socket: TempDir,
}

impl Terminal {
    fn open() -> Result<Self> {
        let terminal = Self { socket: tempfile::tempdir()? };
        terminal.tmux(&["new-session", "-d", "-x", "140", "-y", "40", "env PS1='$ ' sh"])?;
        Ok(terminal)
    }

    fn tmux(&self, args: &[&str]) -> Result<String> {
        let output = Command::new("tmux")
            .args(["-f", "/dev/null", "-S"])
            .arg(self.socket.path().join("tmux"))
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

    fn press(&self, key: &str) -> Result<()> {
        self.tmux(&["send-keys", key])?;
        Ok(())
    }

    fn enter(&self, line: &str) -> Result<()> {
        self.tmux(&["send-keys", "-l", line])?;
        self.press("Enter")
    }

    /// Waits until the screen shows all of this, whatever the case.
    fn shows(&self, wanted: &[&str]) -> Result<()> {
        self.until(wanted, |screen| wanted.iter().all(|text| screen.contains(&text.to_lowercase())))
    }

    fn until(&self, what: &[&str], mut condition: impl FnMut(&str) -> bool) -> Result<()> {
        let mut screen = String::new();
        eventually(&format!("{what:?} on the screen"), PATIENCE, || {
            screen = self.screen()?;
            Ok(condition(&screen.to_lowercase()))
        })
        .with_context(|| format!("the screen was\n{screen}"))
    }

    /// What a program may leave changed: alternate screen, cursor, mouse and keypad modes.
    fn modes(&self) -> Result<String> {
        self.tmux(&[
            "display-message",
            "-p",
            "alternate=#{alternate_on} cursor=#{cursor_flag} mouse=#{mouse_any_flag} \
             keypad=#{keypad_flag}#{keypad_cursor_flag} wrap=#{wrap_flag} insert=#{insert_flag}",
        ])
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}

/// A terminal with mapprof in it, watching a program that reads maps.
struct Session {
    terminal: Terminal,
    program: Program,
    modes: String,
}

impl Session {
    fn start() -> Result<Self> {
        let terminal = Terminal::open()?;
        terminal.shows(&["$"])?;
        let reads = programs::newest_go("reads")?;
        let mut program = Program::hold(&reads, ["-goroutines", "2", "-span", "60s"])?;
        program.begin()?;
        terminal.enter("stty -a | cksum")?;
        terminal.until(&["a checksum"], |screen| screen.lines().any(is_checksum))?;
        let modes = terminal.modes()?;
        terminal.enter(&format!(
            "clear; {} --pid {}; echo status=$?",
            quoted(&binary()),
            program.pid()
        ))?;
        // Its display, not the line that was typed.
        terminal.until(&["the display"], |screen| {
            screen.contains("map[uint64]uint64") && !screen.contains("status=")
        })?;
        ensure!(terminal.modes()?.contains("alternate=1"), "not on the alternate screen");
        Ok(Self { terminal, program, modes })
    }

    /// The terminal is as it was, and no probe is left.
    fn ended_cleanly(self, status: &str) -> Result<()> {
        self.terminal.shows(&[status])?;
        assert_eq!(self.terminal.modes()?, self.modes);
        self.terminal
            .enter("clear; stty -a | grep -wo -e '-echo' -e '-icanon' -e '-isig'; echo done")?;
        self.terminal.until(&["done"], |screen| screen.lines().any(|line| line == "done"))?;
        let screen = self.terminal.screen()?;
        ensure!(!screen.lines().any(|line| line.starts_with('-')), "left raw:\n{screen}");
        assert_eq!(changed_code(self.program.pid())?, UNCHANGED);
        Ok(())
    }
}

/// Output of `cksum`.
fn is_checksum(line: &str) -> bool {
    let mut words = line.split(' ').map(|word| word.parse::<u64>().is_ok());
    words.next() == Some(true) && words.next() == Some(true) && words.next().is_none()
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}

#[test]
fn keys() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let session = Session::start()?;
    let terminal = &session.terminal;
    terminal.shows(&[&session.program.pid().to_string(), "reads", "/s"])?;

    terminal.press("?")?;
    terminal.shows(&["this help", "to the bottom"])?;
    terminal.press("?")?;
    terminal.until(&["no help"], |screen| !screen.contains("to the bottom"))?;

    terminal.press("Space")?;
    terminal.shows(&["paused"])?;
    terminal.press("Space")?;
    terminal.until(&["not paused"], |screen| !screen.contains("paused"))?;

    terminal.press("Down")?;
    terminal.press("Up")?;
    terminal.press("/")?;
    terminal.tmux(&["send-keys", "-l", "no-such-map"])?;
    terminal.press("Enter")?;
    terminal.until(&["no map left"], |screen| !screen.contains("map[uint64]uint64"))?;
    terminal.press("Escape")?;
    terminal.shows(&["map[uint64]uint64"])?;

    terminal.press("q")?;
    session.ended_cleanly("status=0")
}

#[test]
fn ctrl_c() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let session = Session::start()?;
    session.terminal.press("C-c")?;
    session.ended_cleanly("status=")
}

#[test]
fn terminated() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let session = Session::start()?;
    // The shell's only child is mapprof.
    let shell = session.terminal.tmux(&["display-message", "-p", "#{pane_pid}"])?;
    let shell = shell.trim();
    let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"))?;
    let mapprof = children.split_ascii_whitespace().next().context("the shell has no child")?;
    kill(Pid::from_raw(mapprof.parse()?), Signal::SIGTERM)?;
    session.ended_cleanly("status=")
}

/// The terminal's size may change, even to one where nothing fits.
#[test]
fn resized() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let session = Session::start()?;
    for (width, height) in [("20", "5"), ("1", "1"), ("200", "60"), ("80", "24")] {
        session.terminal.tmux(&["resize-window", "-x", width, "-y", height])?;
        std::thread::sleep(Duration::from_millis(300));
    }
    session.terminal.shows(&["map[uint64]uint64"])?;
    session.terminal.press("q")?;
    session.ended_cleanly("status=0")
}
