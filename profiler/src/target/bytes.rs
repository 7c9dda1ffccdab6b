//! Bounded little-endian reads of untrusted bytes.
//!
//! In: a slice. Out: `None` where a read would leave it; never a panic.

/// `len` bytes at `at`.
pub(super) fn slice(data: &[u8], at: u64, len: u64) -> Option<&[u8]> {
    let start = usize::try_from(at).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    data.get(start..end)
}

fn array<const N: usize>(data: &[u8], at: u64) -> Option<[u8; N]> {
    slice(data, at, N as u64)?.try_into().ok()
}

/// One byte at `at`.
pub(super) fn u8(data: &[u8], at: u64) -> Option<u8> {
    array::<1>(data, at).map(|[byte]| byte)
}

/// Four bytes at `at`.
pub(super) fn u32(data: &[u8], at: u64) -> Option<u32> {
    array(data, at).map(u32::from_le_bytes)
}

/// Eight bytes at `at`.
pub(super) fn u64(data: &[u8], at: u64) -> Option<u64> {
    array(data, at).map(u64::from_le_bytes)
}

/// The bytes at `at` up to, without, a NUL that must come within `limit` bytes.
pub(super) fn c_str(data: &[u8], at: u64, limit: usize) -> Option<&[u8]> {
    let rest = data.get(usize::try_from(at).ok()?..)?;
    let rest = &rest[..rest.len().min(limit)];
    rest.iter().position(|&byte| byte == 0).map(|end| &rest[..end])
}

/// An unsigned LEB128 number at `at`, as Go's tables have them, and what follows it.
pub(super) fn varint(data: &[u8], at: u64) -> Option<(u64, u64)> {
    let mut value = 0u64;
    for index in 0..10 {
        let byte = u8(data, at.checked_add(index)?)?;
        value |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, at + index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stay_inside() {
        let data = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(u64(&data, 1), Some(0x0908_0706_0504_0302));
        assert_eq!(u64(&data, 2), None);
        assert_eq!(u32(&data, u64::MAX), None);
        assert_eq!(slice(&data, 9, 0), Some(&[][..]));
        assert_eq!(slice(&data, 1, u64::MAX), None);
    }

    #[test]
    fn strings_need_their_end() {
        assert_eq!(c_str(b"ab\0c", 0, 8), Some(&b"ab"[..]));
        assert_eq!(c_str(b"ab\0c", 3, 8), None);
        assert_eq!(c_str(b"ab\0c", 0, 2), None);
        assert_eq!(c_str(b"ab\0c", 9, 2), None);
    }

    #[test]
    fn varints() {
        assert_eq!(varint(&[0x05], 0), Some((5, 1)));
        assert_eq!(varint(&[0xff, 0xac, 0x02], 1), Some((300, 3)));
        assert_eq!(varint(&[0x80], 0), None);
        assert_eq!(varint(&[0xff; 12], 0), None);
    }
}
