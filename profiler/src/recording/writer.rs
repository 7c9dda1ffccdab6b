//! Appends records to a file.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::format::{FILE_HEAD, MAGIC, Record, VERSION, encode};
use super::lock::Locked;

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
    /// Another mapprof writes to it.
    #[error(
        "another mapprof is writing the recording {}; choose another file with -o", path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
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
    /// The recording cannot be made smaller.
    #[error(
        "the recording {} is as large as --max-size allows, and the smaller one cannot be \
         written beside it: {source}; make room or choose another file with -o",
        path.display()
    )]
    Compact {
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
    /// The file has gone.
    #[error(
        "the recording {} was removed while it was being written; record again to another file",
        path.display()
    )]
    Removed {
        /// The file.
        path: PathBuf,
    },
}

/// A recording that is being written. Each record is in the file when
/// [`Writer::append`] returns.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: Locked,
    /// Bytes of whole frames.
    whole: u64,
    /// Not a device or a pipe, which cannot be cut or replaced.
    is_file: bool,
}

impl Writer {
    /// Makes the file, or empties the one that is there.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        let failed = |source| WriteError::Create { path: path.to_owned(), source };
        // Not emptied yet: another may be writing it.
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = open.map_err(failed)?;
        let is_file = file.metadata().map_err(failed)?.is_file();
        let file = Locked::take(file).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => WriteError::InUse { path: path.to_owned() },
            _ => failed(source),
        })?;
        // The file itself rather than a link to it, since it may be replaced.
        let path = if is_file { fs::canonicalize(path).map_err(failed)? } else { path.to_owned() };
        let mut writer = Self { path, file, whole: 0, is_file };
        writer.begin().map_err(failed)?;
        Ok(writer)
    }

    /// Empties the file and writes its head.
    fn begin(&mut self) -> io::Result<()> {
        let file = self.file.file();
        if self.is_file {
            file.set_len(0)?;
        }
        let mut head = [0; FILE_HEAD];
        head[..MAGIC.len()].copy_from_slice(&MAGIC);
        head[MAGIC.len()..].copy_from_slice(&VERSION.to_le_bytes());
        file.write_all(&head)?;
        self.whole = FILE_HEAD as u64;
        Ok(())
    }

    /// A file beside this one, to take its place.
    pub(super) fn beside(&mut self) -> io::Result<Self> {
        let mut path = self.path.clone().into_os_string();
        path.push(".tmp");
        let path = PathBuf::from(path);
        // Of a mapprof that was killed while it made a recording smaller.
        let _ = fs::remove_file(&path);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        file.set_permissions(self.metadata()?.permissions())?;
        let mut writer = Self { path, file: Locked::take(file)?, whole: 0, is_file: true };
        writer.begin()?;
        Ok(writer)
    }

    /// Lets another, made by [`Writer::beside`], take this one's place. Those who read the
    /// old file keep it.
    pub(super) fn replace(&mut self, mut by: Self) -> io::Result<()> {
        // So that a crash of the machine leaves the old file or the new one.
        by.file.file().sync_data()?;
        fs::rename(&by.path, &self.path)?;
        by.path.clone_from(&self.path);
        *self = by;
        Ok(())
    }

    /// Removes a file that was made in vain.
    pub(super) fn discard(self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Adds a record. After an error the file is as it was before, and the next
    /// record may go in.
    pub fn append(&mut self, record: &Record<'_>) -> Result<(), WriteError> {
        let frame =
            encode(record).ok_or_else(|| WriteError::TooLarge { path: self.path.clone() })?;
        self.append_frame(&frame)
    }

    /// The same of a record that is encoded already.
    pub(super) fn append_frame(&mut self, frame: &[u8]) -> Result<(), WriteError> {
        if self.is_file && self.metadata().is_ok_and(|data| data.nlink() == 0) {
            return Err(WriteError::Removed { path: self.path.clone() });
        }
        if let Err(source) = self.file.file().write_all(frame) {
            // Half a frame would hide all that follow. Where this fails, too, the
            // file is no ordinary one, and the first error says more.
            self.cut(self.whole);
            return Err(WriteError::Append { path: self.path.clone(), source });
        }
        self.whole += frame.len() as u64;
        Ok(())
    }

    /// Takes back what was appended since the file was so long.
    pub(super) fn cut(&mut self, whole: u64) {
        let file = self.file.file();
        let _ = file.set_len(whole);
        let _ = file.seek(SeekFrom::Start(whole));
        self.whole = whole;
    }

    /// What it holds, opened once more.
    pub(super) fn reopen(&mut self) -> io::Result<File> {
        // By its number, not by its name, which may stand for another file by now.
        File::open(format!("/proc/self/fd/{}", self.file.file().as_raw_fd()))
    }

    fn metadata(&mut self) -> io::Result<Metadata> {
        self.file.file().metadata()
    }

    /// Where it is written to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long it is, bytes.
    pub fn bytes(&self) -> u64 {
        self.whole
    }

    /// Whether it is an ordinary file.
    pub(super) fn is_file(&self) -> bool {
        self.is_file
    }
}
