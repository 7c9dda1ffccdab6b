//! Which Go built an image.
//!
//! In: an image. Out: `go1.24.11`, from the blob that `debug/buildinfo` reads;
//! its strings are inline since Go 1.18.

use super::bytes;
use super::image::Image;

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// `flagsVersionInl` in `src/debug/buildinfo/buildinfo.go`.
const INLINE: u8 = 2;
/// Offset of the version string when inline.
const HEADER_SIZE: u64 = 32;
/// Longest version believed, in bytes (development versions carry a commit and a date).
const VERSION_LIMIT: u64 = 256;
/// How much of the first writable segment may be searched, as Go's own reader does.
const SEARCH: u64 = 64 << 10;

pub(super) fn go_version(image: &Image) -> Option<String> {
    if let Some(section) = image.section(".go.buildinfo") {
        return parse(bytes::slice(image.data(), section.offset, section.size)?);
    }
    let mut segments = image.segments().iter();
    let data = segments.find(|segment| segment.writable)?;
    let data = image.bytes_at(data.address, data.file_size.min(SEARCH))?;
    let start = data.chunks(16).position(|chunk| chunk.starts_with(MAGIC))?;
    parse(&data[start * 16..])
}

fn parse(blob: &[u8]) -> Option<String> {
    if !blob.starts_with(MAGIC) || bytes::u8(blob, 15)? & INLINE == 0 {
        return None;
    }
    let (length, at) = bytes::varint(blob, HEADER_SIZE)?;
    let version = bytes::slice(blob, at, Some(length).filter(|&length| length <= VERSION_LIMIT)?)?;
    let version = std::str::from_utf8(version).ok()?;
    // "go1.24.11 X:noswissmap" names experiments after a space.
    let version = version.split_whitespace().next()?;
    (version.starts_with("go") || version.starts_with("devel")).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(flags: u8, version: &[u8]) -> Vec<u8> {
        let mut blob = MAGIC.to_vec();
        blob.extend([8, flags]);
        blob.resize(32, 0);
        blob.push(version.len() as u8);
        blob.extend(version);
        blob
    }

    #[test]
    fn inline_versions() {
        assert_eq!(parse(&blob(2, b"go1.24.11")).as_deref(), Some("go1.24.11"));
        assert_eq!(parse(&blob(2, b"go1.25.1 X:nosynchashtriemap")).as_deref(), Some("go1.25.1"));
    }

    #[test]
    fn anything_else_is_unknown() {
        assert_eq!(parse(&blob(0, b"go1.17")), None);
        assert_eq!(parse(&blob(2, b"rust")), None);
        assert_eq!(parse(&blob(2, b"go1.24.11")[..36]), None);
        assert_eq!(parse(b""), None);
    }
}
