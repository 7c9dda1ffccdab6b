//! The file's layout: `magic, version u32`, then frames of
//! `length u32, crc32 u32, zstd(postcard(Record))`; numbers are little endian,
//! length and checksum those of the compressed bytes.
//!
//! Frames are only ever appended. A change of any recorded type is a new
//! [`VERSION`]; a new kind of record goes to the end of [`Record`].

use std::borrow::Cow;
use std::io::{BufWriter, Read};

use serde::{Deserialize, Serialize};

use crate::model::{Definitions, Slice, TargetInfo};

/// First bytes of every recording.
pub(super) const MAGIC: [u8; 8] = *b"mapprof\0";

/// Of the layout and of all recorded types.
pub const VERSION: u32 = 5;

/// Bytes of magic and version.
pub(super) const FILE_HEAD: usize = MAGIC.len() + size_of::<u32>();

/// Bytes of length and checksum.
pub(super) const FRAME_HEAD: usize = 2 * size_of::<u32>();

/// Most bytes of a frame, ten times those of 100,000 long keys.
pub(super) const MOST_COMPRESSED: u32 = 1 << 28;

/// Most bytes of a record once decompressed.
const MOST_PLAIN: u64 = 1 << 30;

/// zstd's default level.
const LEVEL: i32 = 3;

/// One entry of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record<'a> {
    /// What was profiled; the first record.
    Header(Cow<'a, Header>),
    /// Names for ids of slices before and after.
    Definitions(Cow<'a, Definitions>),
    /// One interval.
    Slice(Cow<'a, Slice>),
    /// The recording is complete.
    End {
        /// Why it ended, in a few words.
        reason: Cow<'a, str>,
    },
}

/// What was profiled, and by which mapprof.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// What was profiled.
    pub target: TargetInfo,
    /// mapprof's version.
    pub tool_version: String,
    /// Of a merged recording: what each of its parts profiled.
    pub sources: Vec<TargetInfo>,
}

impl Header {
    /// Of this target and this mapprof.
    pub fn new(target: TargetInfo) -> Self {
        let tool_version = env!("CARGO_PKG_VERSION").to_owned();
        Self { target, tool_version, sources: Vec::new() }
    }
}

/// A whole frame, head included; `None` where the record is too large for one.
pub(super) fn encode(record: &Record<'_>) -> Option<Vec<u8>> {
    let mut frame = vec![0; FRAME_HEAD];
    // postcard writes a few bytes at a time.
    let encoder = BufWriter::new(zstd::Encoder::new(&mut frame, LEVEL).ok()?);
    postcard::to_io(record, encoder).ok()?.into_inner().ok()?.finish().ok()?;
    let body = &frame[FRAME_HEAD..];
    let len = u32::try_from(body.len()).ok().filter(|&len| len <= MOST_COMPRESSED)?;
    let crc = crc32fast::hash(body);
    frame[..4].copy_from_slice(&len.to_le_bytes());
    frame[4..FRAME_HEAD].copy_from_slice(&crc.to_le_bytes());
    Some(frame)
}

/// A record from a frame's body; `None` where it is none.
pub(super) fn decode(body: &[u8]) -> Option<Record<'static>> {
    let mut plain = Vec::new();
    zstd::Decoder::with_buffer(body).ok()?.take(MOST_PLAIN).read_to_end(&mut plain).ok()?;
    postcard::from_bytes(&plain).ok()
}

/// What kind of record a frame holds, without decoding all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Brief {
    /// An interval, and how long it was, ns.
    Slice { duration_ns: u64 },
    /// Another kind.
    Other,
}

/// As much of a record as its first bytes tell; `None` where the body is none.
pub(super) fn brief(body: &[u8]) -> Option<Brief> {
    /// Number of the variant, and two numbers of up to ten bytes each.
    const FIRST: u64 = 21;
    const SLICE: u8 = 2;
    let mut plain = Vec::new();
    zstd::Decoder::with_buffer(body).ok()?.take(FIRST).read_to_end(&mut plain).ok()?;
    if plain.first() != Some(&SLICE) {
        return plain.first().map(|_| Brief::Other);
    }
    let (_start_unix_ns, duration_ns): (u64, u64) = postcard::from_bytes(&plain[1..]).ok()?;
    Some(Brief::Slice { duration_ns })
}
