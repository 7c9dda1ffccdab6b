//! One of the recordings to be merged.
//!
//! In: its file. Out: its names, and its slices one after the other. The file is opened for
//! each slice anew, since there may be more recordings than files that a process may have
//! open; only a pipe's copy, and what is still being written and may be replaced, stay open.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Merged;
use crate::model::{Definitions, Slice, TargetInfo};
use crate::outside::Shown as _;
use crate::recording::format::{Brief, FILE_HEAD, Header, Record, brief, decode};
use crate::recording::input::Input;
use crate::recording::names;
use crate::recording::reader::{ReadError, Reader};

/// A recording to be merged.
pub(super) struct Source {
    pub(super) targets: Vec<TargetInfo>,
    pub(super) names: Definitions,
    pub(super) slices: Slices,
}

impl Source {
    /// Reads all names, for which so much memory is left, and what there is to say of its
    /// state.
    pub(super) fn open(
        path: &Path,
        names_left: &mut usize,
        merged: &mut Merged,
    ) -> Result<Self, ReadError> {
        let input = Input::open(path)?;
        let mut reader = input.reader()?;
        *reader.names_left() = *names_left;
        let mut targets = None;
        let mut names = Definitions::default();
        let mut slices = 0;
        for record in reader.by_ref() {
            match record {
                Record::Header(header) if targets.is_none() => {
                    let Header { target, sources, .. } = header.into_owned();
                    targets = Some(if sources.is_empty() { vec![target] } else { sources });
                }
                Record::Definitions(new) => names::extend(&mut names, new.into_owned()),
                Record::Slice(_) => slices += 1,
                Record::Header(_) | Record::End { .. } => {}
            }
        }
        *names_left = *reader.names_left();
        if let Some(damage) = reader.damage() {
            merged.problems.push(format!("{}: {damage}", path.shown()));
        }
        if reader.growing() {
            let path = path.shown();
            merged.notes.push(format!("{path} is still being written; what it holds is merged"));
        }
        let stays = input.is_copy() || reader.growing();
        let held = if stays { Held::Open(input) } else { Held::of(&input)? };
        Ok(Self { targets: targets.unwrap_or_default(), names, slices: Slices::new(held, slices) })
    }
}

/// How to come to a recording again.
enum Held {
    /// It is open.
    Open(Input),
    /// By its path, as long as the same file is there.
    Path { path: PathBuf, identity: (u64, u64), version: u32 },
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

impl Held {
    fn of(input: &Input) -> Result<Self, ReadError> {
        let path = input.path().to_owned();
        match input.file().metadata() {
            Ok(file) => {
                Ok(Self::Path { path, identity: identity(&file), version: input.version() })
            }
            Err(source) => Err(ReadError::Io { path, source }),
        }
    }

    fn path(&self) -> &PathBuf {
        match self {
            Self::Open(input) => input.path(),
            Self::Path { path, .. } => path,
        }
    }

    fn reader(&self, offset: u64) -> io::Result<Reader> {
        let file = match self {
            Self::Open(input) => return input.reader_from(offset),
            Self::Path { path, .. } => File::open(path)?,
        };
        match self {
            Self::Path { path, identity: it, version } if identity(&file.metadata()?) == *it => {
                Reader::from_offset(file, path, *version, offset)
            }
            _ => Err(io::Error::other("another file is there by now")),
        }
    }
}

/// The next slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Wall clock, ns since the epoch.
    pub(super) start_unix_ns: u64,
    pub(super) duration_ns: u64,
    /// Of its frame in the file.
    offset: u64,
}

/// The slices of a recording, of those that were there when it was opened.
pub(super) struct Slices {
    held: Held,
    /// How many there are still.
    left: u64,
    next: Option<Head>,
    /// What went wrong.
    problem: Option<io::Error>,
}

impl Slices {
    fn new(held: Held, left: u64) -> Self {
        let mut slices = Self { held, left, next: None, problem: None };
        match slices.held.reader(FILE_HEAD as u64) {
            Ok(mut reader) => slices.look(&mut reader),
            Err(error) => slices.problem = Some(error),
        }
        slices
    }

    /// When the next one is, if there is one.
    pub(super) fn peek(&self) -> Option<Head> {
        self.next
    }

    /// What is missing of the recording, in a sentence.
    pub(super) fn problem(&self) -> Option<String> {
        let why = match &self.problem {
            Some(error) => error.to_string(),
            None if self.left > 0 => "it was changed meanwhile".to_owned(),
            None => return None,
        };
        let (path, left) = (self.held.path().shown(), self.left);
        Some(format!("{path} cannot be read once more: {why}; {left} intervals of it are missing"))
    }

    /// The next one, and how much memory it takes at most.
    pub(super) fn take(&mut self) -> Option<(Slice, usize)> {
        loop {
            let head = self.next.take()?;
            let mut reader = match self.held.reader(head.offset) {
                Ok(reader) => reader,
                Err(error) => {
                    self.problem = Some(error);
                    return None;
                }
            };
            let (_, body) = reader.next_body()?;
            let Ok((Record::Slice(slice), memory)) = decode(&body, reader.version()) else {
                // It was passed over the first time, too.
                self.look(&mut reader);
                continue;
            };
            self.left -= 1;
            self.look(&mut reader);
            return Some((slice.into_owned(), memory));
        }
    }

    /// Finds the next one.
    fn look(&mut self, reader: &mut Reader) {
        while self.left > 0
            && let Some((bytes, body)) = reader.next_body()
        {
            if let Some(Brief::Slice { start_unix_ns, duration_ns }) = brief(&body) {
                let offset = reader.offset() - bytes;
                self.next = Some(Head { start_unix_ns, duration_ns, offset });
                return;
            }
        }
    }
}
