//! A ring of the kernel's, mapped.
//!
//! In: the map's file descriptor. Out: its memory.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
    ptr::NonNull,
    sync::atomic::AtomicUsize,
};

use memmap2::{MmapOptions, MmapRaw};
use nix::unistd::{SysconfVar, sysconf};

use super::Memory;

/// The pages of a ring. They keep the ring itself.
pub(crate) struct Mapped {
    consumer: MmapRaw,
    /// The producer's page, then the data.
    producer: MmapRaw,
    page: usize,
    capacity: usize,
}

impl Mapped {
    /// The ring of `capacity` bytes behind a map. The kernel lets the first page be written
    /// and all others only be read (`ringbuf_map_mmap_kern`, kernel/bpf/ringbuf.c).
    pub(crate) fn new(map: BorrowedFd<'_>, capacity: usize) -> io::Result<Self> {
        let file = File::from(map.as_fd().try_clone_to_owned()?);
        let page = sysconf(SysconfVar::PAGE_SIZE)?.map_or(4096, |bytes| bytes as usize);
        if !capacity.is_power_of_two() || capacity < page {
            return Err(io::Error::other(format!("no ring has {capacity} bytes")));
        }
        let consumer = MmapOptions::new().len(page).map_raw(&file)?;
        let producer =
            MmapOptions::new().offset(page as u64).len(page + capacity).map_raw_read_only(&file)?;
        Ok(Self { consumer, producer, page, capacity })
    }
}

// SAFETY: `new` has mapped as much as is promised, at the beginning of pages; it is unmapped
// when this is dropped. That committed records stay as they are is the kernel's promise.
unsafe impl Memory for Mapped {
    fn consumer(&self) -> &AtomicUsize {
        // SAFETY: the first word of a page, written in whole words by this process alone.
        unsafe { &*self.consumer.as_ptr().cast() }
    }

    fn producer(&self) -> &AtomicUsize {
        // SAFETY: the first word of a page, written in whole words by the kernel.
        unsafe { &*self.producer.as_ptr().cast() }
    }

    fn data(&self) -> NonNull<u8> {
        // SAFETY: the data follow the producer's page within the mapping.
        let data = unsafe { self.producer.as_mut_ptr().add(self.page) };
        NonNull::new(data).unwrap_or(NonNull::dangling())
    }

    fn capacity(&self) -> usize {
        self.capacity
    }
}
