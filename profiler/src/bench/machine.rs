//! Many CPUs without many CPUs: rings in plain memory, filled as the kernel side does.

use crate::kernel::ring::{Ring, simulated::Simulated};

use super::Input;

/// Rings of so many CPUs, and the thread that reads them.
pub struct Machine {
    cpus: Vec<(Simulated, Ring<Simulated>)>,
    input: Input,
}

impl Machine {
    /// With a ring of `ring_bytes` for each CPU.
    pub fn new(cpus: usize, ring_bytes: usize) -> Self {
        let cpu = || {
            let memory = Simulated::new(ring_bytes, 0);
            (memory.clone(), Ring::new(memory))
        };
        Self { cpus: (0..cpus).map(|_| cpu()).collect(), input: Input::default() }
    }

    /// Fills the ring of each CPU with as many records as it takes, at most `most`, each
    /// CPU beginning at another of `records`; returns how many that were.
    pub fn fill(&self, records: &[Vec<u8>], most: usize) -> usize {
        let of_cpu = |(cpu, (ring, _)): (usize, &(Simulated, Ring<Simulated>))| {
            let from_here = records.iter().cycle().skip(cpu * 7919 % records.len());
            from_here.take(most).take_while(|record| ring.push(record)).count()
        };
        self.cpus.iter().enumerate().map(of_cpu).sum()
    }

    /// Reads, decodes and counts all that is there; returns how many records that were.
    pub fn drain(&mut self) -> usize {
        let Self { cpus, input } = self;
        let mut take = |record: &[u8]| input.record(record);
        cpus.iter_mut().map(|(_, ring)| ring.drain(usize::MAX, &mut take)).sum()
    }

    /// What counts.
    pub fn input(&mut self) -> &mut Input {
        &mut self.input
    }
}
