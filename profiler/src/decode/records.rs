//! One record's bytes to its fields.
//!
//! In: what a ring held. Out: the typed record, or `None` where its size or kind
//! is not one of the ABI's.

use probe_ebpf::{
    CombinedLongOp, CombinedOp, LIVE_FRAMES, LiveFrame, LongOp, MAX_FRAMES, MadeAt, OpHead,
    OpOfWait, OpStack, Release, ShortOp, Wait, record_kind,
};

/// A record of any kind but an operation.
pub(super) enum Record<'a> {
    /// A finished wait.
    Wait(Wait),
    /// An operation that a wait belongs to.
    OpOfWait(OpAt<'a>),
    /// A lock is let go.
    Release(Released<'a>),
    /// Where an operation was.
    OpStack(OpHead, Stack),
}

/// An operation with the wait it belongs to.
pub(super) struct OpAt<'a> {
    /// The wait is inside the operation, or else before it.
    pub(super) is_inside: bool,
    /// The beginning of the wait that is inside, the end of the one before, ns.
    pub(super) wait_ns: u64,
    /// The operation.
    pub(super) head: OpHead,
    /// Its key.
    pub(super) key: &'a [u8],
    /// Its stack, where the wait was before it.
    pub(super) frames: Stack,
}

/// A lock that is let go.
pub(super) struct Released<'a> {
    pub(super) site: u32,
    pub(super) ts_ns: u64,
    pub(super) task: u64,
    pub(super) goid: u64,
    pub(super) object: u64,
    /// The holder's newest operation.
    pub(super) last: Option<(OpHead, &'a [u8])>,
    /// Where that was made.
    pub(super) last_at: MadeAt,
    live: [LiveFrame; LIVE_FRAMES],
    live_count: usize,
    /// The newest that it may be inside of.
    pub(super) outer: Option<(OpHead, &'a [u8])>,
    pub(super) frames: Stack,
    /// Only the innermost frames.
    pub(super) is_short: bool,
}

impl Released<'_> {
    /// The innermost frames by their pointers.
    pub(super) fn live(&self) -> &[LiveFrame] {
        &self.live[..self.live_count]
    }
}

/// Reads an operation, the bytes of its key that were carried, and how many there were: nearly all records are
/// one, and need not pass through what has room for the largest kind.
#[inline]
pub(super) fn read_op(bytes: &[u8]) -> Option<(OpHead, &[u8], u64)> {
    let (size, count) = match *bytes.first()? {
        record_kind::SHORT_OP if bytes.len() >= size_of::<ShortOp>() => (size_of::<ShortOp>(), 1),
        record_kind::COMBINED_OP if bytes.len() >= size_of::<CombinedOp>() => {
            (size_of::<ShortOp>(), u64_at(bytes, size_of::<ShortOp>())?)
        }
        record_kind::LONG_OP if bytes.len() >= size_of::<LongOp>() => (size_of::<LongOp>(), 1),
        record_kind::COMBINED_LONG_OP if bytes.len() >= size_of::<CombinedLongOp>() => {
            (size_of::<LongOp>(), u64_at(bytes, size_of::<LongOp>())?)
        }
        _ => return None,
    };
    let (head, key) = head_and_key(&bytes[..size])?;
    Some((head, key, count))
}

/// Reads any other record.
pub(super) fn read(bytes: &[u8]) -> Option<Record<'_>> {
    match *bytes.first()? {
        record_kind::AFTER_WAIT | record_kind::INSIDE_OP
            if bytes.len() >= size_of::<OpOfWait>() =>
        {
            op_of_wait(bytes).map(Record::OpOfWait)
        }
        record_kind::RELEASE if bytes.len() >= size_of::<Release>() => {
            release(bytes).map(Record::Release)
        }
        record_kind::OP_STACK if bytes.len() >= size_of::<OpStack>() => op_stack(bytes),
        record_kind::WAIT if bytes.len() >= size_of::<Wait>() => Some(Record::Wait(wait(bytes)?)),
        _ => None,
    }
}

