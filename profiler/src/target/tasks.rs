//! How many tasks a process has.
//!
//! In: its modules and its memory. Out: of a Go program the most goroutines that it ever
//! had at a time, of any other the threads that it has.

use iced_x86::{Decoder, DecoderOptions, Mnemonic, Register};

use super::Target;

/// More goroutines than any process has: what was read is no count.
const MOST: u64 = 1 << 32;
/// The function that makes room for one more goroutine than there ever were
/// (runtime/proc.go, Go 1.19–1.27). It ends with an atomic store of how many there are.
const ADDS_GOROUTINE: &str = "runtime.allgadd";

/// Where it stands how many tasks there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskCount {
    /// In a Go program's memory.
    Goroutines {
        /// Which module of the target.
        module: usize,
        /// Address of `runtime.allglen` in its file.
        at: u64,
    },
    /// With the kernel.
    Threads,
    /// Nowhere that is known.
    Unknown,
}

impl TaskCount {
    /// Looks for it. A stripped program has no symbols of data, so in Go it is what
    /// [`ADDS_GOROUTINE`] stores.
    pub(crate) fn of(target: &Target) -> Self {
        let mut modules = target.modules().iter().enumerate();
        let go = modules.find(|(_, module)| module.image.go_version().is_some());
        let Some((module, found)) = go else { return Self::Threads };
        let image = &found.image;
        let mut functions = image.functions();
        let at = functions.find(|it| it.name == ADDS_GOROUTINE).and_then(|function| {
            let len = function.end.checked_sub(function.start)?;
            stored(image.bytes_at(function.start, len)?, function.start)
        });
        at.map_or(Self::Unknown, |at| Self::Goroutines { module, at })
    }

    /// The tasks that can exist at a time: no more than so many can wait at once. Goroutines
    /// that have ended leave their places to others, so this never falls.
    pub(crate) fn read(self, target: &Target) -> Option<u64> {
        match self {
            Self::Goroutines { module, at } => {
                let address = target.modules().get(module)?.runtime_address(at)?;
                target.live_u64(address).filter(|&count| count > 0 && count < MOST)
            }
            Self::Threads => target.threads(),
            Self::Unknown => None,
        }
    }
}

/// What the last exchange with memory at a fixed place writes to, whether the instruction
/// names the place or a register that was pointed there.
fn stored(code: &[u8], start: u64) -> Option<u64> {
    let mut decoder = Decoder::with_ip(64, code, start, DecoderOptions::NONE);
    let mut pointed: Vec<(Register, u64)> = Vec::new();
    let mut found = None;
    for instruction in &mut decoder {
        let is_fixed = instruction.is_ip_rel_memory_operand();
        let place = is_fixed.then(|| instruction.ip_rel_memory_address());
        match (instruction.mnemonic(), place) {
            (Mnemonic::Lea, Some(place)) => {
                let to = instruction.op0_register();
                pointed.retain(|(register, _)| *register != to);
                pointed.push((to, place));
            }
            (Mnemonic::Xchg, None) if instruction.memory_displacement64() == 0 => {
                let base = instruction.memory_base();
                let known = pointed.iter().find(|(register, _)| *register == base);
                found = known.map(|(_, place)| *place).or(found);
            }
            (Mnemonic::Xchg, Some(place)) => found = Some(place),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_exchange_with_memory_is_the_count() {
        // xchg %rax,0x10(%rip); mov %rcx,8(%rip); xchg %rcx,0x20(%rip); xchg %rax,(%rbx); ret
        let code = [
            0x48, 0x87, 0x05, 0x10, 0, 0, 0, 0x48, 0x89, 0x0d, 8, 0, 0, 0, 0x48, 0x87, 0x0d, 0x20,
            0, 0, 0, 0x48, 0x87, 0x03, 0xc3,
        ];
        assert_eq!(stored(&code, 0x1000), Some(0x1000 + 21 + 0x20));
        assert_eq!(stored(&code[24..], 0x1000), None);
        // lea 0x100(%rip),%rdx; xchg %rcx,(%rdx); xchg %rcx,8(%rdx): as Go 1.27 has it.
        let through = [0x48, 0x8d, 0x15, 0, 1, 0, 0, 0x48, 0x87, 0x0a, 0x48, 0x87, 0x4a, 0x08];
        assert_eq!(stored(&through, 0x1000), Some(0x1000 + 7 + 0x100));
    }

    #[test]
    fn a_program_without_go_has_threads() {
        let target = Target::of_process(std::process::id() as i32).expect("this process");
        assert_eq!(TaskCount::of(&target), TaskCount::Threads);
        assert!(TaskCount::Threads.read(&target).is_some_and(|tasks| tasks >= 1));
    }
}
