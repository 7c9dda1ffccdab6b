//! Makes a recording smaller: its oldest slices are joined with their neighbours.
//!
//! In: a recording that is being written, and how large it may be. Out: the same in its
//! place, with fewer slices, and the names that it no longer needs. All slices together have
//! the sums that they had. Two slices are in memory at a time.

use std::borrow::Cow;
use std::io;

use super::format::{Brief, Record, VERSION, brief, decode, encode};
use super::names::{self, Used};
use super::reader::Reader;
use super::writer::Writer;
use crate::model::{Definitions, Limits, Slice, merged};

/// Parts of the slices, the newest ones, that stay as they are if that is enough: a quarter.
const FRESH: usize = 4;

/// A slice in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    /// Its frame's.
    bytes: u64,
    duration_ns: u64,
}

/// Makes the recording at most `target` bytes large, or as small as it gets. Names that
/// no slice mentions any more go to `shelf`.
pub(super) fn compact(
    writer: &mut Writer,
    target: u64,
    limits: &Limits,
    shelf: &mut Definitions,
) -> io::Result<()> {
    let mut wanted = target;
    loop {
        let pieces = survey(writer)?;
        let excess = writer.bytes().saturating_sub(wanted);
        let groups = plan(&pieces, excess);
        if groups.len() == pieces.len() {
            return Ok(());
        }
        let mut smaller = writer.beside()?;
        rewrite(writer, &mut smaller.writer, &groups, limits, shelf)?;
        writer.replace(smaller)?;
        if writer.bytes() <= target {
            return Ok(());
        }
        // Joined slices with few keys in common are nearly as large as both.
        wanted /= 2;
    }
}

fn survey(writer: &mut Writer) -> io::Result<Vec<Piece>> {
    let mut reader = Reader::of(writer.reopen()?, writer.path())?;
    let mut pieces = Vec::new();
    while let Some((bytes, body)) = reader.next_body() {
        if let Some(Brief::Slice { duration_ns, .. }) = brief(&body) {
            pieces.push(Piece { bytes, duration_ns });
        }
    }
    Ok(pieces)
}

/// How many slices, one after the other, become one each time, so that `excess` bytes fewer
/// are left if a joined slice is as large as the largest of its parts. The shortest and, of
/// those, the oldest are joined first.
fn plan(pieces: &[Piece], excess: u64) -> Vec<usize> {
    let mut groups: Vec<(usize, Piece)> = pieces.iter().map(|piece| (1, *piece)).collect();
    let mut saved = 0;
    for fresh in [pieces.len() / FRESH, 0] {
        let old = pieces.len() - fresh;
        let all: u64 = pieces.iter().fold(0, |sum, piece| sum.saturating_add(piece.duration_ns));
        let shortest = pieces.iter().map(|piece| piece.duration_ns).min().unwrap_or(0).max(1);
        let mut longest = shortest.saturating_mul(2);
        while saved < excess {
            groups = join(groups, old, longest, excess, &mut saved);
            if longest >= all {
                break;
            }
            longest = longest.saturating_mul(2);
        }
    }
    groups.into_iter().map(|(count, _)| count).collect()
}

/// Joins neighbours among the first `old` slices that are not longer than `longest` together.
fn join(
    groups: Vec<(usize, Piece)>,
    old: usize,
    longest: u64,
    excess: u64,
    saved: &mut u64,
) -> Vec<(usize, Piece)> {
    let mut joined: Vec<(usize, Piece)> = Vec::with_capacity(groups.len());
    let mut at = 0;
    for (count, piece) in groups {
        at += count;
        match joined.last_mut() {
            Some((before, last))
                if *saved < excess
                    && at <= old
                    && last.duration_ns.saturating_add(piece.duration_ns) <= longest =>
            {
                *saved += last.bytes.min(piece.bytes);
                *before += count;
                last.bytes = last.bytes.max(piece.bytes);
                last.duration_ns = last.duration_ns.saturating_add(piece.duration_ns);
            }
            _ => joined.push((count, piece)),
        }
    }
    joined
}

