//! Runs mapprof as its users do.
//!
//! In: arguments. Out: exit status, stdout, stderr.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use serde::de::DeserializeOwned;

use crate::memory;
use crate::process::{PATIENCE, Watchdog, pid_of};
use crate::summary::Summary;
use crate::target_dir;

/// What mapprof's line on stderr begins with once all probes are in place.
pub const ATTACHED: &str = "attached ";

/// The binary under test: `$MAPPROF`, which `cargo xtask` sets, or what cargo
/// built last in the profile of the tests.
pub fn binary() -> PathBuf {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    std::env::var_os("MAPPROF")
        .map_or_else(|| target_dir().join(profile).join("mapprof"), PathBuf::from)
}

/// A mapprof to be started.
#[derive(Debug)]
pub struct Mapprof(Command);

impl Mapprof {
    /// With these arguments.
    pub fn new<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(binary());
        command.args(args).stdin(Stdio::null());
        Self(command)
    }

    /// By another command that has mapprof's path and arguments at its end.
    pub fn through(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        Self(command)
    }

    /// `mapprof stat` of a process until told to stop, with all keys, as JSON.
    pub fn stat(pid: u32) -> Self {
        // Large buffers: what the tests compare is the counting, on a machine that
        // others may load. What the default size bears is the saturation benchmark's.
        Self::new(["stat", "--format", "json", "--keys", "1000000", "--duration", "170s"])
            .args(["--ring-mib", "64"])
            .arg("--pid")
            .arg(pid.to_string())
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    /// With more arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.0.args(args);
        self
    }

    /// Starts it.
    pub fn start(mut self) -> Result<Running> {
        let mut child = self
            .0
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {:?}; cargo xtask test builds it", self.0))?;
        let mut stdout = child.stdout.take().context("no stdout")?;
        let stderr = child.stderr.take().context("no stderr")?;
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Running {
            stdout: Some(thread::spawn(move || {
                let mut text = Vec::new();
                stdout.read_to_end(&mut text)?;
                Ok(text)
            })),
            lines,
            seen: Vec::new(),
            _watchdog: Watchdog::over(&child),
            child,
        })
    }

    /// Starts it and waits until its probes are in place.
    pub fn attach(self) -> Result<Running> {
        let mut running = self.start()?;
        running.wait_until_attached()?;
        Ok(running)
    }

    /// Starts it and waits for its end.
    pub fn run(self) -> Result<Outcome> {
        self.start()?.finish()
    }

    /// Starts it with a stdout that nobody reads and waits for its end.
    pub fn run_unread(mut self) -> Result<ExitStatus> {
        let mut child = self.0.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let _watchdog = Watchdog::over(&child);
        drop(child.stdout.take());
        Ok(child.wait()?)
    }
}

/// A mapprof that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Option<JoinHandle<std::io::Result<Vec<u8>>>>,
    lines: Receiver<String>,
    seen: Vec<String>,
    _watchdog: Watchdog,
}

impl Running {
    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until probes are in place.
    pub fn wait_until_attached(&mut self) -> Result<()> {
        self.wait_for(|line| line.starts_with(ATTACHED)).context("mapprof did not attach").map(drop)
    }

    /// Waits for a line of stderr that it has not been seen to say yet.
    pub fn wait_for(&mut self, is_it: impl Fn(&str) -> bool) -> Result<String> {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                bail!("mapprof said only:\n{}", self.seen.join("\n"));
            };
            self.seen.push(line.clone());
            if is_it(&line) {
                return Ok(line);
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(pid_of(&self.child), signal).context("signalling mapprof")
    }

    /// Ctrl-C, which ends a run early, and waits for its end.
    pub fn interrupt(self) -> Result<Outcome> {
        self.signal(Signal::SIGINT)?;
        self.finish()
    }

    /// Ctrl-C, and the most memory it had at any time until its end, bytes.
    pub fn interrupt_and_weigh(self) -> Result<(Outcome, u64)> {
        self.signal(Signal::SIGINT)?;
        let mut most = 0;
        // A process that has ended has no memory, even before it is waited for.
        while let Some(peak) = memory::peak(self.pid()) {
            most = most.max(peak);
            thread::sleep(Duration::from_millis(1));
        }
        Ok((self.finish()?, most))
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Result<Outcome> {
        let reader = self.stdout.take().context("stdout was read already")?;
        let Ok(stdout) = reader.join() else { bail!("reading stdout panicked") };
        let status = self.child.wait()?;
        self.seen.extend(self.lines.iter());
        Ok(Outcome {
            status,
            stdout: String::from_utf8(stdout?).context("stdout is not UTF-8")?,
            stderr: self.seen.join("\n"),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails where it has exited, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a finished mapprof left.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// Data.
    pub stdout: String,
    /// Messages.
    pub stderr: String,
}

impl Outcome {
    /// Itself if it ended with this status, else an error with all it said.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        ensure!(
            self.status.code() == Some(code),
            "mapprof ended with {} instead of {code}\n--- stderr\n{}\n--- stdout\n{}",
            self.status,
            self.stderr,
            head(&self.stdout)
        );
        ensure!(!self.stderr.contains("panicked"), "mapprof panicked:\n{}", self.stderr);
        Ok(self)
    }

    /// Itself if every one of these occurs in stderr, in any case, else an error.
    pub fn expect_message(self, parts: &[&str]) -> Result<Self> {
        let said = self.stderr.to_lowercase();
        for part in parts {
            ensure!(said.contains(&part.to_lowercase()), "no {part:?} in stderr:\n{}", self.stderr);
        }
        Ok(self)
    }

    /// Itself if it ended well and this occurs in stdout, else an error.
    pub fn expect_stdout(self, part: &str) -> Result<Self> {
        let outcome = self.expect_code(0)?;
        ensure!(outcome.stdout.contains(part), "no {part:?} in stdout:\n{}", head(&outcome.stdout));
        Ok(outcome)
    }

    /// The summary of a run that ended well.
    pub fn summary(self) -> Result<Summary> {
        let outcome = self.expect_code(0)?;
        serde_json::from_str(&outcome.stdout)
            .with_context(|| format!("stdout is not a summary:\n{}", head(&outcome.stdout)))
    }

    /// The launched program's line and the summary behind it, which share stdout.
    pub fn truth_and_summary<T: DeserializeOwned>(self) -> Result<(T, Summary)> {
        let outcome = self.expect_code(0)?;
        let (truth, summary) =
            outcome.stdout.split_once('\n').context("stdout holds a single line")?;
        Ok((serde_json::from_str(truth)?, serde_json::from_str(summary)?))
    }
}

/// As much of an output as a failed test should show.
pub fn head(text: &str) -> String {
    text.lines().take(40).collect::<Vec<_>>().join("\n")
}
