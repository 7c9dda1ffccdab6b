//! Several recordings of one service as one: of several processes, or hosts.
//!
//! In: recordings. Out: one recording in which what reads the same is one: maps and locks by
//! their names, keys by their text, stacks by their frames. Each source is read from its
//! beginning to its end, twice, and an interval of each is in memory at a time.

mod join;
mod source;
#[cfg(test)]
mod tests;
mod translate;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::format::{Header, Record};
use super::names;
use super::place::{Place, Replace};
use super::reader::{MOST_NAMES, ReadError};
use super::writer::{WriteError, Writer};
use crate::model::{Slice, TargetInfo};
use join::Joiner;
use source::{Head, Slices, Source};
use translate::{Common, Translator};

/// Most memory that the slices of an interval may take together, bytes.
const MOST_MEMORY: usize = 64 << 20;

/// What keeps recordings from being merged.
#[derive(Debug, Error)]
pub enum MergeError {
    /// None of them can be read.
    #[error("none of the recordings can be read; the first: {0}")]
    Read(#[from] ReadError),
    /// The output cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Recordings that could be read, if only in part.
    pub recordings: u64,
    /// Intervals of the output.
    pub intervals: u64,
    /// What of the inputs could not be read, in a sentence each.
    pub problems: Vec<String>,
    /// What else there is to say.
    pub notes: Vec<String>,
}

/// Writes one recording made of several; what is at its place may only be another.
pub fn merge(paths: &[PathBuf], output: &Path) -> Result<Merged, MergeError> {
    let inputs: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let place = Place::find(output, &inputs, Replace::Recordings).map_err(WriteError::from)?;
    merge_at(paths, place)
}

/// The same at a place that was found before.
pub fn merge_at(paths: &[PathBuf], place: Place) -> Result<Merged, MergeError> {
    let mut merged = Merged::default();
    let mut sources = Vec::new();
    let mut names_left = MOST_NAMES;
    let mut unread = None;
    for path in paths {
        match Source::open(path, &mut names_left, &mut merged) {
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
    merged.recordings = sources.len() as u64;
    let mut writer = Writer::beside_its_place(place)?;
    write(sources, &mut writer, &mut merged)?;
    // Where there is none, nothing takes the place.
    if merged.intervals > 0 {
        writer.settle()?;
    }
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
        streams.push(Stream { slices: source.slices, translator });
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
    merged.problems.extend(streams.iter().filter_map(|stream| stream.slices.problem()));
    let end = if count == 1 { "copied".into() } else { format!("merged from {count} recordings") };
    writer.append(&Record::End { reason: end.into() })
}

/// A recording that is being merged.
struct Stream {
    slices: Slices,
    translator: Translator,
}

/// The slices of each source that make up the next interval: that of the source whose next
/// slice is the earliest, and those of the others that lie in it for the most part.
fn next_interval(streams: &mut [Stream]) -> Option<Vec<Vec<Slice>>> {
    let (start, first, slice, mut memory) = loop {
        let heads = streams.iter().enumerate();
        let starts =
            heads.filter_map(|(number, it)| Some((it.slices.peek()?.start_unix_ns, number)));
        let (start, first) = starts.min()?;
        // What cannot be read any more has no next one either.
        if let Some((slice, memory)) = streams[first].slices.take() {
            break (start, first, slice, memory);
        }
    };
    let mut interval: Vec<Vec<Slice>> = streams.iter().map(|_| Vec::new()).collect();
    let end = start.saturating_add(slice.duration_ns);
    interval[first].push(slice);
    let middle = |head: Head| head.start_unix_ns.saturating_add(head.duration_ns / 2);
    for (number, stream) in streams.iter_mut().enumerate().filter(|(number, _)| *number != first) {
        // What there is no room for is in the next interval.
        while memory < MOST_MEMORY && stream.slices.peek().is_some_and(|head| middle(head) < end) {
            let Some((slice, more)) = stream.slices.take() else { break };
            memory = memory.saturating_add(more);
            let slice = match interval[number].pop() {
                Some(before) => join::in_a_row(&[&before, &slice]),
                None => slice,
            };
            interval[number].push(slice);
        }
    }
    Some(interval)
}
