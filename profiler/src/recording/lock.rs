//! Whether somebody is writing a recording.
//!
//! The writer holds an exclusive advisory lock (`flock(2)`) on the file as long as it lives;
//! the kernel lets it go when the writer's process ends, however it ends.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// The file with the lock that its writer holds, where the file system knows locks.
#[derive(Debug)]
pub(super) struct Locked(Result<Flock<File>, File>);

impl Locked {
    /// Takes the lock; an error where another has it.
    pub(super) fn take(file: File) -> io::Result<Self> {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => Ok(Self(Ok(locked))),
            Err((_, Errno::EWOULDBLOCK)) => Err(io::ErrorKind::WouldBlock.into()),
            // Without one, readers cannot tell that the recording goes on.
            Err((file, _)) => Ok(Self(Err(file))),
        }
    }

    pub(super) fn file(&mut self) -> &mut File {
        match &mut self.0 {
            Ok(locked) => locked,
            Err(file) => file,
        }
    }
}

/// Whether a writer holds the lock of this file.
pub(super) fn is_being_written(file: &File) -> bool {
    let Ok(copy) = file.try_clone() else { return false };
    // Let go at once: the guard's end unlocks.
    matches!(Flock::lock(copy, FlockArg::LockSharedNonblock), Err((_, Errno::EWOULDBLOCK)))
}
