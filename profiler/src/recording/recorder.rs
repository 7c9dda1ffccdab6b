//! What a run writes: its intervals, within a size.
//!
//! In: names and slices as they come. Out: a recording that holds them. What does not go in,
//! since the disk is full, is kept and goes in with the next interval.

use std::borrow::Cow;
use std::path::Path;

use super::compact::compact;
use super::format::{Header, Record, encode};
use super::names::{self, Used};
use super::place::{Place, Replace};
use super::writer::{WriteError, Writer};
use crate::model::{Definitions, Limits, Slice, merged};

/// Kept free for the last record, bytes.
const END: u64 = 64;

/// A recording in the making.
#[derive(Debug)]
pub struct Recorder {
    writer: Writer,
    limits: Limits,
    max_bytes: u64,
    /// It did not get smaller than this.
    least_bytes: u64,
    header: Option<Header>,
    /// Names that are not in the file yet.
    names: Definitions,
    /// Names that were taken out of the file, since no slice mentioned them any more.
    shelf: Definitions,
    /// Intervals that are not in the file yet, as one.
    waiting: Option<Slice>,
    compactions: u64,
}

impl Recorder {
    /// Makes the file; where a recording is there, it is replaced once an interval is in the
    /// new one. It keeps to so many bytes, as far as a single slice and the names in it do.
    pub fn create(path: &Path, max_bytes: u64, limits: Limits) -> Result<Self, WriteError> {
        Self::at(Place::find(path, &[], Replace::Recordings)?, max_bytes, limits)
    }

    /// The same at a place that was found before.
    pub fn at(place: Place, max_bytes: u64, limits: Limits) -> Result<Self, WriteError> {
        let writer = Writer::at(place)?;
        Ok(Self {
            writer,
            limits,
            max_bytes,
            least_bytes: 0,
            header: None,
            names: Definitions::default(),
            shelf: Definitions::default(),
            waiting: None,
            compactions: 0,
        })
    }

    /// What is recorded. It is written with the first interval at the latest.
    pub fn header(&mut self, header: Header) -> Result<(), WriteError> {
        self.header = Some(header);
        self.flush()
    }

    /// Adds an interval and the names that are new in it. They are in the file when this
    /// returns; after an error they wait for the next call.
    pub fn interval(&mut self, names: &Definitions, slice: &Slice) -> Result<(), WriteError> {
        names::extend(&mut self.names, names.clone());
        match self.waiting.take() {
            Some(before) => {
                self.waiting = Some(merged(&[&before, slice], &self.limits));
                self.flush()
            }
            // Slices are large: this one is copied only where it has to wait.
            None => self.write(Some(slice)).inspect_err(|error| {
                self.waiting = waits_after(error).then(|| slice.clone());
            }),
        }
    }

    /// Ends it: nothing is missing.
    pub fn end(&mut self, reason: &str) -> Result<(), WriteError> {
        self.flush()?;
        self.writer.append(&Record::End { reason: reason.into() })?;
        self.writer.settle()
    }

    /// What is not in the file.
    pub fn missing(&self) -> Option<&Slice> {
        self.waiting.as_ref()
    }

    /// How large it is, bytes.
    pub fn bytes(&self) -> u64 {
        self.writer.bytes()
    }

    /// Whether it is larger than it should be, because even one slice and its names are.
    pub fn is_too_large(&self) -> bool {
        self.writer.is_file() && self.writer.bytes() > self.max_bytes
    }

    /// How often old slices were joined to make room.
    pub fn compactions(&self) -> u64 {
        self.compactions
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        let waiting = self.waiting.take();
        self.write(waiting.as_ref()).inspect_err(|error| {
            self.waiting = waiting.filter(|_| waits_after(error));
        })
    }

    /// Writes what there is besides, and the slice; all or nothing of it.
    fn write(&mut self, slice: Option<&Slice>) -> Result<(), WriteError> {
        if let Some(header) = self.header.take()
            && let Err(error) = self.writer.append(&Record::Header(Cow::Borrowed(&header)))
        {
            self.header = Some(header);
            return Err(error);
        }
        if let Some(slice) = slice {
            self.revive(slice);
        }
        let before = self.writer.bytes();
        if !names::is_empty(&self.names) {
            self.writer.append(&Record::Definitions(Cow::Borrowed(&self.names)))?;
        }
        let names = std::mem::take(&mut self.names);
        let Some(slice) = slice else { return Ok(()) };
        self.append(slice, before).inspect_err(|_| {
            // The names may be in the file already; twice is as well.
            names::extend(&mut self.names, names);
        })
    }

    /// Puts names back that the slice mentions again.
    fn revive(&mut self, slice: &Slice) {
        if names::is_empty(&self.shelf) {
            return;
        }
        let mut used = Used::default();
        used.note(slice);
        used.follow(&self.names);
        used.follow(&self.shelf);
        let again = used.take_from(&mut self.shelf);
        let newer = std::mem::replace(&mut self.names, again);
        names::extend(&mut self.names, newer);
    }

    /// Appends the slice and makes room where it is one too many; the file was `before`
    /// bytes long without it and its names.
    fn append(&mut self, slice: &Slice, before: u64) -> Result<(), WriteError> {
        let record = Record::Slice(Cow::Borrowed(slice));
        let path = || self.writer.path().to_owned();
        let frame = encode(&record).ok_or_else(|| WriteError::TooLarge { path: path() })?;
        self.writer.append_frame(&frame)?;
        if let Err(error) = self.writer.settle() {
            self.writer.cut(before);
            return Err(error);
        }
        let most = self.max_bytes.saturating_sub(END);
        // Where it does not get smaller, it is not tried each time.
        if !self.writer.is_file() || self.writer.bytes() <= most.max(self.least_bytes) {
            return Ok(());
        }
        self.compactions += 1;
        if let Err(source) = compact(&mut self.writer, most / 4 * 3, &self.limits, &mut self.shelf)
        {
            self.writer.cut(before);
            return Err(WriteError::Compact { path: self.writer.path().to_owned(), source });
        }
        let bytes = self.writer.bytes();
        self.least_bytes = if bytes > most { bytes + bytes / 4 } else { 0 };
        Ok(())
    }
}

/// Whether what was not written may be later.
fn waits_after(error: &WriteError) -> bool {
    !matches!(error, WriteError::TooLarge { .. })
}
