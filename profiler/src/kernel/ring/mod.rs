//! One ring, read in batches.
//!
//! In: the memory of a BPF ring buffer. Out: its committed records as bytes, in order.
//!
//! Layout and rules are those of kernel/bpf/ringbuf.c and include/uapi/linux/bpf.h
//! (Linux 6.18): a page with the consumer's position, a page with the producer's, the
//! data. (The kernel shows the data a second time behind that, so that no record is in two
//! pieces. What is mapped twice counts twice as this process' memory, so the few records
//! that wrap around are copied together instead.) Positions only grow. Each record begins
//! with [`HEADER`] bytes of which the first four are its length and two flags, and takes a
//! multiple of 8 bytes.
//!
//! aya's reader stores the consumer's position after each record. That page is what the
//! target's CPUs read at each hit, so each store costs both sides a cache miss. Here it is
//! stored once for [`FREED_AT_ONCE`] bytes.
#![expect(unsafe_code, reason = "memory that the kernel's side writes, too")]

mod mapped;
pub(crate) mod simulated;

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use aya_obj::generated::{BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT, BPF_RINGBUF_HDR_SZ};

pub(crate) use mapped::Mapped;

/// Bytes of a record's header.
const HEADER: usize = BPF_RINGBUF_HDR_SZ as usize;
/// Bytes that are read before their room is given back: few beside the smallest ring, many
/// beside a record.
const FREED_AT_ONCE: usize = 16 << 10;

/// Where a ring lies.
///
/// # Safety
///
/// `data` must point to `capacity` bytes, aligned to 8, which stay readable as long as this
/// lives; `capacity` must be a power of two and stay the same. Bytes between the consumer's
/// and the producer's position do not change once their record's busy flag is gone.
pub(crate) unsafe trait Memory {
    /// Up to where records have been read, bytes since the beginning.
    fn consumer(&self) -> &AtomicUsize;
    /// Up to where they have been reserved.
    fn producer(&self) -> &AtomicUsize;
    /// The records.
    fn data(&self) -> NonNull<u8>;
    /// Bytes of the ring, a power of two.
    fn capacity(&self) -> usize;
}

/// Reads a ring. It must be its only reader.
pub(crate) struct Ring<M> {
    memory: M,
    /// Up to where records have been read; ahead of what the writer is told.
    position: usize,
    /// The record that wraps around; kept for its memory.
    whole: Vec<u8>,
}

impl<M: Memory> Ring<M> {
    /// From where the last reader ended.
    pub(crate) fn new(memory: M) -> Self {
        let position = memory.consumer().load(Ordering::Acquire);
        Self { memory, position, whole: Vec::new() }
    }

    /// Hands over what is committed by now, `most` records at most and none behind one that
    /// is still being written; returns how many.
    #[inline]
    pub(crate) fn drain(&mut self, most: usize, take: &mut impl FnMut(&[u8])) -> usize {
        // Pairs with the release of `__bpf_ringbuf_reserve`: headers up to here are written.
        let produced = self.memory.producer().load(Ordering::Acquire);
        let mut left = produced.wrapping_sub(self.position).min(self.memory.capacity());
        let (mut taken, mut freed) = (0, self.position);
        while left >= HEADER && taken < most {
            let at = self.position & (self.memory.capacity() - 1);
            let header = self.header(at);
            if header & BPF_RINGBUF_BUSY_BIT != 0 {
                break;
            }
            let len = (header & !BPF_RINGBUF_DISCARD_BIT) as usize;
            let size = (HEADER + len).next_multiple_of(8);
            if size > left {
                // Never expected: the kernel wrote no such header. All of it is given up.
                self.position = self.position.wrapping_add(left);
                break;
            }
            if header & BPF_RINGBUF_DISCARD_BIT == 0 {
                take(self.record((at + HEADER) & (self.memory.capacity() - 1), len));
                taken += 1;
            }
            left -= size;
            self.position = self.position.wrapping_add(size);
            if self.position.wrapping_sub(freed) >= FREED_AT_ONCE {
                freed = self.free();
            }
        }
        if self.position != freed {
            self.free();
        }
        taken
    }

    /// Gives back the room of what has been read.
    fn free(&self) -> usize {
        // Pairs with the acquire of `__bpf_ringbuf_reserve`: what was read may be written.
        self.memory.consumer().store(self.position, Ordering::Release);
        self.position
    }

    #[inline]
    fn header(&self, at: usize) -> u32 {
        debug_assert!(at < self.memory.capacity() && at.is_multiple_of(8));
        // SAFETY: a header begins at a multiple of its size and so does not wrap around;
        // others write it in whole words.
        let header = unsafe { self.memory.data().add(at).cast::<AtomicU32>().as_ref() };
        // Pairs with the exchange of `bpf_ringbuf_commit`: the record is written.
        header.load(Ordering::Acquire)
    }

    /// The bytes of a committed record.
    #[inline]
    fn record(&mut self, at: usize, len: usize) -> &[u8] {
        let to_end = self.memory.capacity() - at;
        if len <= to_end {
            return self.bytes(at, len);
        }
        let mut whole = std::mem::take(&mut self.whole);
        whole.clear();
        whole.extend_from_slice(self.bytes(at, to_end));
        whole.extend_from_slice(self.bytes(0, len - to_end));
        self.whole = whole;
        &self.whole
    }

    #[inline]
    fn bytes(&self, at: usize, len: usize) -> &[u8] {
        assert!(at + len <= self.memory.capacity());
        // SAFETY: in bounds; of a committed record, so that nobody writes it before `free`
        // has gone beyond it.
        unsafe { std::slice::from_raw_parts(self.memory.data().add(at).as_ptr(), len) }
    }
}

#[cfg(test)]
mod tests;
