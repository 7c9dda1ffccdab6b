//! Reading: the rings' records and the loss counters.
//!
//! In: the BPF maps. Out: records as bytes, in the order of each CPU.

use std::os::fd::AsFd;

use aya::{
    Ebpf,
    maps::{ArrayOfMaps, Map, MapData, PerCpuArray, RingBuf},
};
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_RINGBUF;
use probe_ebpf::{COUNTER_SKIPPED, Loss};

use super::{
    KernelError,
    object::{map_error, missing},
    ring::{Mapped, Ring},
};

/// All rings together should not take more than this, bytes.
const TOTAL_BYTES: u32 = 64 << 20;
/// A ring for one CPU at its largest: 30 ms of records at 1.6 M/s, bytes.
const LARGEST_RING: u32 = 4 << 20;
/// And at its smallest, bytes.
const SMALLEST_RING: u32 = 256 << 10;
/// Records taken from one ring before the next one has its turn.
pub(crate) const TURN: usize = 32_768;

/// The per-CPU rings.
pub struct Rings {
    rings: Vec<Ring<Mapped>>,
}

impl Rings {
    pub(super) fn open(ebpf: &mut Ebpf, ring_bytes: u32) -> Result<Self, KernelError> {
        let cpus = super::online()?;
        let bytes = if ring_bytes == 0 { size_for(cpus.len()) } else { ring_bytes };
        let map = ebpf.map_mut("RINGS").ok_or_else(|| missing("RINGS"))?;
        let failed = |error: &aya::maps::MapError| map_error("RINGS", error);
        let mut outer: ArrayOfMaps<_, RingBuf<MapData>> =
            ArrayOfMaps::try_from(map).map_err(|error| failed(&error))?;
        let mut rings = Vec::new();
        for cpu in cpus {
            let definition =
                aya_obj::Map::new_from_params(BPF_MAP_TYPE_RINGBUF as u32, 0, 0, bytes, 0);
            let data = MapData::create(definition, "mapprof_ring", None)
                .map_err(|error| failed(&error))?;
            let ring = RingBuf::try_from(Map::RingBuf(data)).map_err(|error| failed(&error))?;
            outer.set(cpu, &ring, 0).map_err(|error| failed(&error))?;
            // Only makes the ring; what is mapped below keeps it.
            let mapped = Mapped::new(ring.as_fd(), bytes as usize)
                .map_err(|error| KernelError::Sys { what: "map a ring".to_owned(), error })?;
            rings.push(Ring::new(mapped));
        }
        Ok(Self { rings })
    }

    /// Hands over what has arrived, at most a turn's worth per ring; returns how
    /// many records that was.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8])) -> usize {
        self.rings.iter_mut().map(|ring| ring.drain(TURN, &mut take)).sum()
    }

    /// Each by itself, in the order of their CPUs.
    pub(crate) fn into_each(self) -> Vec<Ring<Mapped>> {
        self.rings
    }
}

/// Bytes of each ring for this many CPUs: a power of two.
fn size_for(cpus: usize) -> u32 {
    let share = TOTAL_BYTES / (cpus.max(1) as u32);
    let power = 1 << share.max(1).ilog2();
    power.clamp(SMALLEST_RING, LARGEST_RING)
}

/// Counts of hits that made no record.
pub struct Counters {
    counts: PerCpuArray<MapData, u64>,
}

/// Counts since the run began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By [`Loss`].
    pub lost: [u64; Loss::ALL.len()],
    /// Hits that rightly make no record: a stack guard that is taken.
    pub skipped: u64,
}

impl Counters {
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let map = ebpf.take_map("COUNTS").ok_or_else(|| missing("COUNTS"))?;
        let counts = PerCpuArray::try_from(map).map_err(|error| map_error("COUNTS", &error))?;
        Ok(Self { counts })
    }

    /// The sums over all CPUs.
    pub fn read(&self) -> Result<Counts, KernelError> {
        let sum = |index: u32| {
            self.counts
                .get(&index, 0)
                .map(|values| values.iter().sum())
                .map_err(|error| map_error("COUNTS", &error))
        };
        let mut counts = Counts { skipped: sum(COUNTER_SKIPPED)?, ..Counts::default() };
        for loss in Loss::ALL {
            counts.lost[loss as usize] = sum(loss as u32)?;
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_powers_of_two_within_bounds() {
        for cpus in [0, 1, 2, 3, 8, 16, 100, 1024] {
            let bytes = size_for(cpus);
            assert!(bytes.is_power_of_two() && (SMALLEST_RING..=LARGEST_RING).contains(&bytes));
        }
        assert_eq!(size_for(2), LARGEST_RING);
        assert_eq!(size_for(32), 2 << 20);
    }
}
