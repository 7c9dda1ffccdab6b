//! One record's bytes to its fields.
//!
//! In: what a ring held. Out: the typed record, or `None` where its size or kind
//! is not one of the ABI's.

use probe_ebpf::{LongOp, OpHead, Rewait, ShortOp, Wait, record_kind};

/// A record.
pub(super) enum Record<'a> {
    /// An operation and the bytes of its key that were carried.
    Op(OpHead, &'a [u8]),
    /// A finished wait.
    Wait(Box<Wait>),
    /// The wait recorded last goes on.
    Rewait { task: u64, ts_ns: u64 },
}

/// Reads one record.
#[inline]
pub(super) fn read(bytes: &[u8]) -> Option<Record<'_>> {
    match *bytes.first()? {
        record_kind::SHORT_OP if bytes.len() >= size_of::<ShortOp>() => {
            op(bytes, size_of::<ShortOp>())
        }
        record_kind::LONG_OP if bytes.len() >= size_of::<LongOp>() => {
            op(bytes, size_of::<LongOp>())
        }
        record_kind::WAIT if bytes.len() >= size_of::<Wait>() => {
            Some(Record::Wait(Box::new(wait(bytes)?)))
        }
        record_kind::REWAIT if bytes.len() >= size_of::<Rewait>() => {
            Some(Record::Rewait { ts_ns: u64_at(bytes, 8)?, task: u64_at(bytes, 16)? })
        }
        _ => None,
    }
}

#[inline]
fn op(bytes: &[u8], size: usize) -> Option<Record<'_>> {
    let (head_bytes, key) = bytes[..size].split_at(size_of::<OpHead>());
    let head = OpHead {
        kind: head_bytes[0],
        key_kind: head_bytes[1],
        flags: head_bytes[2],
        pad: 0,
        site: u32_at(head_bytes, 4)?,
        task: u64_at(head_bytes, 8)?,
        caller: u64_at(head_bytes, 16)?,
        object: u64_at(head_bytes, 24)?,
        aux: u64_at(head_bytes, 32)?,
        key_len: u64_at(head_bytes, 40)?,
    };
    let carried = usize::try_from(head.key_len).unwrap_or(usize::MAX).min(key.len());
    Some(Record::Op(head, &key[..carried]))
}

fn wait(bytes: &[u8]) -> Option<Wait> {
    let mut frames = [0; probe_ebpf::MAX_FRAMES];
    for (index, frame) in frames.iter_mut().enumerate() {
        *frame = u64_at(bytes, 64 + 8 * index)?;
    }
    Some(Wait {
        kind: bytes[0],
        pad: [0; 3],
        site: u32_at(bytes, 4)?,
        start_ns: u64_at(bytes, 8)?,
        end_ns: u64_at(bytes, 16)?,
        task: u64_at(bytes, 24)?,
        object: u64_at(bytes, 32)?,
        aux: u64_at(bytes, 40)?,
        caller: u64_at(bytes, 48)?,
        frame_count: u32_at(bytes, 56)?,
        tid: u32_at(bytes, 60)?,
        frames,
    })
}

#[inline]
fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[inline]
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Some(Record::Op(_, key)) = read(&bytes) {
                prop_assert!(key.len() <= probe_ebpf::LONG_KEY);
            }
        }
    }

    #[test]
    fn a_short_record_is_refused() {
        let mut bytes = [0_u8; size_of::<ShortOp>()];
        bytes[0] = record_kind::SHORT_OP;
        assert!(read(&bytes).is_some());
        assert!(read(&bytes[..bytes.len() - 1]).is_none());
        bytes[0] = 77;
        assert!(read(&bytes).is_none());
    }

    #[test]
    fn fields_lie_where_the_abi_says() {
        let mut bytes = vec![0_u8; size_of::<Wait>()];
        bytes[0] = record_kind::WAIT;
        for (offset, byte) in [
            (4, 1),
            (8, 2),
            (16, 3),
            (24, 4),
            (32, 5),
            (40, 6),
            (48, 7),
            (56, 8),
            (60, 9),
            (64, 10),
        ] {
            bytes[offset] = byte;
        }
        let Some(Record::Wait(wait)) = read(&bytes) else { panic!("a wait") };
        assert_eq!(std::mem::offset_of!(Wait, frames), 64);
        assert_eq!(
            (
                wait.site,
                wait.start_ns,
                wait.end_ns,
                wait.task,
                wait.object,
                wait.aux,
                wait.caller,
                wait.frame_count,
                wait.tid,
                wait.frames[0]
            ),
            (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
        );
    }
}
