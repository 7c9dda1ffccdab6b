//! A ring in plain memory, written as the kernel writes one: for tests and benchmarks.
//!
//! In: records. Out: memory for a [`super::Ring`].

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use aya_obj::generated::BPF_RINGBUF_BUSY_BIT;

use super::{HEADER, Memory};

/// Writer and memory at once; clones are the same ring.
#[derive(Clone)]
pub(crate) struct Simulated(Arc<Parts>);

struct Parts {
    consumer: AtomicUsize,
    producer: AtomicUsize,
    data: Box<[AlignedWord]>,
}

/// Eight bytes at a multiple of eight.
#[repr(align(8))]
struct AlignedWord([AtomicU32; 2]);

impl Simulated {
    /// Of so many bytes, with positions beginning at `start`, a multiple of 8.
    pub(crate) fn new(capacity: usize, start: usize) -> Self {
        assert!(capacity.is_power_of_two() && capacity >= 64 && start.is_multiple_of(8));
        let words = capacity / size_of::<AlignedWord>();
        let data = (0..words).map(|_| AlignedWord([AtomicU32::new(0), AtomicU32::new(0)]));
        let (consumer, producer) = (AtomicUsize::new(start), AtomicUsize::new(start));
        Self(Arc::new(Parts { consumer, producer, data: data.collect() }))
    }

    /// As `bpf_ringbuf_reserve`: room for `len` bytes, busy; `None` where there is none.
    pub(crate) fn reserve(&self, len: usize) -> Option<usize> {
        let at = self.0.producer.load(Ordering::Relaxed);
        let used = at.wrapping_sub(self.0.consumer.load(Ordering::Acquire));
        let size = (HEADER + len).next_multiple_of(8);
        if used + size > self.capacity() {
            return None;
        }
        self.store(at, len as u32 | BPF_RINGBUF_BUSY_BIT);
        self.0.producer.store(at.wrapping_add(size), Ordering::Release);
        Some(at)
    }

    /// As `bpf_ringbuf_submit`.
    pub(crate) fn submit(&self, at: usize, record: &[u8]) {
        for (index, chunk) in record.chunks(4).enumerate() {
            let mut bytes = [0; 4];
            bytes[..chunk.len()].copy_from_slice(chunk);
            self.store(at.wrapping_add(HEADER + 4 * index), u32::from_ne_bytes(bytes));
        }
        self.store(at, record.len() as u32);
    }

    /// As `bpf_ringbuf_discard` of a record of `len` bytes.
    #[cfg(test)]
    pub(crate) fn discard(&self, at: usize, len: usize) {
        self.store(at, len as u32 | aya_obj::generated::BPF_RINGBUF_DISCARD_BIT);
    }

    /// Writes a whole record; whether there was room.
    pub(crate) fn push(&self, record: &[u8]) -> bool {
        self.reserve(record.len()).map(|at| self.submit(at, record)).is_some()
    }

    /// Up to where the reader has given room back.
    #[cfg(test)]
    pub(crate) fn freed(&self) -> usize {
        self.0.consumer.load(Ordering::Acquire)
    }

    pub(super) fn store(&self, at: usize, value: u32) {
        let at = at & (self.capacity() - 1);
        self.0.data[at / 8].0[at % 8 / 4].store(value, Ordering::Release);
    }
}

// SAFETY: the words are as many as the capacity holds, aligned to 8, and kept by the Arc;
// `reserve` stays away from what was not read.
unsafe impl Memory for Simulated {
    fn consumer(&self) -> &AtomicUsize {
        &self.0.consumer
    }

    fn producer(&self) -> &AtomicUsize {
        &self.0.producer
    }

    fn data(&self) -> NonNull<u8> {
        NonNull::from(&*self.0.data).cast()
    }

    fn capacity(&self) -> usize {
        self.0.data.len() * size_of::<AlignedWord>()
    }
}
