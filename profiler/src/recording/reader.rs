//! Reads a recording, one record at a time.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::format::{FILE_HEAD, FRAME_HEAD, MOST_COMPRESSED, OLDEST, Record, VERSION, decode};
use super::input::Input;
use super::lock::is_being_written;
use crate::meter::{self, Mark};
use crate::outside::Shown as _;

/// What keeps a recording from being read at all.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("cannot read the recording {}: {source}", path.shown())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not begin like one.
    #[error("{} is not a recording of mapprof: make one with `mapprof record`", path.shown())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing in it.
    #[error(
        "{} is empty, no recording of mapprof: make one with `mapprof record`", path.shown()
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Its layout is an earlier one.
    #[error(
        "the recording {} has format version {version}, this mapprof reads versions {OLDEST} to {VERSION}: \
         use the mapprof that recorded it, or record again",
        path.shown()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The file's version.
        version: u32,
    },
    /// Its layout is a later one.
    #[error(
        "the recording {} has format version {version}, this mapprof reads versions {OLDEST} to {VERSION}: \
         it was made by a newer mapprof; use that one",
        path.shown()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The file's version.
        version: u32,
    },
    /// No slice begins in the part that is wanted.
    #[error(
        "no interval of the recording {} begins in the part asked for; it covers {covers}",
        path.shown()
    )]
    EmptyPart {
        /// The file.
        path: PathBuf,
        /// What there is.
        covers: String,
    },
}

/// What of a recording could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Offset in the file of the first frame that could not be read.
    pub offset: u64,
    /// What is wrong with it.
    pub what: &'static str,
    /// Where in what that frame holds, bytes, if that is known.
    pub within: Option<u64>,
    /// Bytes that were passed over, there and further on.
    pub skipped: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.what)?;
        if let Some(within) = self.within {
            write!(f, ", at byte {within} of its contents")?;
        }
        match self.skipped {
            0 => Ok(()),
            bytes => write!(f, "; {bytes} bytes could not be used"),
        }
    }
}

/// Most memory that all names of a recording may take, bytes: those of some 150,000 places
/// in the code.
pub(super) const MOST_NAMES: usize = 64 << 20;

const CUT_SHORT: &str = "the recording is cut short";
const NOT_ENDED: &str = "the recording has no end and nobody is writing it, so it was broken off";
const BAD_LENGTH: &str = "a frame's length is damaged";
const BAD_CHECKSUM: &str = "a frame's checksum does not match";
const TOO_MANY_NAMES: &str = "a frame's names would take more memory than names may";
const READ_FAILED: &str = "the file could not be read further";

/// The records of a file, in order; an iterator that ends at the file's end or
/// where nothing more can be made out. A frame that is damaged within is passed
/// over. [`Reader::damage`] tells both afterwards.
///
/// Where the file goes on growing, further records come after a `None`.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    /// Of the next frame.
    offset: u64,
    damage: Option<Damage>,
    /// What is wrong with the file's end, as long as nothing follows.
    tail: Option<Damage>,
    ended: bool,
    growing: bool,
    /// Where the next frame begins is not known.
    lost: bool,
    /// Memory that further names may take, bytes.
    names_left: usize,
    /// The file's.
    version: u32,
}

