//! A command that is started, but not before its probes are in place.
//!
//! In: a command. Out: a [`Held`] process. Without ptrace and without fork: mapprof
//! starts itself with a hidden argument; that child waits for a byte on a pipe it
//! inherited and then executes the command in its own place, under the same pid. If
//! mapprof dies first the pipe ends, and so does the child.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::outside::{Outside, Shown as _};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::{AccessFlags, access};

/// The first argument that makes mapprof the held child.
const HOLD: &str = "__hold";
/// Tells the child the number of its end of the pipe.
const GATE: &str = "MAPPROF_HOLD_FD";

/// A command that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No such program.
    #[error("no program {command} is in PATH: check the spelling, or give its path")]
    NotFound {
        /// As the user wrote it.
        command: Outside,
    },
    /// The path leads to nothing that can be executed.
    #[error("cannot execute {}: {source}", path.shown())]
    NotExecutable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The child could not be prepared or reached.
    #[error("cannot start {command}: {source}")]
    Start {
        /// As the user wrote it.
        command: Outside,
        /// The system's reason.
        source: io::Error,
    },
    /// Seen by the child: mapprof went away before it released the command.
    #[error("mapprof ended before {command} was started")]
    Abandoned {
        /// As the user wrote it.
        command: Outside,
    },
}

/// A process that will become the command when it is released.
#[derive(Debug)]
pub struct Held {
    child: Child,
    gate: Option<PipeWriter>,
    command: Outside,
    exe: PathBuf,
    args: Vec<OsString>,
}

/// Arguments of a command that may name the program which it executes.
const MOST_ARGUMENTS: usize = 32;

impl Held {
    /// Starts the child. Standard input, output and error are inherited; with
    /// `quiet`, which is for a terminal that is drawn on, there are none.
    ///
    /// The running program's `main` must begin with [`exec_if_held`].
    pub fn spawn(command: &OsStr, args: &[OsString], quiet: bool) -> Result<Self, LaunchError> {
        let exe = find(command)?;
        let name = Outside::from(command.to_string_lossy());
        let failed = |source| LaunchError::Start { command: name.clone(), source };
        let (end, gate) = io::pipe().map_err(failed)?;
        // The child must inherit the reading end, and only that.
        fcntl(&end, FcntlArg::F_SETFD(FdFlag::empty())).map_err(|error| failed(error.into()))?;
        let stream = || if quiet { Stdio::null() } else { Stdio::inherit() };
        let child = Command::new("/proc/self/exe")
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .arg(HOLD)
            .arg(&exe)
            .arg(command)
            .args(args)
            .env(GATE, end.as_raw_fd().to_string())
            .spawn()
            .map_err(failed)?;
        let args = args.iter().take(MOST_ARGUMENTS).cloned().collect();
        Ok(Self { child, gate: Some(gate), command: name, exe, args })
    }

    /// The process, before and after its release.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// The program that will run.
    pub fn exe(&self) -> &Path {
        &self.exe
    }

    /// Programs that its arguments name, in their order: one of them may be what it executes
    /// in its own place, as `env` and `nice` do.
    pub fn named(&self) -> impl Iterator<Item = PathBuf> {
        self.args.iter().filter_map(|argument| find(argument).ok())
    }

    /// Lets the command run. Releasing it twice does nothing.
    pub fn release(&mut self) -> Result<(), LaunchError> {
        let Some(mut gate) = self.gate.take() else {
            return Ok(());
        };
        gate.write_all(&[1])
            .map_err(|source| LaunchError::Start { command: self.command.clone(), source })
    }

    /// Its status if it has ended.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits until it ends.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}

impl Drop for Held {
    /// A command that was never released must not start any more.
    fn drop(&mut self) {
        if self.gate.is_some() {
            // Both fail only if it has ended by itself.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Where a command lies: a path as it is, a name by `PATH`.
fn find(command: &OsStr) -> Result<PathBuf, LaunchError> {
    let executable = |path: &Path| {
        access(path, AccessFlags::X_OK)?;
        if path.is_dir() { Err(nix::Error::EISDIR) } else { Ok(()) }
    };
    if command.as_encoded_bytes().contains(&b'/') {
        let path = PathBuf::from(command);
        return match executable(&path) {
            Ok(()) => Ok(path),
            Err(error) => Err(LaunchError::NotExecutable { path, source: error.into() }),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(command))
        .find(|path| executable(path).is_ok())
        .ok_or_else(|| LaunchError::NotFound { command: command.to_string_lossy().into() })
}

/// To be called first in `main`. In the held child it waits for the release and
/// becomes the command; there it returns only with the reason why it could not.
/// Anywhere else it returns `None` at once.
pub fn exec_if_held() -> Option<LaunchError> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != HOLD {
        return None;
    }
    let exe = PathBuf::from(args.next()?);
    let command = args.next()?;
    let name = Outside::from(command.to_string_lossy());
    match wait_for_release() {
        Ok(true) => {}
        Ok(false) => return Some(LaunchError::Abandoned { command: name }),
        Err(source) => {
            return Some(LaunchError::Start { command: name, source });
        }
    }
    let source = Command::new(&exe).arg0(&command).args(args).env_remove(GATE).exec();
    Some(LaunchError::NotExecutable { path: exe, source })
}

/// Whether the byte came; leaves no trace of the pipe for the command.
fn wait_for_release() -> io::Result<bool> {
    let number = std::env::var(GATE).ok().and_then(|number| number.parse::<RawFd>().ok());
    let number = number.ok_or_else(|| io::Error::other(format!("{GATE} is not a number")))?;
    let mut gate = File::open(format!("/proc/self/fd/{number}"))?;
    nix::unistd::close(number)?;
    Ok(gate.read(&mut [0])? == 1)
}
