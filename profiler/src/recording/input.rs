//! A recording to be read, as often as that takes.
//!
//! In: a path, of a file or of a pipe as in `mapprof report <(ssh host cat run.mprof)`. Out:
//! readers. What comes through a pipe comes once, and is kept in a file without a name.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::format::{FILE_HEAD, MAGIC, OLDEST, VERSION};
use super::reader::{ReadError, Reader};

/// Most bytes that are taken from a pipe.
const MOST_PIPED: u64 = 1 << 30;

/// A recording that is open.
#[derive(Debug)]
pub struct Input {
    path: PathBuf,
    file: File,
    /// It is the copy of what came through a pipe.
    is_copy: bool,
    version: u32,
}

impl Input {
    /// Opens it; of a pipe, waits for its end.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let failed = |source| ReadError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let is_copy = !file.metadata().map_err(failed)?.is_file();
        let head = head(&file).map_err(failed)?;
        let version = check(&head, path)?;
        let file = if is_copy { copy(&head, file).map_err(failed)? } else { file };
        Ok(Self { path: path.to_owned(), file, is_copy, version })
    }

    /// Its records from the first one on.
    pub fn reader(&self) -> Result<Reader, ReadError> {
        self.reader_from(FILE_HEAD as u64)
            .map_err(|source| ReadError::Io { path: self.path.clone(), source })
    }

    /// Its records from the frame on that begins at an offset.
    pub(super) fn reader_from(&self, offset: u64) -> io::Result<Reader> {
        Reader::from_offset(self.again()?, &self.path, self.version, offset)
    }

    /// The file with a place of its own in it: by its number, not by its name, which may
    /// stand for another file by now.
    fn again(&self) -> io::Result<File> {
        File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// Its path.
    pub(super) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Its version.
    pub(super) fn version(&self) -> u32 {
        self.version
    }

    /// The file itself.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Whether there is no other way to it.
    pub(super) fn is_copy(&self) -> bool {
        self.is_copy
    }
}

fn head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(FILE_HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The version of a recording with this head, if it can be read.
fn check(head: &[u8], path: &Path) -> Result<u32, ReadError> {
    let version = head.strip_prefix(&MAGIC).and_then(|version| version.try_into().ok());
    let path = path.to_owned();
    match version.map(u32::from_le_bytes) {
        Some(version @ OLDEST..=VERSION) => Ok(version),
        Some(version) if version > VERSION => Err(ReadError::Newer { path, version }),
        Some(version) => Err(ReadError::Older { path, version }),
        None if head.is_empty() => Err(ReadError::Empty { path }),
        None => Err(ReadError::Foreign { path }),
    }
}

fn copy(head: &[u8], from: File) -> io::Result<File> {
    // Readable for its owner only, and without a name.
    let mut to = tempfile::tempfile()?;
    to.write_all(head)?;
    if io::copy(&mut from.take(MOST_PIPED), &mut to)? == MOST_PIPED {
        let what = "more comes through the pipe than 1 GiB: save it to a file first";
        return Err(io::Error::other(what));
    }
    to.rewind()?;
    Ok(to)
}