#[inline]
fn head_and_key(bytes: &[u8]) -> Option<(OpHead, &[u8])> {
    let (head_bytes, key) = bytes.split_at_checked(size_of::<OpHead>())?;
    let head = OpHead {
        kind: head_bytes[0],
        key_kind: head_bytes[1],
        flags: head_bytes[2],
        carried: head_bytes[3],
        site: u32_at(head_bytes, 4)?,
        task: u64_at(head_bytes, 8)?,
        caller: u64_at(head_bytes, 16)?,
        object: u64_at(head_bytes, 24)?,
        aux: u64_at(head_bytes, 32)?,
        key_len: u64_at(head_bytes, 40)?,
    };
    let carried = usize::from(head.carried).min(key.len());
    Some((head, &key[..carried]))
}

/// The operation inside another record.
fn op_inside(bytes: &[u8], at: usize) -> Option<(OpHead, &[u8])> {
    head_and_key(bytes.get(at..at + size_of::<LongOp>())?)
}

fn op_of_wait(bytes: &[u8]) -> Option<OpAt<'_>> {
    let (head, key) = op_inside(bytes, 16)?;
    Some(OpAt {
        is_inside: bytes[0] == record_kind::INSIDE_OP,
        wait_ns: u64_at(bytes, 8)?,
        head,
        key,
        frames: stack(bytes, 16 + size_of::<LongOp>(), u32_at(bytes, 4)?, head.caller)?,
    })
}

fn release(bytes: &[u8]) -> Option<Released<'_>> {
    let outer = 56 + size_of::<LongOp>();
    let made_at = outer + size_of::<LongOp>();
    let live_at = made_at + size_of::<MadeAt>() + 8;
    let mut live = [LiveFrame::default(); LIVE_FRAMES];
    for (index, frame) in live.iter_mut().enumerate() {
        let at = live_at + size_of::<LiveFrame>() * index;
        *frame = LiveFrame { pc: u64_at(bytes, at)?, pointer: u64_at(bytes, at + 8)? };
    }
    let frames_at = live_at + size_of_val(&live);
    Some(Released {
        site: u32_at(bytes, 4)?,
        ts_ns: u64_at(bytes, 8)?,
        task: u64_at(bytes, 16)?,
        goid: u64_at(bytes, 24)?,
        object: u64_at(bytes, 32)?,
        last: if bytes[1] == 1 { Some(op_inside(bytes, 56)?) } else { None },
        outer: if bytes[2] == 1 { Some(op_inside(bytes, outer)?) } else { None },
        last_at: MadeAt { pointer: u64_at(bytes, made_at)?, stack: u64_at(bytes, made_at + 8)? },
        live,
        live_count: (u64_at(bytes, live_at - 8)? as usize).min(LIVE_FRAMES),
        frames: stack(bytes, frames_at, u32_at(bytes, 48)?, u64_at(bytes, 40)?)?,
        is_short: bytes[3] == 1,
    })
}

fn op_stack<'a>(bytes: &[u8]) -> Option<Record<'a>> {
    let caller = u64_at(bytes, 32)?;
    let head = OpHead {
        site: u32_at(bytes, 4)?,
        object: u64_at(bytes, 8)?,
        aux: u64_at(bytes, 16)?,
        caller,
        ..OpHead::default()
    };
    Some(Record::OpStack(head, stack(bytes, 48, u32_at(bytes, 40)?, caller)?))
}

/// The stack that a record ends with.
fn stack(bytes: &[u8], at: usize, count: u32, caller: u64) -> Option<Stack> {
    let count = (count as usize).min(MAX_FRAMES);
    let mut raw = [0; MAX_FRAMES];
    for (index, frame) in raw[..count].iter_mut().enumerate() {
        *frame = u64_at(bytes, at + 8 * index)?;
    }
    Some(frames(&raw[..count], caller))
}

/// Return addresses, innermost first, without an allocation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stack {
    frames: [u64; MAX_FRAMES + 1],
    len: usize,
}

