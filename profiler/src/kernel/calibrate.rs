//! What a probe hit costs on this machine, measured on mapprof itself.
//!
//! In: the loaded programs. Out: CPU time per hit, with its record, for each cost
//! class.
#![expect(unsafe_code, reason = "two functions of known instructions to put a probe on")]

use std::{io, iter::once};

use nix::time::{ClockId, clock_gettime};
use probe_ebpf::{MAX_SITES, Operand, Reg, key_kind, site_flags};

use super::{
    Attachment, Kernel, KernelError, Method, Rings,
    leaves::{self, Leaf},
};
use crate::placement::Cost;

/// Calls per batch: enough to drown the clock's own cost, few enough to take a few
/// milliseconds even where hits are single-stepped.
const CALLS: u32 = 200;
/// Batches per round, odd.
const BATCHES: usize = 7;
/// Rounds per measurement, at most.
const ROUNDS: u32 = 6;
/// Differences of a call's cost that say nothing, ns.
const TICK_NS: u64 = 20;

/// A call that lasts so many times as long as one that does nothing has met more than its
/// probes.
const SPIN_FACTOR: u32 = 10;
/// And it has lasted at least this long, ns: interrupts take less, nearly always.
const LEAST_SPIN_NS: u32 = 20_000;

/// What tells a timed call that waited from one that did not, where it did not sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallCosts {
    /// How long one that does nothing lasts with its probes, ns.
    pub call_ns: u32,
    /// What it must last beyond that to be a wait, ns.
    pub spin_ns: u32,
}

impl Default for CallCosts {
    /// Until they were measured: probes are in nobody's waits.
    fn default() -> Self {
        Self { call_ns: 0, spin_ns: LEAST_SPIN_NS }
    }
}

/// What a hit costs, with its record.
#[derive(Clone, Copy, Debug)]
pub struct HitCosts {
    /// At an instruction that the kernel emulates, ns.
    pub emulated_ns: u64,
    /// At one that it single-steps, ns; measured only where it was asked for.
    pub slow_ns: Option<u64>,
}

// `mapprof_emulated` begins with an instruction of the emulated class, as
// placement chooses it; `mapprof_slow` with one that is single-stepped.
#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".pushsection .text.mapprof_calibration,\"ax\",@progbits",
    ".globl mapprof_emulated",
    ".type mapprof_emulated,@function",
    "mapprof_emulated:",
    "push rbp",
    "pop rbp",
    "ret",
    ".globl mapprof_slow",
    ".type mapprof_slow,@function",
    "mapprof_slow:",
    "mov rax, rdi",
    "ret",
    ".popsection",
);

unsafe extern "C" {
    fn mapprof_emulated(key: u64) -> u64;
    fn mapprof_slow(key: u64) -> u64;
}

impl Kernel {
    /// Measures the cost of a hit; that of a slow one only where `slow`.
    ///
    /// The hits are a thread's, not the process' first one's, so this is also where
    /// it shows that a kernel's `uprobe_multi` links see only the latter (Linux 6.6
    /// to 6.9 without "bpf: Fix multi-uprobe PID filtering logic"): such a kernel
    /// gets perf events.
    pub fn calibrate(&mut self, rings: &mut Rings, slow: bool) -> Result<HitCosts, KernelError> {
        // No kernel without uprobe_multi links puts anything but a breakpoint there.
        let leaves = if self.method() == Method::Multi { Leaf::used() } else { &[] };
        let mut emulated = self.measure(rings, mapprof_emulated, leaves)?;
        if emulated.records == 0 && self.method() == Method::Multi {
            self.use_method(Method::Perf);
            emulated = self.measure(rings, mapprof_emulated, &[])?;
        }
        if emulated.records == 0 {
            return Err(KernelError::Deaf);
        }
        if !emulated.changed.is_empty() {
            return Err(KernelError::Changes { kinds: emulated.changed.join(", ") });
        }
        let slow = if slow { Some(self.slow_ns(rings)?) } else { None };
        Ok(HitCosts { emulated_ns: emulated.hit_ns, slow_ns: slow })
    }

    /// Measures the cost of a hit that is single-stepped.
    pub fn slow_ns(&mut self, rings: &mut Rings) -> Result<u64, KernelError> {
        Ok(self.measure(rings, mapprof_slow, &[])?.hit_ns)
    }

