//! Child processes that cannot outlive or outwait their test.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;

/// Longer than any single child may take.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Kills a process after [`PATIENCE`], unless dropped before.
#[derive(Debug)]
pub struct Watchdog {
    _still_needed: Sender<()>,
}

impl Watchdog {
    /// Watches a child of this process.
    pub fn over(child: &Child) -> Self {
        let (still_needed, dropped) = mpsc::channel();
        let pid = pid_of(child);
        thread::spawn(move || {
            if dropped.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                eprintln!("process {pid} took longer than {PATIENCE:?}: killed");
                let _ = kill(pid, Signal::SIGKILL);
            }
        });
        Self { _still_needed: still_needed }
    }
}

/// A child's process id.
pub fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// A program of `tests/programs` that waits before it begins and before it exits.
#[derive(Debug)]
pub struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    _watchdog: Watchdog,
}

impl Program {
    /// Starts a Go program, held at its beginning.
    pub fn hold<A: AsRef<OsStr>>(path: &Path, args: impl IntoIterator<Item = A>) -> Result<Self> {
        let mut command = Command::new(path);
        command.arg("-wait").args(args);
        Self::spawn(command)
    }

    /// Starts a Go program on so many threads at a time, held at its beginning.
    pub fn hold_on<A: AsRef<OsStr>>(
        threads: u32,
        path: &Path,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Self> {
        let mut command = Command::new(path);
        command.env("GOMAXPROCS", threads.to_string()).arg("-wait").args(args);
        Self::spawn(command)
    }

    /// Starts the C program with hash tables, held at its beginning.
    pub fn hold_hash(path: &Path) -> Result<Self> {
        Self::hold_c(path, &[])
    }

    /// Starts a C program, held at its beginning.
    pub fn hold_c(path: &Path, args: &[&str]) -> Result<Self> {
        let mut command = Command::new(path);
        command.arg("--wait").args(args);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let watchdog = Watchdog::over(&child);
        let mut program = Self { child, stdin, stdout, _watchdog: watchdog };
        program.ready().with_context(|| format!("{command:?}"))?;
        Ok(program)
    }

    /// Waits until it is held.
    pub fn ready(&mut self) -> Result<()> {
        let line = self.line()?;
        ensure!(line.trim() == "ready", "the program said {line:?} instead of ready");
        Ok(())
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it begin.
    pub fn begin(&mut self) -> Result<()> {
        let stdin = self.stdin.as_mut().context("the program was let go already")?;
        stdin.write_all(b"\n").context("the program is gone")
    }

    /// What it printed about itself, once it is done; it still runs then.
    pub fn truth<T: DeserializeOwned>(&mut self) -> Result<T> {
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("the program printed {line:?}"))
    }

    /// What a program that answers questions, one line each, says to this one.
    pub fn ask<T: DeserializeOwned>(&mut self, question: &str) -> Result<T> {
        let stdin = self.stdin.as_mut().context("the program was let go already")?;
        writeln!(stdin, "{question}").context("the program is gone")?;
        self.truth()
    }

    /// Lets it exit and waits for that.
    pub fn finish(mut self) -> Result<ExitStatus> {
        drop(self.stdin.take());
        Ok(self.child.wait()?)
    }

    /// Lets it exit; an error unless it does so with status 0.
    pub fn finish_well(self) -> Result<()> {
        let status = self.finish()?;
        ensure!(status.success(), "the program ended with {}", describe(status));
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            bail!("the program ended early: {}", describe(self.child.wait()?));
        }
        Ok(line)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails where it has exited, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn describe(status: ExitStatus) -> String {
    status.signal().map_or_else(|| status.to_string(), |signal| format!("signal {signal}"))
}

/// Polls until a condition holds; an error that names it after `patience`.
pub fn eventually(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let deadline = Instant::now() + patience;
    while !condition()? {
        ensure!(Instant::now() < deadline, "not within {patience:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
