//! Appends records to a file.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempPath;
use thiserror::Error;

use super::format::{FILE_HEAD, MAGIC, Record, VERSION, encode};
use super::lock::Locked;
use super::place::{self, Place, PlaceError, Replace};
use crate::outside::Shown as _;

/// What keeps a recording from being written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The file cannot be made.
    #[error("cannot create the recording {}: {source}; choose another file with -o", path.shown())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another mapprof writes to it.
    #[error(
        "another mapprof is writing the recording {}; choose another file with -o", path.shown()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A record does not go in.
    #[error(
        "cannot write to the recording {}: {source}; what it holds so far can be read, \
         make room or choose another file with -o",
        path.shown()
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
        path.shown()
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
        path.shown()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else has changed the file.
    #[error(
        "the recording {} was cut off or written to by somebody else while it was being written, \
         and is damaged; record again to another file",
        path.shown()
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// It may not be written.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The file has gone.
    #[error(
        "the recording {} was removed while it was being written; record again to another file",
        path.shown()
    )]
    Removed {
        /// The file.
        path: PathBuf,
    },
}

/// A recording that is being written. Each record is in the file when
/// [`Writer::append`] returns.
///
/// Where a file is to be replaced, it stays what it was until [`Writer::settle`].
#[derive(Debug)]
pub struct Writer {
    place: Place,
    file: Locked,
    /// The name that it has until it takes its place.
    beside: Option<TempPath>,
    /// What is to be replaced, locked lest another mapprof does so, too.
    old: Option<Locked>,
    /// Bytes of whole frames.
    whole: u64,
    /// Not a device or a pipe, which cannot be cut or replaced.
    is_file: bool,
}

impl Writer {
    /// Makes the file; where there is a recording already, beside that.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        Self::at(Place::find(path, &[], Replace::Recordings)?)
    }

    /// Makes the file at once where nothing is there, and beside its place otherwise.
    pub fn at(place: Place) -> Result<Self, WriteError> {
        if !place.is_free() {
            return Self::beside_its_place(place);
        }
        let failed = |source| WriteError::Create { path: place.path().to_owned(), source };
        let file = Locked::take(place::create_new(place.path()).map_err(failed)?);
        let file = file.map_err(failed)?;
        Self::begun(place, file, None, None)
    }

    /// Makes the file beside its place, which it takes whole or not at all.
    pub fn beside_its_place(place: Place) -> Result<Self, WriteError> {
        let path = place.path().to_owned();
        let failed = |source| WriteError::Create { path: path.clone(), source };
        let in_use = |source: io::Error| match source.kind() {
            io::ErrorKind::WouldBlock => WriteError::InUse { path: path.clone() },
            _ => failed(source),
        };
        if let Some(stream) = place.as_stream() {
            let file = Locked::take(stream.map_err(failed)?).map_err(in_use)?;
            return Self::begun(place, file, None, None);
        }
        let old = (!place.is_free())
            .then(|| OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&path))
            // What cannot be read, such as a link, no mapprof is writing.
            .and_then(Result::ok)
            .map(Locked::take)
            .transpose()
            .map_err(in_use)?;
        let (file, beside) = place::beside(&path).map_err(failed)?.into_parts();
        Self::begun(place, Locked::take(file).map_err(failed)?, Some(beside), old)
    }

    fn begun(
        place: Place,
        file: Locked,
        beside: Option<TempPath>,
        old: Option<Locked>,
    ) -> Result<Self, WriteError> {
        let is_file = place.as_stream().is_none();
        let mut writer = Self { place, file, beside, old, whole: 0, is_file };
        let path = writer.path().to_owned();
        writer.begin().map_err(|source| WriteError::Create { path, source })?;
        Ok(writer)
    }

    /// Writes the file's head.
    fn begin(&mut self) -> io::Result<()> {
        let file = self.file.file();
        let mut head = [0; FILE_HEAD];
        head[..MAGIC.len()].copy_from_slice(&MAGIC);
        head[MAGIC.len()..].copy_from_slice(&VERSION.to_le_bytes());
        file.write_all(&head)?;
        self.whole = FILE_HEAD as u64;
        Ok(())
    }

    /// Has it take its place, if it has not yet.
    pub fn settle(&mut self) -> Result<(), WriteError> {
        let Some(beside) = self.beside.take() else { return Ok(()) };
        // So that a crash of the machine leaves the old file or the new one.
        let synced = self.file.file().sync_data();
        let settled = match synced {
            Ok(()) => self.place.take(beside).map_err(|error| (error.error, error.path)),
            Err(error) => Err((error, beside)),
        };
        if let Err((source, beside)) = settled {
            self.beside = Some(beside);
            return Err(WriteError::Create { path: self.path().to_owned(), source });
        }
        drop(self.old.take());
        Ok(())
    }

    /// A file beside this one, to take its place.
    pub(super) fn beside(&mut self) -> io::Result<Smaller> {
        let (file, path) = place::beside(self.place.path())?.into_parts();
        file.set_permissions(self.metadata()?.permissions())?;
        let file = Locked::take(file)?;
        let place = self.place.again();
        let mut writer = Self { place, file, beside: None, old: None, whole: 0, is_file: true };
        writer.begin()?;
        Ok(Smaller { writer, path })
    }

    /// Lets another, made by [`Writer::beside`], take this one's place. Those who read the
    /// old file keep it.
    pub(super) fn replace(&mut self, by: Smaller) -> io::Result<()> {
        let Smaller { mut writer, path } = by;
        // So that a crash of the machine leaves the old file or the new one.
        writer.file.file().sync_data()?;
        if self.beside.is_some() {
            self.beside = Some(path);
        } else {
            path.persist(self.place.path()).map_err(|error| error.error)?;
        }
        (self.file, self.whole) = (writer.file, writer.whole);
        Ok(())
    }

    /// Adds a record. After an error the file is as it was before, and the next
    /// record may go in.
    pub fn append(&mut self, record: &Record<'_>) -> Result<(), WriteError> {
        let frame =
            encode(record).ok_or_else(|| WriteError::TooLarge { path: self.path().to_owned() })?;
        self.append_frame(&frame)
    }

    /// The same of a record that is encoded already.
    pub(super) fn append_frame(&mut self, frame: &[u8]) -> Result<(), WriteError> {
        self.check()?;
        if let Err(source) = self.file.file().write_all(frame) {
            // Half a frame would hide all that follow. Where this fails, too, the
            // file is no ordinary one, and the first error says more.
            self.cut(self.whole);
            return Err(WriteError::Append { path: self.path().to_owned(), source });
        }
        self.whole += frame.len() as u64;
        Ok(())
    }

    /// Whether the file is still there and as long as it was made: who cuts it off takes
    /// what was in it, and all that follows stands behind a hole.
    pub(super) fn check(&mut self) -> Result<(), WriteError> {
        if !self.is_file {
            return Ok(());
        }
        let path = self.path().to_owned();
        match self.metadata() {
            Ok(data) if data.nlink() == 0 => Err(WriteError::Removed { path }),
            Ok(data) if data.len() != self.whole => Err(WriteError::Changed { path }),
            _ => Ok(()),
        }
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
        self.place.path()
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

/// A smaller recording that is to take the place of the one it was made of.
#[derive(Debug)]
pub(super) struct Smaller {
    pub(super) writer: Writer,
    /// Gone with it, if nothing comes of it.
    path: TempPath,
}
