//! The live display in a real terminal: what it shows, what its keys do, and that
//! the terminal is as it was afterwards.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::binary;
use mapprof_tests::memory::{UNCHANGED, changed_code};
use mapprof_tests::terminal::{Terminal, quoted};
use mapprof_tests::{Program, can_profile, programs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A terminal with mapprof in it, watching a program that reads maps.
struct Session {
    terminal: Terminal,
    program: Program,
    modes: String,
}

impl Session {
    fn start() -> Result<Self> {
        let terminal = Terminal::open()?;
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
            screen.contains("1 overview") && !screen.contains("status=")
        })?;
        terminal.press("2")?;
        terminal.shows(&["map[uint64]uint64"])?;
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
    terminal.types("no-such-map")?;
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

/// The built-in workload in a folder of its own.
struct Demo {
    terminal: Terminal,
    folder: TempDir,
    modes: String,
}

impl Demo {
    fn start(options: &str) -> Result<Self> {
        let terminal = Terminal::open()?;
        let folder = tempfile::tempdir()?;
        let modes = terminal.modes()?;
        terminal.enter(&format!("cd {}", quoted(folder.path())))?;
        let mapprof = quoted(&binary());
        let interval = "--interval 200ms";
        terminal.enter(&format!("clear; {mapprof} demo {interval} {options}; echo status=$?"))?;
        terminal.until(&["the display"], |screen| {
            screen.contains("1 overview")
                && screen.contains("events")
                && !screen.contains("status=")
        })?;
        Ok(Self { terminal, folder, modes })
    }

    fn quit(self) -> Result<()> {
        self.terminal.press("q")?;
        self.terminal.shows(&["status=0"])?;
        assert_eq!(self.terminal.modes()?, self.modes);
        Ok(())
    }

    fn saved(&self, extension: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.folder.path())? {
            let path = entry?.path();
            if path.extension().is_some_and(|is| is == extension) {
                found.push(std::fs::read_to_string(path)?);
            }
        }
        Ok(found)
    }
}

#[test]
fn every_table_opens_and_conditions_filter() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let demo = Demo::start("")?;
    let terminal = &demo.terminal;
    terminal.press("3")?;
    terminal.shows(&["user:1", "margin"])?;
    terminal.press("/")?;
    terminal.types("oops > 1")?;
    terminal.shows(&["no field \"oops\"", "ops.rate"])?;
    terminal.press("C-u")?;
    terminal.types("share < 5% and key ~ USER:1")?;
    terminal.press("Enter")?;
    terminal.until(&["no user:1"], |screen| {
        screen.contains("user:1") && !screen.contains("\"user:1\"")
    })?;
    terminal.press("Escape")?;

    terminal.press("Enter")?;
    terminal.shows(&["in m1"])?;
    terminal.press("Escape")?;
    terminal.press("4")?;
    terminal.shows(&["l1", "p99"])?;
    terminal.press("c")?;
    terminal.shows(&["wait.p99", "[ ]"])?;
    for key in ["End", "Space"] {
        terminal.press(key)?;
    }
    terminal.press("Escape")?;
    terminal.until(&["no columns"], |screen| !screen.contains("[ ]"))?;
    terminal.press("5")?;
    terminal.shows(&["call site", "demo::request"])?;
    terminal.press("Enter")?;
    terminal.press("Escape")?;
    terminal.press("6")?;
    terminal.shows(&["contention"])?;
    terminal.press("7")?;
    terminal.shows(&["time utc", "top key"])?;
    terminal.press("Down")?;
    terminal.press("Enter")?;
    terminal.shows(&["interval", " ago"])?;
    demo.quit()
}

#[test]
fn the_past_a_flame_graph_a_report_and_a_copy() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let demo = Demo::start("")?;
    let terminal = &demo.terminal;
    terminal.press("4")?;
    terminal.shows(&["l1"])?;
    terminal.press_until("[", &["interval", "utc", " ago"])?;
    // It stays where it is while time goes on.
    let time = |screen: &str| {
        let from = screen.find("interval ").map(|at| at + "interval ".len());
        from.and_then(|from| screen.get(from..from + "12:03:04".len())).map(str::to_owned)
    };
    let before = time(&terminal.screen()?).context("no time")?;
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(time(&terminal.screen()?), Some(before));
    terminal.press("}")?;
    terminal.until(&["the newest"], |screen| !screen.contains(" ago"))?;
    terminal.press("t")?;
    terminal.shows(&["since start"])?;

    terminal.press("f")?;
    terminal.shows(&["flame", "heavier"])?;
    terminal.press("Down")?;
    terminal.press("Down")?;
    terminal.press("Enter")?;
    terminal.press("Escape")?;
    terminal.press("Escape")?;
    terminal.until(&["no flame graph"], |screen| !screen.contains("heavier"))?;

    terminal.press("y")?;
    terminal.shows(&["clipboard"])?;
    let copied = terminal.tmux(&["show-buffer"])?;
    ensure!(copied.starts_with("l1\t"), "copied {copied:?}");

    terminal.press("e")?;
    terminal.shows(&["saved "])?;
    let texts = demo.saved("txt")?;
    ensure!(texts.len() == 1 && texts[0].contains("LOCKS"), "saved {texts:?}");
    let json: serde_json::Value = serde_json::from_str(&demo.saved("json")?.concat())?;
    assert_eq!(json["schema"], "mapprof.summary.v1");
    assert_eq!(json["locks"][0]["id"], "l1");

    terminal.press("Space")?;
    terminal.shows(&["paused"])?;
    demo.quit()
}

#[test]
fn the_mouse_is_taken_and_given_back() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let demo = Demo::start("")?;
    let terminal = &demo.terminal;
    ensure!(terminal.modes()?.contains("mouse=0"), "taken unasked");
    terminal.press("m")?;
    terminal.shows(&["the mouse is taken"])?;
    ensure!(terminal.modes()?.contains("mouse=1"), "not taken");
    // A click on the digit of the third tab, as xterm tells it (SGR, 1006).
    let screen = terminal.screen()?;
    let (y, line) =
        screen.lines().enumerate().find(|(_, line)| line.contains(" 3 Keys")).context("no tabs")?;
    let x = line.split(" 3 Keys").next().unwrap_or_default().chars().count() + 2;
    terminal.types(&format!("\x1b[<0;{x};{}M", y + 1))?;
    terminal.shows(&["user:1", "margin"])?;
    demo.quit()
}

#[test]
fn ascii_and_no_colours() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let demo = Demo::start("--ascii --theme none")?;
    for key in ["2", "3", "4", "Enter", "Escape", "7", "f", "?", "1"] {
        demo.terminal.press(key)?;
        std::thread::sleep(Duration::from_millis(200));
        let screen = demo.terminal.tmux(&["capture-pane", "-p", "-e"])?;
        ensure!(screen.is_ascii(), "after {key}:\n{screen}");
        let colours = ["38;5;", "48;5;"].map(|colour| screen.matches(colour).count());
        assert_eq!(colours, [0, 0], "after {key}:\n{screen}");
    }
    demo.quit()
}
