//! A whole recording, or a part of one, added up.

use std::path::Path;

use super::format::{Header, Record};
use super::input::Input;
use super::part::{Covers, Part};
use super::reader::{Damage, ReadError};
use crate::model::{Limits, Session, TargetInfo};

/// What of a recording is wanted, and how finely.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// Bounds of the session.
    pub limits: Limits,
    /// Which slices.
    pub part: Part,
}

impl Default for ReadOptions {
    /// All of it, with a past so long that its steps stay what they were for hours: a
    /// million rows, some 80 MB.
    fn default() -> Self {
        let limits = Limits { past_rows: 1_000_000, ..Limits::default() };
        Self { limits, part: Part::default() }
    }
}

/// A recording, added up.
#[derive(Debug)]
pub struct Recording {
    /// The sum of its slices.
    pub session: Session,
    /// mapprof's version that wrote it.
    pub tool_version: String,
    /// Why it ended, where it did.
    pub end: Option<String>,
    /// Somebody is writing it still; then this is what there was.
    pub growing: bool,
    /// What of it could not be read.
    pub damage: Option<Damage>,
}

/// Reads and adds up a whole recording.
pub fn read(path: &Path) -> Result<Recording, ReadError> {
    read_with(path, &ReadOptions::default())
}

/// Reads a recording and adds up what is wanted of it.
///
/// Names are taken from all of it, figures from the slices that begin in the part. It is
/// an error where none does.
pub fn read_with(path: &Path, options: &ReadOptions) -> Result<Recording, ReadError> {
    read_from(&Input::open(path)?, options)
}

/// The same of one that is open.
pub fn read_from(input: &Input, options: &ReadOptions) -> Result<Recording, ReadError> {
    let covers = if options.part.is_whole() { None } else { covered(input)? };
    let (from, to) = covers.map_or((0, u64::MAX), |covers| options.part.within(covers));
    let mut reader = input.reader()?;
    let mut loading = Loading::new(options.limits);
    let mut slices = 0_u64;
    for record in reader.by_ref() {
        if let Record::Slice(slice) = &record {
            if !(from..to).contains(&slice.start_unix_ns) {
                continue;
            }
            slices += 1;
        }
        loading.take(record);
    }
    if slices == 0 && !options.part.is_whole() {
        let covers = covers.map_or_else(|| "no time at all".to_owned(), Covers::text);
        return Err(ReadError::EmptyPart { path: input.path().to_owned(), covers });
    }
    let damage = reader.damage();
    let growing = reader.growing();
    let Loading { session, tool_version, end, .. } = loading;
    let session = session.unwrap_or_else(|| unknown(options.limits));
    Ok(Recording { session, tool_version, end, growing, damage })
}

/// What all slices cover; `None` where there is none.
fn covered(input: &Input) -> Result<Option<Covers>, ReadError> {
    let mut covers: Option<Covers> = None;
    for record in input.reader()? {
        let Record::Slice(slice) = record else { continue };
        let (start, end) =
            (slice.start_unix_ns, slice.start_unix_ns.saturating_add(slice.duration_ns));
        let covers = covers.get_or_insert(Covers { from_unix_ns: start, to_unix_ns: end });
        covers.from_unix_ns = covers.from_unix_ns.min(start);
        covers.to_unix_ns = covers.to_unix_ns.max(end);
    }
    Ok(covers)
}

/// A recording as far as it has been taken in.
#[derive(Debug)]
pub struct Loading {
    limits: Limits,
    session: Option<Session>,
    tool_version: String,
    end: Option<String>,
}

impl Loading {
    /// Nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, session: None, tool_version: String::new(), end: None }
    }

    /// Takes in the next record; returns whether it was a slice.
    pub fn take(&mut self, record: Record<'_>) -> bool {
        match record {
            // First of all, or its frame is damaged.
            Record::Header(header) if self.session.is_none() => {
                let Header { target, tool_version, .. } = header.into_owned();
                self.session = Some(Session::with_limits(target, self.limits));
                self.tool_version = tool_version;
            }
            Record::Header(_) => {}
            Record::Definitions(new) => self.known().define(new.into_owned()),
            Record::Slice(slice) => {
                self.known().push(slice.into_owned());
                return true;
            }
            Record::End { reason } => self.end = Some(reason.into_owned()),
        }
        false
    }

    /// The sum so far.
    pub fn session(&mut self) -> &Session {
        self.known()
    }

    /// Why the recording ended, where it did.
    pub fn end(&self) -> Option<&str> {
        self.end.as_deref()
    }

    fn known(&mut self) -> &mut Session {
        self.session.get_or_insert_with(|| unknown(self.limits))
    }
}

/// A session of a target that the recording does not name.
fn unknown(limits: Limits) -> Session {
    Session::with_limits(TargetInfo::default(), limits)
}
