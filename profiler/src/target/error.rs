//! What can be wrong with a target.

use std::path::PathBuf;

use crate::outside::{Outside, Shown as _};

/// An executable or library that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It cannot be opened or mapped.
    #[error("cannot read {}: {source}", path.shown())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It is a script.
    #[error("{} is a script run by {interpreter}: profile that program, by its --pid", path.shown())]
    Script {
        /// The file.
        path: PathBuf,
        /// What its `#!` line names.
        interpreter: Outside,
    },
    /// It is something else.
    #[error("{} is not an ELF file", path.shown())]
    NotElf {
        /// The file.
        path: PathBuf,
    },
    /// It is ELF for another machine.
    #[error("{} is {what}; mapprof reads 64-bit x86_64 ELF files", path.shown())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
    },
    /// Its tables contradict each other or the file's size.
    #[error("{} is damaged at file offset {offset:#x}: {what}", path.shown())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes from its start.
        offset: u64,
        /// The contradiction.
        what: String,
    },
}

/// A target that cannot be profiled.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No process has the number.
    #[error("no process has pid {pid}: it has ended, or it lives in another PID namespace")]
    NoSuchProcess {
        /// The number asked for.
        pid: i32,
    },
    /// The process has ended but its parent has not asked for its status.
    #[error("process {pid} ({comm}) has ended and waits for its parent to notice (a zombie)")]
    Zombie {
        /// The process.
        pid: i32,
        /// Its name.
        comm: Outside,
    },
    /// There is no program in it.
    #[error("pid {pid} ({comm}) is a kernel thread: there is no program to profile")]
    KernelThread {
        /// The process.
        pid: i32,
        /// Its name.
        comm: Outside,
    },
    /// It belongs to somebody else.
    #[error(
        "may not look into process {pid} ({}: {source}): run as root, or as its owner with CAP_SYS_PTRACE",
        what.shown()
    )]
    Forbidden {
        /// The process.
        pid: i32,
        /// The file refused.
        what: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Something under /proc reads strangely.
    #[error("cannot read {}: {source}", path.shown())]
    Proc {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Its executable cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
}
