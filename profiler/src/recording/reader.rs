//! Reads a recording, one record at a time.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::format::{
    FILE_HEAD, FRAME_HEAD, Header, MAGIC, MOST_COMPRESSED, Record, VERSION, decode,
};
use crate::model::{Session, TargetInfo};

/// What keeps a recording from being read at all.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("cannot read the recording {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not begin like one.
    #[error("{} is not a recording of mapprof: make one with `mapprof record`", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Its layout is an earlier or a later one.
    #[error(
        "the recording {} has format version {version}, this mapprof reads version {VERSION}: \
         use the mapprof that recorded it, or a newer one",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The file's version.
        version: u32,
    },
}

/// What of a recording could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Offset in the file of the first frame that could not be read.
    pub offset: u64,
    /// What is wrong with it.
    pub what: &'static str,
    /// Bytes that were passed over, there and further on.
    pub skipped: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.what)?;
        match self.skipped {
            0 => Ok(()),
            bytes => write!(f, "; {bytes} bytes could not be used"),
        }
    }
}

const CUT_SHORT: &str = "the recording is cut short";
const NOT_ENDED: &str = "the recording has no end, so it was broken off or still goes on";
const BAD_LENGTH: &str = "a frame's length is damaged";
const BAD_CHECKSUM: &str = "a frame's checksum does not match";
const BAD_RECORD: &str = "a frame holds no record that this mapprof knows";
const READ_FAILED: &str = "the file could not be read further";

/// The records of a file, in order; an iterator that ends at the file's end or
/// where nothing more can be made out. A frame that is damaged within is passed
/// over. [`Reader::damage`] tells both afterwards.
#[derive(Debug)]
pub struct Reader {
    file: BufReader<File>,
    /// Of the next frame.
    offset: u64,
    damage: Option<Damage>,
    ended: bool,
    done: bool,
}

impl Reader {
    /// Opens a recording.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let failed = |source| ReadError::Io { path: path.to_owned(), source };
        let mut file = BufReader::new(File::open(path).map_err(failed)?);
        let mut head = Vec::new();
        file.by_ref().take(FILE_HEAD as u64).read_to_end(&mut head).map_err(failed)?;
        let version = head.strip_prefix(&MAGIC).and_then(|version| version.try_into().ok());
        match version.map(u32::from_le_bytes) {
            Some(VERSION) => {
                Ok(Self { file, offset: FILE_HEAD as u64, damage: None, ended: false, done: false })
            }
            Some(version) => Err(ReadError::Version { path: path.to_owned(), version }),
            None => Err(ReadError::Foreign { path: path.to_owned() }),
        }
    }

    /// What could not be read so far; complete once the iterator has ended.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// The next frame's body; `None` at the file's end.
    fn frame(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let head = self.bytes(FRAME_HEAD)?;
        if head.is_empty() {
            return Ok(None);
        }
        let (Some(len), Some(crc)) =
            (head.first_chunk(), head.get(4..).and_then(<[u8]>::first_chunk))
        else {
            return Err(Fault::Stop(CUT_SHORT));
        };
        let len = u32::from_le_bytes(*len);
        if len > MOST_COMPRESSED {
            return Err(Fault::Stop(BAD_LENGTH));
        }
        let body = self.bytes(len as usize)?;
        if body.len() < len as usize {
            return Err(Fault::Stop(CUT_SHORT));
        }
        if crc32fast::hash(&body) != u32::from_le_bytes(*crc) {
            return Err(Fault::Skip(BAD_CHECKSUM));
        }
        Ok(Some(body))
    }

    /// The next `count` bytes, or as many as there are.
    fn bytes(&mut self, count: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        let read = self.file.by_ref().take(count as u64).read_to_end(&mut bytes);
        self.offset += bytes.len() as u64;
        read.map(|_| bytes).map_err(|_| Fault::Stop(READ_FAILED))
    }

    /// Notes that the bytes from `start` to `end` are of no use.
    fn damaged(&mut self, what: &'static str, start: u64, end: u64) {
        let damage = self.damage.get_or_insert(Damage { offset: start, what, skipped: 0 });
        damage.skipped += end.saturating_sub(start);
    }

    fn file_end(&self) -> u64 {
        self.file.get_ref().metadata().map_or(self.offset, |metadata| metadata.len())
    }
}

/// Why a frame is of no use.
enum Fault {
    /// The one after it may be.
    Skip(&'static str),
    /// Where the next one begins is not known.
    Stop(&'static str),
}

impl Iterator for Reader {
    type Item = Record<'static>;

    fn next(&mut self) -> Option<Record<'static>> {
        while !self.done {
            let start = self.offset;
            match self.frame() {
                Ok(Some(body)) => match decode(&body) {
                    Some(record) => {
                        self.ended = matches!(record, Record::End { .. });
                        return Some(record);
                    }
                    None => self.damaged(BAD_RECORD, start, self.offset),
                },
                Ok(None) => {
                    self.done = true;
                    if !self.ended {
                        self.damaged(NOT_ENDED, start, start);
                    }
                }
                Err(Fault::Skip(what)) => self.damaged(what, start, self.offset),
                Err(Fault::Stop(what)) => {
                    self.done = true;
                    self.damaged(what, start, self.file_end());
                }
            }
        }
        None
    }
}

/// All of a recording, added up.
#[derive(Debug)]
pub struct Recording {
    /// The sum of its slices.
    pub session: Session,
    /// mapprof's version that wrote it.
    pub tool_version: String,
    /// Why it ended, where it did.
    pub end: Option<String>,
    /// What of it could not be read.
    pub damage: Option<Damage>,
}

/// Reads and adds up a whole recording.
pub fn read(path: &Path) -> Result<Recording, ReadError> {
    let mut reader = Reader::open(path)?;
    let mut session = None;
    let mut tool_version = String::new();
    let mut end = None;
    for record in reader.by_ref() {
        match record {
            // First of all, or its frame is damaged.
            Record::Header(header) if session.is_none() => {
                let Header { target, tool_version: version } = header.into_owned();
                session = Some(Session::new(target));
                tool_version = version;
            }
            Record::Header(_) => {}
            Record::Definitions(new) => known(&mut session).define(new.into_owned()),
            Record::Slice(slice) => known(&mut session).push(slice.into_owned()),
            Record::End { reason } => end = Some(reason.into_owned()),
        }
    }
    let damage = reader.damage().cloned();
    Ok(Recording { session: session.unwrap_or_else(unknown), tool_version, end, damage })
}

fn known(session: &mut Option<Session>) -> &mut Session {
    session.get_or_insert_with(unknown)
}

/// A session of a target that the recording does not name.
fn unknown() -> Session {
    Session::new(TargetInfo::default())
}
