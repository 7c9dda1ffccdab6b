//! Several recordings of one service as one: of several processes, or hosts.
//!
//! In: recordings. Out: one recording in which what reads the same is one: maps and locks by
//! their names, keys by their text, stacks by their frames. Each source is read from its
//! beginning to its end, twice, and an interval of each is in memory at a time.

mod join;
#[cfg(test)]
mod tests;
mod translate;

use std::borrow::Cow;
use std::fs;
use std::iter::Peekable;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::format::{Header, Record};
use super::names;
use super::reader::{ReadError, Reader};
use super::writer::{WriteError, Writer};
use crate::model::{Definitions, Slice, TargetInfo};
use join::Joiner;
use translate::{Common, Translator};

/// What keeps recordings from being merged.
#[derive(Debug, Error)]
pub enum MergeError {
    /// None of them can be read.
    #[error("none of the recordings can be read; the first: {0}")]
    Read(#[from] ReadError),
    /// The output cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The output is one of the inputs.
    #[error("{} is one of the recordings to be merged; choose another file with -o", path.display())]
    Itself {
        /// The file.
        path: PathBuf,
    },
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Intervals of the output.
    pub intervals: u64,
    /// What of the inputs could not be read, in a sentence each.
    pub problems: Vec<String>,
    /// What else there is to say.
    pub notes: Vec<String>,
}

/// Writes one recording made of several.
pub fn merge(paths: &[PathBuf], output: &Path) -> Result<Merged, MergeError> {
    if paths.iter().any(|path| is_same(path, output)) {
        return Err(MergeError::Itself { path: output.to_owned() });
    }
    let mut merged = Merged::default();
    let mut sources = Vec::new();
    let mut unread = None;
    for path in paths {
        match Source::open(path, &mut merged) {
            Ok(source) => sources.push(source),
            Err(error) => {
                merged.problems.push(error.to_string());
                unread = unread.or(Some(error));
            }
        }
    }
    if let Some(error) = unread.filter(|_| sources.is_empty()) {
        return Err(error.into());
    }
    let mut writer = Writer::create(output)?;
    write(sources, &mut writer, &mut merged)?;
    Ok(merged)
}

fn write(sources: Vec<Source>, writer: &mut Writer, merged: &mut Merged) -> Result<(), WriteError> {
    let infos: Vec<TargetInfo> =
        sources.iter().flat_map(|source| source.targets.iter().cloned()).collect();
    let count = sources.len();
    let mut header = Header::new(TargetInfo::common(&infos));
    if infos.len() > 1 {
        header.sources = infos;
    }
    writer.append(&Record::Header(Cow::Owned(header)))?;
    let mut common = Common::default();
    let mut streams: Vec<Stream> = Vec::new();
    for (number, source) in sources.into_iter().enumerate() {
        let translator = Translator::new(number, count > 1, source.names, &mut common);
        streams.push(Stream { slices: source.slices.peekable(), translator });
    }
    let mut joiner = Joiner::new(count);
    while let Some(interval) = next_interval(&mut streams) {
        let slice = joiner.join(interval, &mut streams, &mut common);
        let new = std::mem::take(&mut common.new);
        if !names::is_empty(&new) {
            writer.append(&Record::Definitions(Cow::Owned(new)))?;
        }
        writer.append(&Record::Slice(Cow::Owned(slice)))?;
        merged.intervals += 1;
    }
    let end = if count == 1 { "copied".into() } else { format!("merged from {count} recordings") };
    writer.append(&Record::End { reason: end.into() })
}

/// A recording to be merged.
struct Source {
    targets: Vec<TargetInfo>,
    names: Definitions,
    slices: Slices,
}

impl Source {
    /// Reads all names, and what there is to say of its state.
    fn open(path: &Path, merged: &mut Merged) -> Result<Self, ReadError> {
        let mut reader = Reader::open(path)?;
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
        if let Some(damage) = reader.damage() {
            merged.problems.push(format!("{}: {damage}", path.display()));
        }
        if reader.growing() {
            let path = path.display();
            merged.notes.push(format!("{path} is still being written; what it holds is merged"));
        }
        let slices = Slices { reader: Reader::open(path)?, left: slices };
        Ok(Self { targets: targets.unwrap_or_default(), names, slices })
    }
}

/// The slices of a recording, of those that were there when it was opened.
struct Slices {
    reader: Reader,
    left: u64,
}

impl Iterator for Slices {
    type Item = Slice;

    fn next(&mut self) -> Option<Slice> {
        while self.left > 0 {
            if let Record::Slice(slice) = self.reader.next()? {
                self.left -= 1;
                return Some(slice.into_owned());
            }
        }
        None
    }
}

/// A recording that is being merged.
struct Stream {
    slices: Peekable<Slices>,
    translator: Translator,
}

/// The slices of each source that make up the next interval: that of the source whose next
/// slice is the earliest, and those of the others that lie in it for the most part.
fn next_interval(streams: &mut [Stream]) -> Option<Vec<Vec<Slice>>> {
    let heads = streams.iter_mut().enumerate();
    let starts = heads.filter_map(|(number, it)| Some((it.slices.peek()?.start_unix_ns, number)));
    let (start, first) = starts.min()?;
    let mut interval: Vec<Vec<Slice>> = streams.iter().map(|_| Vec::new()).collect();
    interval[first].extend(streams[first].slices.next());
    let end = start.saturating_add(interval[first].iter().map(|slice| slice.duration_ns).sum());
    for (number, stream) in streams.iter_mut().enumerate().filter(|(number, _)| *number != first) {
        let middle = |slice: &Slice| slice.start_unix_ns.saturating_add(slice.duration_ns / 2);
        while let Some(slice) = stream.slices.next_if(|slice| middle(slice) < end) {
            interval[number].push(slice);
        }
    }
    Some(interval)
}

fn is_same(a: &Path, b: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|data| (data.dev(), data.ino()));
    matches!((identity(a), identity(b)), (Ok(a), Ok(b)) if a == b)
}
