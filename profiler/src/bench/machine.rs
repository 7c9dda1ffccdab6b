//! Many CPUs without many CPUs: rings in plain memory, filled as the kernel side does.

use std::sync::Arc;

use crate::{
    kernel::ring::{Ring, simulated::Simulated},
    model::Limits,
    run::readers::{Group, Intake},
};

use super::Input;

/// Rings of so many CPUs, and the threads that read them.
pub struct Machine {
    cpus: Vec<Simulated>,
    intake: Intake<Simulated>,
    groups: Vec<Arc<Group<Simulated>>>,
    input: Input,
}

impl Machine {
    /// With a ring of `ring_bytes` for each CPU, read by one thread.
    pub fn new(cpus: usize, ring_bytes: usize) -> Self {
        Self::read_by(1, cpus, ring_bytes)
    }

    /// The same, read by so many threads, which must be no more than CPUs.
    pub fn read_by(threads: usize, cpus: usize, ring_bytes: usize) -> Self {
        let memory: Vec<_> = (0..cpus).map(|_| Simulated::new(ring_bytes, 0)).collect();
        let rings = memory.iter().cloned().map(Ring::new).collect();
        let intake = Intake::by_hand(rings, Some(cpus.div_ceil(threads)), Limits::default());
        let groups = intake.groups().map(Arc::clone).collect();
        Self { cpus: memory, intake, groups, input: Input::default() }
    }

    /// Fills the ring of each CPU with as many records as it takes, at most `most`, each
    /// CPU beginning at another of `records`; returns how many that were.
    pub fn fill(&self, records: &[Vec<u8>], most: usize) -> usize {
        let of_cpu = |(cpu, ring): (usize, &Simulated)| {
            let from_here = records.iter().cycle().skip(cpu * 7919 % records.len());
            from_here.take(most).take_while(|record| ring.push(record)).count()
        };
        self.cpus.iter().enumerate().map(of_cpu).sum()
    }

    /// Reads, decodes and counts all that is there, by the thread that reads all rings or by
    /// each with its own; returns how many records came to this thread.
    pub fn drain(&mut self) -> usize {
        let read = |group: &Group<Simulated>| while group.turn() {};
        if let Some((first, others)) = self.groups.split_first() {
            std::thread::scope(|scope| {
                for group in others {
                    scope.spawn(|| read(group));
                }
                read(first);
            });
        }
        let (decoder, tally) = self.input.parts();
        self.intake.drain(decoder, tally)
    }

    /// Takes in what each thread has counted, as at an interval's end.
    pub fn gather(&mut self) {
        let (decoder, tally) = self.input.parts();
        self.intake.gather(decoder, tally);
    }

    /// What counts.
    pub fn input(&mut self) -> &mut Input {
        &mut self.input
    }
}
