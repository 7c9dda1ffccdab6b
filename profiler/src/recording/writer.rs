//! Appends records to a file.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::format::{FILE_HEAD, MAGIC, Record, VERSION, encode};

/// What keeps a recording from being written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The file cannot be made.
    #[error("cannot create the recording {}: {source}; choose another file with -o", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A record does not go in.
    #[error(
        "cannot write to the recording {}: {source}; what it holds so far can be read, \
         make room or choose another file with -o",
        path.display()
    )]
    Append {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A record exceeds what a frame can hold.
    #[error(
        "an interval is too large for the recording {} and was left out; use a shorter --interval",
        path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

/// A recording that is being written. Each record is in the file when
/// [`Writer::append`] returns.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    /// Bytes of whole frames.
    whole: u64,
}

impl Writer {
    /// Makes the file, or empties the one that is there.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        let failed = |source| WriteError::Create { path: path.to_owned(), source };
        let mut file = File::create(path).map_err(failed)?;
        let mut head = [0; FILE_HEAD];
        head[..MAGIC.len()].copy_from_slice(&MAGIC);
        head[MAGIC.len()..].copy_from_slice(&VERSION.to_le_bytes());
        file.write_all(&head).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, whole: FILE_HEAD as u64 })
    }

    /// Adds a record. After an error the file is as it was before, and the next
    /// record may go in.
    pub fn append(&mut self, record: &Record<'_>) -> Result<(), WriteError> {
        let frame =
            encode(record).ok_or_else(|| WriteError::TooLarge { path: self.path.clone() })?;
        if let Err(source) = self.file.write_all(&frame) {
            // Half a frame would hide all that follow. Where this fails, too, the
            // file is no ordinary one, and the first error says more.
            let _ = self.file.set_len(self.whole);
            let _ = self.file.seek(SeekFrom::Start(self.whole));
            return Err(WriteError::Append { path: self.path.clone(), source });
        }
        self.whole += frame.len() as u64;
        Ok(())
    }
}