impl Stack {
    /// The innermost of them.
    pub(super) fn cut(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

impl std::ops::Deref for Stack {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.frames[..self.len]
    }
}

/// Where addresses of programs end on x86_64 with five levels of page tables
/// (`TASK_SIZE_MAX`, Linux 6.18, arch/x86/include/asm/page_64.h); with four it is lower.
const USER_END: u64 = 1 << 56;

/// The stack as return addresses, innermost first. The probed instruction stands
/// first, one byte on so that "the byte before" lies in it as it does for a
/// return address; the caller stands second, even on kernels that skip the caller
/// at a function's first instructions. It stands third where a wrapper is between. What
/// follows an address that no program can have was never a stack: code without frame
/// pointers uses their register for something else.
pub(super) fn frames(raw: &[u64], caller: u64) -> Stack {
    let raw = &raw[..raw.len().min(MAX_FRAMES)];
    let sound = raw.iter().position(|&frame| frame >= USER_END).unwrap_or(raw.len());
    let raw = &raw[..sound];
    let is_known = !matches!(caller, 0 | probe_ebpf::CALLER_NOT_SAMPLED);
    let is_missing = is_known && !raw.iter().skip(1).take(2).any(|&frame| frame == caller);
    let (innermost, outer) = raw.split_at(raw.len().min(1));
    let innermost = innermost.iter().map(|frame| frame.wrapping_add(1));
    let inserted = is_missing.then_some(caller);
    let mut stack = Stack { frames: [0; MAX_FRAMES + 1], len: 0 };
    for frame in innermost.chain(inserted).chain(outer.iter().copied()) {
        stack.frames[stack.len] = frame;
        stack.len += 1;
    }
    stack
}

fn wait(bytes: &[u8]) -> Option<Wait> {
    let mut frames = [0; probe_ebpf::MAX_FRAMES];
    for (index, frame) in frames.iter_mut().enumerate() {
        *frame = u64_at(bytes, 72 + 8 * index)?;
    }
    Some(Wait {
        kind: bytes[0],
        part: bytes[1],
        pad: [0; 2],
        site: u32_at(bytes, 4)?,
        start_ns: u64_at(bytes, 8)?,
        end_ns: u64_at(bytes, 16)?,
        task: u64_at(bytes, 24)?,
        goid: u64_at(bytes, 32)?,
        object: u64_at(bytes, 40)?,
        wait_ns: u64_at(bytes, 48)?,
        caller: u64_at(bytes, 56)?,
        frame_count: u32_at(bytes, 64)?,
        tid: u32_at(bytes, 68)?,
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

    #[test]
    fn a_stack_ends_where_it_is_none() {
        assert_eq!(frames(&[0x10, 0x20, 0x30], 0x20)[..], [0x11, 0x20, 0x30]);
        assert_eq!(frames(&[0x10, 0x3fc9_a652_0599_dae4, 0x30], 0x20)[..], [0x11, 0x20]);
        assert_eq!(frames(&[], 0x20)[..], [0x20]);
        assert!(frames(&[], 0).is_empty());
        assert_eq!(frames(&[0x10], 0x20)[..], [0x11, 0x20]);
        assert_eq!(frames(&[0x10; 99], 0x20).len(), MAX_FRAMES + 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Some((_, key, _)) = read_op(&bytes) {
                prop_assert!(key.len() <= probe_ebpf::LONG_KEY && read(&bytes).is_none());
            }
        }
    }

    #[test]
    fn a_short_record_is_refused() {
        let mut bytes = [0_u8; size_of::<ShortOp>()];
        bytes[0] = record_kind::SHORT_OP;
        assert!(read_op(&bytes).is_some());
        assert!(read_op(&bytes[..bytes.len() - 1]).is_none());
        bytes[0] = 77;
        assert!(read_op(&bytes).is_none() && read(&bytes).is_none());
    }

    #[test]
    fn fields_lie_where_the_abi_says() {
        let mut bytes = vec![0_u8; size_of::<Wait>()];
        bytes[0] = record_kind::WAIT;
        for (offset, byte) in [
            (1, 12),
            (4, 1),
            (8, 2),
            (16, 3),
            (24, 4),
            (32, 5),
            (40, 6),
            (48, 7),
            (56, 8),
            (64, 9),
            (68, 10),
            (72, 11),
        ] {
            bytes[offset] = byte;
        }
        let Some(Record::Wait(wait)) = read(&bytes) else { panic!("a wait") };
        assert_eq!(std::mem::offset_of!(Wait, frames), 72);
        assert_eq!(
            (
                wait.site,
                wait.start_ns,
                wait.end_ns,
                wait.task,
                wait.goid,
                wait.object,
                wait.wait_ns,
                wait.caller,
                wait.frame_count,
                wait.tid,
                wait.frames[0],
                wait.part
            ),
            (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
        );
    }
}
