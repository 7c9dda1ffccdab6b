//! Memory that the programs in the kernel and mapprof share: gates, and counts of hits and of
//! calls.
//!
//! In: the loaded maps. Out: [`Shared`], which opens and shuts and reads without a call
//! of the kernel.
#![expect(unsafe_code, reason = "memory that the kernel's side writes, too")]

use std::{
    fs::File,
    io,
    os::fd::AsFd,
    sync::atomic::{AtomicU64, Ordering},
};

use aya::{Ebpf, maps::Map};
use memmap2::MmapRaw;
use probe_ebpf::{Call, Gates, MAX_SITES};

use super::{KernelError, object::missing};

pub(super) const GATES: &str = "GATES";
pub(super) const HITS: &str = "HITS";
pub(super) const CALLS: &str = "CALLS";
/// Counters of calls that each CPU has.
pub(super) const CALLS_OF_CPU: usize = Call::ALL.len() * MAX_SITES;

/// The gates and the counts of hits. Threads may share it.
#[derive(Debug)]
pub struct Shared {
    gates: Words,
    hits: Words,
    calls: Words,
    cpus: usize,
}

impl Shared {
    pub(super) fn open(ebpf: &Ebpf, cpus: usize) -> Result<Self, KernelError> {
        Ok(Self {
            gates: Words::map(ebpf, GATES, size_of::<Gates>())?,
            hits: Words::map(ebpf, HITS, cpus * MAX_SITES * size_of::<u64>())?,
            calls: Words::map(ebpf, CALLS, cpus * CALLS_OF_CPU * size_of::<u64>())?,
            cpus,
        })
    }

    /// Tells operations of maps from now on, as those of this window; 0: no longer.
    pub fn set_maps(&self, window: u64) {
        self.gates.word(0).store(window, Ordering::SeqCst);
    }

    /// Tells waits that begin from now on; 0: no longer.
    pub fn set_locks(&self, window: u64) {
        self.gates.word(1).store(window, Ordering::SeqCst);
    }

    /// Hits so far of the site with this cookie, on all CPUs.
    pub fn hits(&self, site: usize) -> u64 {
        let of_cpu = |cpu| self.hits.word(cpu * MAX_SITES + site).load(Ordering::Relaxed);
        (0..self.cpus).map(of_cpu).fold(0, u64::wrapping_add)
    }

    /// Calls so far of the function whose entry has this cookie, by [`Call`], on all CPUs.
    pub fn calls(&self, site: usize) -> [u64; Call::ALL.len()] {
        std::array::from_fn(|call| {
            let at = |cpu| cpu * CALLS_OF_CPU + site * Call::ALL.len() + call;
            let of_cpu = |cpu| self.calls.word(at(cpu)).load(Ordering::Relaxed);
            (0..self.cpus).map(of_cpu).fold(0, u64::wrapping_add)
        })
    }
}

/// An array of the kernel's, mapped.
#[derive(Debug)]
pub(super) struct Words {
    memory: MmapRaw,
}

impl Words {
    pub(super) fn map(ebpf: &Ebpf, name: &'static str, bytes: usize) -> Result<Self, KernelError> {
        let Some(Map::Array(data)) = ebpf.map(name) else { return Err(missing(name)) };
        let failed = |error: io::Error| KernelError::Map { map: name, error: error.to_string() };
        let file = File::from(data.fd().as_fd().try_clone_to_owned().map_err(failed)?);
        // Arrays are whole pages in size (`array_map_alloc`, kernel/bpf/arraymap.c).
        let memory = memmap2::MmapOptions::new().len(bytes).map_raw(&file).map_err(failed)?;
        Ok(Self { memory })
    }

    /// Memory of nobody else's.
    #[cfg(test)]
    pub(super) fn of(memory: MmapRaw) -> Self {
        Self { memory }
    }

    pub(super) fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.memory.len() / size_of::<u64>(), "word {index} is not mapped");
        #[expect(clippy::cast_ptr_alignment, reason = "the mapping begins at a page")]
        // SAFETY: in bounds and aligned; whoever else writes it does so in whole words.
        unsafe {
            &*self.memory.as_ptr().cast::<AtomicU64>().add(index)
        }
    }
}

const _: () = assert!(size_of::<Gates>() == 16);