impl Reader {
    /// Opens a recording.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Input::open(path)?.reader()
    }

    /// The records of a file that this process writes itself, from the first one on.
    pub(super) fn of(file: File, path: &Path) -> io::Result<Self> {
        Self::from_offset(file, path, VERSION, FILE_HEAD as u64)
    }

    /// The records of a file of this version, from the frame on that begins at an offset.
    pub(super) fn from_offset(
        mut file: File,
        path: &Path,
        version: u32,
        offset: u64,
    ) -> io::Result<Self> {
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufReader::new(file),
            offset,
            damage: None,
            tail: None,
            ended: false,
            growing: false,
            lost: false,
            names_left: MOST_NAMES,
            version,
        })
    }

    /// The file's version.
    pub(super) fn version(&self) -> u32 {
        self.version
    }

    /// Where the next frame begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Memory that further names may take, bytes: of several recordings together.
    pub(super) fn names_left(&mut self) -> &mut usize {
        &mut self.names_left
    }

    /// What could not be read so far; complete once the iterator has ended.
    pub fn damage(&self) -> Option<Damage> {
        match (&self.damage, &self.tail) {
            (Some(damage), Some(tail)) => {
                Some(Damage { skipped: damage.skipped + tail.skipped, ..damage.clone() })
            }
            (damage, tail) => damage.clone().or_else(|| tail.clone()),
        }
    }

    /// Whether somebody was writing the file when its end was reached.
    pub fn growing(&self) -> bool {
        self.growing
    }

    /// Whether another file has taken this one's place, as a recording that got too large
    /// is replaced by one of coarser slices.
    pub fn is_replaced(&self) -> bool {
        let identity = |data: std::fs::Metadata| (data.dev(), data.ino());
        let mine = self.file.get_ref().metadata().map(identity);
        let there = std::fs::metadata(&self.path).map(identity);
        matches!((mine, there), (Ok(mine), Ok(there)) if mine != there)
    }

    /// The next frame's body.
    fn frame(&mut self) -> Result<Vec<u8>, Fault> {
        meter::tell(Mark { done: self.offset, all: None, on: "" });
        let head = self.bytes(FRAME_HEAD)?;
        if head.is_empty() {
            return Err(Fault::End(NOT_ENDED));
        }
        let (Some(len), Some(crc)) =
            (head.first_chunk(), head.get(4..).and_then(<[u8]>::first_chunk))
        else {
            return Err(Fault::End(CUT_SHORT));
        };
        let len = u32::from_le_bytes(*len);
        if len == 0 || len > MOST_COMPRESSED {
            return Err(Fault::Stop(BAD_LENGTH));
        }
        let body = self.bytes(len as usize)?;
        if body.len() < len as usize {
            return Err(Fault::End(CUT_SHORT));
        }
        if crc32fast::hash(&body) != u32::from_le_bytes(*crc) {
            return Err(Fault::Skip(BAD_CHECKSUM));
        }
        Ok(body)
    }

    /// The next `count` bytes, or as many as there are.
    fn bytes(&mut self, count: usize) -> Result<Vec<u8>, Fault> {
        // A length may lie; the file's cannot.
        let there = self.file_end().saturating_sub(self.offset);
        let mut bytes = Vec::with_capacity(there.min(count as u64) as usize);
        let read = self.file.by_ref().take(count as u64).read_to_end(&mut bytes);
        self.offset += bytes.len() as u64;
        read.map(|_| bytes).map_err(|_| Fault::Stop(READ_FAILED))
    }

    /// Notes that the bytes from `start` to `end` are of no use.
    fn damaged(&mut self, what: &'static str, within: Option<u64>, start: u64, end: u64) {
        let damage = Damage { offset: start, what, within, skipped: 0 };
        let damage = self.damage.get_or_insert(damage);
        damage.skipped += end.saturating_sub(start);
    }

    /// The file ends within or before the frame at `start`. Whether there is more already,
    /// which its writer has left before it ended.
    fn at_end(&mut self, what: &'static str, start: u64) -> bool {
        let reached = std::mem::replace(&mut self.offset, start);
        if self.file.seek(SeekFrom::Start(start)).is_err() {
            self.lost = true;
        }
        self.growing = !self.ended && is_being_written(self.file.get_ref());
        if !self.growing && !self.lost && self.file_end() > reached {
            return true;
        }
        let whole = reached == start;
        let complaint = Damage { offset: start, what, within: None, skipped: reached - start };
        let is_well = self.growing || (self.ended && whole);
        self.tail = (!is_well).then_some(complaint);
        false
    }

    fn file_end(&self) -> u64 {
        self.file.get_ref().metadata().map_or(self.offset, |metadata| metadata.len())
    }
}

/// Why there is no frame.
enum Fault {
    /// It is of no use, but the one after it may be.
    Skip(&'static str),
    /// The file ends here.
    End(&'static str),
    /// Where the next one begins is not known.
    Stop(&'static str),
}

impl Reader {
    /// The next whole frame: how long it is, with its head, and its body.
    pub(super) fn next_body(&mut self) -> Option<(u64, Vec<u8>)> {
        while !self.lost {
            let start = self.offset;
            match self.frame() {
                Ok(body) => return Some((self.offset - start, body)),
                Err(Fault::Skip(what)) => self.damaged(what, None, start, self.offset),
                Err(Fault::End(what)) => {
                    if !self.at_end(what, start) {
                        return None;
                    }
                }
                Err(Fault::Stop(what)) => {
                    self.lost = true;
                    self.damaged(what, None, start, self.file_end());
                }
            }
        }
        None
    }
}

impl Iterator for Reader {
    type Item = Record<'static>;

    fn next(&mut self) -> Option<Record<'static>> {
        loop {
            let (len, body) = self.next_body()?;
            let start = self.offset - len;
            let (record, memory) = match decode(&body, self.version) {
                Ok(decoded) => decoded,
                Err(bad) => {
                    self.damaged(bad.what, bad.within, start, self.offset);
                    continue;
                }
            };
            if matches!(record, Record::Definitions(_)) {
                let Some(left) = self.names_left.checked_sub(memory) else {
                    self.damaged(TOO_MANY_NAMES, None, start, self.offset);
                    continue;
                };
                self.names_left = left;
            }
            self.ended = matches!(record, Record::End { .. });
            return Some(record);
        }
    }
}
