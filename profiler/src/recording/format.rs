//! The file's layout: `magic, version u32`, then frames of
//! `length u32, crc32 u32, zstd(postcard(Record))`; numbers are little endian,
//! length and checksum those of the compressed bytes.
//!
//! Frames are only ever appended. A change of any recorded type is a new
//! [`VERSION`]; a new kind of record goes to the end of [`Record`].

use std::borrow::Cow;
use std::io::{self, BufWriter, Read, Write};

use serde::{Deserialize, Serialize};

use super::plain::{self, Trouble, Wrong};
use crate::model::{Definitions, Slice, TargetInfo};

/// First bytes of every recording.
pub(super) const MAGIC: [u8; 8] = *b"mapprof\0";

/// Of the layout and of all recorded types.
pub const VERSION: u32 = 6;

/// The oldest that is read: what came since then is listed in `plain.rs`.
pub(super) const OLDEST: u32 = 4;

/// Bytes of magic and version.
pub(super) const FILE_HEAD: usize = MAGIC.len() + size_of::<u32>();

/// Bytes of length and checksum.
pub(super) const FRAME_HEAD: usize = 2 * size_of::<u32>();

/// Most bytes of a frame.
pub(super) const MOST_COMPRESSED: u32 = 1 << 25;

/// Most bytes of a record once decompressed: three times those of an interval with all keys
/// that there may be.
const MOST_PLAIN: usize = 24 << 20;

/// What so many compressed bytes may become at most. Nothing that is recorded repeats itself
/// as much.
fn most_plain(compressed: usize) -> usize {
    compressed.saturating_mul(1024).saturating_add(64 << 10).min(MOST_PLAIN)
}

/// Most memory that a record may take, bytes.
const MOST_MEMORY: usize = 64 << 20;

/// Most that decompressing looks back: 2^this bytes. zstd's default level looks back 2 MB.
const WINDOW_LOG: u32 = 23;

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
    let counted = Counted { to: zstd::Encoder::new(&mut frame, LEVEL).ok()?, bytes: 0 };
    // postcard writes a few bytes at a time.
    let counted = postcard::to_io(record, BufWriter::new(counted)).ok()?.into_inner().ok()?;
    let plain = counted.bytes;
    counted.to.finish().ok()?;
    if plain > most_plain(frame.len() - FRAME_HEAD) {
        return None;
    }
    let body = &frame[FRAME_HEAD..];
    let len = u32::try_from(body.len()).ok().filter(|&len| len <= MOST_COMPRESSED)?;
    let crc = crc32fast::hash(body);
    frame[..4].copy_from_slice(&len.to_le_bytes());
    frame[4..FRAME_HEAD].copy_from_slice(&crc.to_le_bytes());
    Some(frame)
}

/// Counts what goes through.
struct Counted<W> {
    to: W,
    bytes: usize,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Why a body is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadBody {
    /// In a few words.
    pub(super) what: &'static str,
    /// Where in the decompressed body, in bytes; `None` where it is not that far.
    pub(super) within: Option<u64>,
}

impl BadBody {
    const fn of(what: &'static str) -> Self {
        Self { what, within: None }
    }
}

const BAD_ZSTD: BadBody = BadBody::of("a frame does not decompress");
const BOMB: BadBody = BadBody::of("a frame decompresses to more than a record may be");

/// A record from a frame's body in a recording of this version, and how much memory it takes at most.
pub(super) fn decode(body: &[u8], version: u32) -> Result<(Record<'static>, usize), BadBody> {
    let plain = decompressed(body)?;
    plain::read(&plain, MOST_MEMORY, version).map_err(|Trouble { at, what }| BadBody {
        what: match what {
            Wrong::Ends | Wrong::Content => "a frame holds no record that this mapprof knows",
            Wrong::Count => "a frame's count is larger than what is left of it",
            Wrong::Memory => "a frame's record would take more memory than one may",
        },
        within: Some(at as u64),
    })
}

fn decoder(body: &[u8]) -> io::Result<zstd::Decoder<'static, &[u8]>> {
    let mut decoder = zstd::Decoder::with_buffer(body)?;
    decoder.window_log_max(WINDOW_LOG)?;
    Ok(decoder)
}

/// Its room grows by half, and to no more than may be.
fn decompressed(body: &[u8]) -> Result<Vec<u8>, BadBody> {
    let most = most_plain(body.len());
    let mut decoder = decoder(body).map_err(|_| BAD_ZSTD)?;
    let mut plain = Vec::new();
    loop {
        let room = (plain.len() / 2).max(64 << 10).min(most + 1 - plain.len());
        plain.reserve_exact(room);
        let read = decoder.by_ref().take(room as u64).read_to_end(&mut plain);
        match read.map_err(|_| BAD_ZSTD)? {
            _ if plain.len() > most => return Err(BOMB),
            read if read < room => return Ok(plain),
            _ => {}
        }
    }
}

/// What kind of record a frame holds, without decoding all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Brief {
    /// An interval, when it began, ns since the epoch, and how long it was, ns.
    Slice { start_unix_ns: u64, duration_ns: u64 },
    /// Another kind.
    Other,
}

/// As much of a record as its first bytes tell; `None` where the body is none.
pub(super) fn brief(body: &[u8]) -> Option<Brief> {
    /// Number of the variant, and two numbers of up to ten bytes each.
    const FIRST: u64 = 21;
    const SLICE: u8 = 2;
    let mut plain = Vec::new();
    decoder(body).ok()?.take(FIRST).read_to_end(&mut plain).ok()?;
    if plain.first() != Some(&SLICE) {
        return plain.first().map(|_| Brief::Other);
    }
    let (start_unix_ns, duration_ns): (u64, u64) = postcard::from_bytes(&plain[1..]).ok()?;
    Some(Brief::Slice { start_unix_ns, duration_ns })
}