    /// The kinds of instruction that are known to be changed by a probe on some kernels, and
    /// are so on this one; placement avoids them.
    pub fn known_changes(&mut self, rings: &mut Rings) -> Result<Vec<&'static str>, KernelError> {
        Ok(self.measure(rings, mapprof_emulated, Leaf::known())?.changed)
    }

    /// Measures how long a timed call lasts that does nothing; one whose entry is
    /// single-stepped only where `slow`.
    pub fn calibrate_calls(&mut self, rings: &mut Rings, slow: bool) -> Result<(), KernelError> {
        let emulated = self.measure_call(rings, mapprof_emulated)?;
        self.set_call_costs(Cost::Emulated, emulated);
        if slow {
            let slow = self.measure_call(rings, mapprof_slow)?;
            self.set_call_costs(Cost::Slow, slow);
        }
        Ok(())
    }

    fn measure_call(
        &mut self,
        rings: &mut Rings,
        function: unsafe extern "C" fn(u64) -> u64,
    ) -> Result<CallCosts, KernelError> {
        let offset = own_offset(function)?;
        let site = probe_ebpf::Site {
            flags: site_flags::ONLY_WAITS,
            object: Operand::reg(Reg::Rsi),
            ..Default::default()
        };
        let entry = MAX_SITES as u32 - 2;
        self.describe_one(entry, site)?;
        self.describe_one(entry + 1, site)?;
        let probes = Attachment::timed(self, "/proc/self/exe", offset, entry)?;
        on_a_thread(function);
        drop(probes);
        let mut lasted = Vec::new();
        rings.drain(|record| lasted.extend(wait_ns(record)));
        lasted.sort_unstable();
        let call_ns = lasted.get(lasted.len() / 2).copied().unwrap_or(0);
        let call_ns = u32::try_from(call_ns).unwrap_or(u32::MAX);
        let spin_ns = call_ns.saturating_mul(SPIN_FACTOR).max(LEAST_SPIN_NS);
        Ok(CallCosts { call_ns, spin_ns })
    }

    /// Times a function, and looks at what others compute, with probes on all of them.
    fn measure(
        &mut self,
        rings: &mut Rings,
        function: unsafe extern "C" fn(u64) -> u64,
        leaves: &[Leaf],
    ) -> Result<Measured, KernelError> {
        let addresses = once(function as usize as u64).chain(leaves.iter().map(Leaf::address));
        let offsets = addresses
            .map(file_offset)
            .collect::<io::Result<Vec<_>>>()
            .map_err(|error| KernelError::Sys { what: "find mapprof's own code".into(), error })?;
        let site = probe_ebpf::Site {
            key_kind: key_kind::INT,
            key_size: 8,
            object: Operand::reg(Reg::Rsi),
            key: Operand::reg(Reg::Rdi),
            ..Default::default()
        };
        self.describe_one(MAX_SITES as u32 - 1, site)?;
        let alone = on_a_thread(function);
        let cookie = MAX_SITES as u32 - 1;
        let attachment = Attachment::to_itself(self, "/proc/self/exe", &offsets, cookie)?;
        let probed = on_a_thread(function);
        let changed = leaves::changed(leaves);
        drop(attachment);
        let records = rings.drain(|_| {});
        // What was combined is none of the target's.
        self.combined().clear();
        Ok(Measured { hit_ns: probed.saturating_sub(alone), records, changed })
    }
}

struct Measured {
    hit_ns: u64,
    records: usize,
    /// Kinds of instruction that did something else.
    changed: Vec<&'static str>,
}

/// What is usual among rounds of a measurement, ns: on a machine that does something else for a
/// while, such as to give its CPU to another guest, all batches of a round are dear together. A
/// round counts once another one agrees with it; of those that do not, the cheapest is nearest.
fn usual(mut round: impl FnMut() -> u64) -> u64 {
    let mut least = round();
    for _ in 1..ROUNDS {
        let next = round();
        let agree = least.abs_diff(next) <= least.min(next) / 2 + TICK_NS;
        least = least.min(next);
        if agree {
            break;
        }
    }
    least
}

/// CPU time of this thread, ns: what others do on its CPU meanwhile is no cost of a hit.
fn thread_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// How long the wait of a record was, ns.
fn wait_ns(record: &[u8]) -> Option<u64> {
    const START: usize = std::mem::offset_of!(probe_ebpf::Wait, start_ns);
    const END: usize = std::mem::offset_of!(probe_ebpf::Wait, end_ns);
    let word = |at: usize| Some(u64::from_le_bytes(record.get(at..at + 8)?.try_into().ok()?));
    let is_wait = record.first() == Some(&probe_ebpf::record_kind::WAIT);
    word(END)?.checked_sub(word(START)?).filter(|_| is_wait)
}

/// ns per call, on a thread that is not the process' first.
fn on_a_thread(function: unsafe extern "C" fn(u64) -> u64) -> u64 {
    let round = || std::thread::scope(|scope| scope.spawn(|| time(function)).join());
    usual(|| round().unwrap_or_default())
}

/// ns per call: the median of a few batches, for one that an interrupt falls into must not
/// count.
fn time(function: unsafe extern "C" fn(u64) -> u64) -> u64 {
    let mut batches: [u64; BATCHES] = std::array::from_fn(|_| {
        let began = thread_ns();
        for key in 0..CALLS {
            // SAFETY: the functions above take and return a number and touch nothing else.
            std::hint::black_box(unsafe { function(u64::from(key)) });
        }
        thread_ns().saturating_sub(began) / u64::from(CALLS)
    });
    batches.sort_unstable();
    batches[BATCHES / 2]
}

/// Where in mapprof's own file a function lies.
fn own_offset(function: unsafe extern "C" fn(u64) -> u64) -> Result<u64, KernelError> {
    file_offset(function as usize as u64)
        .map_err(|error| KernelError::Sys { what: "find mapprof's own code".into(), error })
}

/// Where in mapprof's own file the code at an address lies, by /proc/self/maps.
fn file_offset(address: u64) -> io::Result<u64> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    maps.lines()
        .find_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let (low, high) = fields.next()?.split_once('-')?;
            let (low, high) = (hex(low)?, hex(high)?);
            let offset = hex(fields.nth(1)?)?;
            (low..high).contains(&address).then(|| address - low + offset)
        })
        .ok_or_else(|| io::Error::other("its address is in no mapping"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual_of(rounds: &[u64]) -> u64 {
        let mut rounds = rounds.iter().copied();
        usual(|| rounds.next().expect("no further round is needed"))
    }

    #[test]
    fn a_round_that_stands_alone_is_measured_again() {
        assert_eq!(usual_of(&[1010, 1000]), 1000);
        assert_eq!(usual_of(&[54_000, 1010, 1000]), 1000);
        assert_eq!(usual_of(&[1010, 54_000, 1000]), 1000);
        assert_eq!(usual_of(&[9_000, 54_000, 3_000, 54_000, 1_000, 8_000]), 1_000);
        // Without a probe it is next to nothing.
        assert_eq!(usual_of(&[3, 1]), 1);
    }
}