/// Writes the groups' slices, each group as one, and the names that they need.
fn rewrite(
    from: &mut Writer,
    to: &mut Writer,
    groups: &[usize],
    limits: &Limits,
    shelf: &mut Definitions,
) -> io::Result<()> {
    let mut reader = Reader::of(from.reopen()?, from.path())?;
    let (mut known, mut used) = (Definitions::default(), Used::default());
    let mut joining = Joining { groups: groups.iter(), left: 0, slice: None };
    let mut rest = Vec::new();
    while let Some((_, body)) = reader.next_body() {
        match decode(&body, VERSION).ok().map(|(record, _)| record) {
            Some(Record::Definitions(new)) => names::extend(&mut known, new.into_owned()),
            Some(Record::Slice(slice)) => {
                if let Some(slice) = joining.take(slice.into_owned(), limits) {
                    used.note(&slice);
                    append(to, &Record::Slice(Cow::Owned(slice)))?;
                }
            }
            Some(header @ Record::Header(_)) => append(to, &header)?,
            Some(end @ Record::End { .. }) => rest.push(end),
            None => {}
        }
    }
    used.follow(&known);
    let needed = used.take_from(&mut known);
    append(to, &Record::Definitions(Cow::Owned(needed)))?;
    rest.iter().try_for_each(|record| append(to, record))?;
    names::extend(shelf, known);
    Ok(())
}

fn append(to: &mut Writer, record: &Record<'_>) -> io::Result<()> {
    let frame = encode(record).ok_or(io::ErrorKind::FileTooLarge)?;
    to.append_frame(&frame).map_err(|error| match error {
        super::WriteError::Append { source, .. } => source,
        other => io::Error::other(other),
    })
}

/// Slices on their way into groups.
struct Joining<'a> {
    groups: std::slice::Iter<'a, usize>,
    /// Slices that the group has yet to get.
    left: usize,
    slice: Option<Slice>,
}

impl Joining<'_> {
    /// Takes the next; returns the group's slice where that is its last.
    fn take(&mut self, next: Slice, limits: &Limits) -> Option<Slice> {
        if self.left == 0 {
            self.left = self.groups.next().copied().unwrap_or(1);
        }
        self.left -= 1;
        let slice = match self.slice.take() {
            None => next,
            Some(before) => merged(&[&before, &next], limits),
        };
        if self.left == 0 {
            return Some(slice);
        }
        self.slice = Some(slice);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(durations: &[u64]) -> Vec<Piece> {
        durations.iter().map(|&duration_ns| Piece { bytes: 100, duration_ns }).collect()
    }

    #[test]
    fn nothing_too_much_is_nothing_joined() {
        assert_eq!(plan(&pieces(&[1, 1, 1]), 0), [1, 1, 1]);
        assert_eq!(plan(&[], 5), [] as [usize; 0]);
    }

    #[test]
    fn the_shortest_and_oldest_are_joined_first() {
        assert_eq!(plan(&pieces(&[1; 8]), 150), [2, 2, 1, 1, 1, 1]);
        assert_eq!(plan(&pieces(&[4, 4, 1, 1, 1, 1, 1, 1]), 150), [1, 1, 2, 2, 1, 1]);
    }

    #[test]
    fn the_newest_stay_unless_the_old_ones_are_not_enough() {
        assert_eq!(plan(&pieces(&[1; 8]), 500), [6, 1, 1]);
        assert_eq!(plan(&pieces(&[1; 8]), 10_000), [8]);
    }

    #[test]
    fn lying_durations_are_no_loop() {
        assert_eq!(plan(&pieces(&[u64::MAX; 4]), 1_000).iter().sum::<usize>(), 4);
        assert_eq!(plan(&pieces(&[0; 4]), 1_000), [4]);
    }
}
