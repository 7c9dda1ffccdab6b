//! The architecture seam: what placement needs to know of an instruction.
//!
//! In: bytes and their address. Out: [`Step`]s in the order of addresses.

use iced_x86::{
    Code, Decoder, DecoderOptions, EncodingKind, FlowControl, Formatter as _, Instruction,
    InstructionInfoFactory, IntelFormatter, Mnemonic, OpAccess, OpKind, Register,
};
use probe_ebpf::Reg;

use super::Cost;

/// Where control goes after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// To the next one, always.
    Next,
    /// To the target or to the next one.
    Branch(u64),
    /// To the target; unknown where it is computed.
    Jump(Option<u64>),
    /// To the target and, later, the next one.
    Call(Option<u64>),
    /// Anywhere else: a return, a trap.
    Away,
}

/// A set of general-purpose registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RegSet(u16);

impl RegSet {
    /// With one more member; numbers that name no register are ignored.
    pub(super) fn with(self, number: u8) -> Self {
        Self(self.0 | 1u16.checked_shl(number.into()).unwrap_or(0))
    }

    /// With the stack pointer.
    pub(super) fn with_stack(self) -> Self {
        self.with(Reg::Rsp as u8)
    }

    /// With the register that holds the goroutine in Go's register ABI.
    pub(super) fn with_goroutine(self) -> Self {
        self.with(Reg::R14 as u8)
    }

    /// Whether they have a member in common.
    pub(super) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// One instruction.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub(super) struct Step {
    pub(super) address: u64,
    pub(super) len: u64,
    /// What a probe here costs; `None` where there must be none: the kernel refuses it, or it
    /// would change what the program does.
    pub(super) cost: Option<Cost>,
    pub(super) flow: Flow,
    /// Registers it changes.
    pub(super) writes: RegSet,
    /// Whether it writes to memory.
    pub(super) stores: bool,
    /// It does nothing and is so long that the kernel may make a call of it, see
    /// [`may_become_call`].
    pub(super) may_become_call: bool,
    /// It is `jbe`, whose being taken the kernel side can tell from the flags.
    pub(super) is_jbe: bool,
    /// It changes memory that other CPUs may be changing, as locks do.
    pub(super) is_atomic: bool,
    instruction: Instruction,
}

impl Step {
    /// Intel syntax.
    pub(super) fn text(&self) -> String {
        let mut formatter = IntelFormatter::new();
        let options = formatter.options_mut();
        options.set_hex_prefix("0x");
        options.set_hex_suffix("");
        options.set_uppercase_hex(false);
        options.set_space_after_operand_separator(true);
        options.set_branch_leading_zeros(false);
        options.set_show_branch_size(false);
        let mut text = String::new();
        formatter.format(&self.instruction, &mut text);
        text
    }
}

/// Decodes until the bytes end or make no sense.
pub(super) fn decode(bytes: &[u8], address: u64) -> impl Iterator<Item = Step> {
    let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
    let mut info = InstructionInfoFactory::new();
    std::iter::from_fn(move || {
        if !decoder.can_decode() {
            return None;
        }
        let at = decoder.position();
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return None;
        }
        let raw = bytes.get(at..at + instruction.len())?;
        let mut writes = RegSet::default();
        let used = info.info(&instruction);
        for used in used.used_registers() {
            let register = used.register().full_register();
            if is_written(used.access()) && register.is_gpr64() {
                writes = writes.with((register as u32 - Register::RAX as u32) as u8);
            }
        }
        let stores = used.used_memory().iter().any(|memory| is_written(memory.access()));
        Some(Step {
            address: instruction.ip(),
            len: instruction.len() as u64,
            cost: cost(raw, &instruction),
            flow: flow(&instruction),
            writes,
            stores,
            may_become_call: may_become_call(&instruction),
            is_jbe: instruction.mnemonic() == Mnemonic::Jbe,
            is_atomic: instruction.has_lock_prefix(),
            instruction,
        })
    })
}

fn is_written(access: OpAccess) -> bool {
    use OpAccess::{CondWrite, ReadCondWrite, ReadWrite, Write};
    matches!(access, Write | CondWrite | ReadWrite | ReadCondWrite)
}

fn flow(instruction: &Instruction) -> Flow {
    let direct = || Some(instruction.near_branch_target());
    match instruction.flow_control() {
        FlowControl::Next => Flow::Next,
        FlowControl::ConditionalBranch => Flow::Branch(instruction.near_branch_target()),
        FlowControl::UnconditionalBranch => Flow::Jump(direct()),
        FlowControl::IndirectBranch => Flow::Jump(None),
        FlowControl::Call if instruction.is_call_near() => Flow::Call(direct()),
        FlowControl::Call | FlowControl::IndirectCall => Flow::Call(None),
        _ => Flow::Away,
    }
}

/// What the kernel does with a breakpoint on these bytes; `None` where it refuses one, or
/// where one would change what the program does.
fn cost(raw: &[u8], instruction: &Instruction) -> Option<Cost> {
    if emulated(raw) {
        return Some(Cost::Emulated);
    }
    let refused = has_refused_prefix(raw)
        || instruction.is_privileged()
        || !matches!(instruction.encoding(), EncodingKind::Legacy | EncodingKind::VEX)
        || matches!(
            instruction.flow_control(),
            FlowControl::Interrupt | FlowControl::Exception | FlowControl::XbeginXabortXend
        )
        || is_branch_of_16_bits(raw);
    (!refused && is_same_elsewhere(instruction)).then_some(Cost::Slow)
}

/// Whether an instruction does the same in a single step at another address. The kernel
/// mends what is relative to the address. What is left is seen by generated leaf functions that are
/// called with and without a probe (`tests/tests/leaves.rs`), and follows from what a
/// step is: a trap behind one turn of one instruction, by a flag.
fn is_same_elsewhere(instruction: &Instruction) -> bool {
    use Mnemonic::{
        Cmpsb, Cmpsd, Cmpsq, Cmpsw, Lodsb, Lodsd, Lodsq, Lodsw, Movsb, Movsd, Movsq, Movsw, Pushf,
        Pushfd, Pushfq, Scasb, Scasd, Scasq, Scasw, Stosb, Stosd, Stosq, Stosw, Syscall, Sysenter,
        Xchg,
    };
    let is_repeated = instruction.has_rep_prefix() || instruction.has_repne_prefix();
    match instruction.mnemonic() {
        // They store the flags, with that of the step; and the kernel returns to where it was
        // called from, by which Linux 6.18 kills the program.
        Pushf | Pushfd | Pushfq | Syscall | Sysenter => false,
        // One step is one turn, and each turn is a hit.
        Cmpsb | Cmpsd | Cmpsq | Cmpsw | Lodsb | Lodsd | Lodsq | Lodsw | Movsb | Movsd | Movsq
        | Movsw | Scasb | Scasd | Scasq | Scasw | Stosb | Stosd | Stosq | Stosw => !is_repeated,
        // With a prefix that makes it exchange R8, the kernel takes 0x90 for a nop
        // (`branch_setup_xol_ops`).
        Xchg => {
            let short = [Code::Xchg_r16_AX, Code::Xchg_r32_EAX, Code::Xchg_r64_RAX];
            !short.contains(&instruction.code())
                || instruction.op0_register().full_register() != Register::R8
        }
        // The trap behind it comes one instruction late.
        _ => !instruction.op_kinds().zip(0..).any(|(kind, operand)| {
            kind == OpKind::Register && instruction.op_register(operand) == Register::SS
        }),
    }
}

/// `push_setup_xol_ops` and `branch_setup_xol_ops` in arch/x86/kernel/uprobes.c:
/// push of a whole register, relative jumps and calls without an operand-size
/// prefix, and the kernel's own nops of up to 5 bytes.
fn emulated(raw: &[u8]) -> bool {
    matches!(
        raw,
        [0x50..=0x57 | 0x90]
            | [0x41, 0x50..=0x57]
            | [0xeb | 0x70..=0x7f, _]
            | [0xe8 | 0xe9, _, _, _, _]
            | [0x0f, 0x80..=0x8f, _, _, _, _]
            | [0x66, 0x90]
            | [0x0f, 0x1f, 0x40, 0x00]
            | [0x0f, 0x1f, 0x44, 0x00, 0x00]
    )
}

/// Whether the kernel, once it is probed, may put a call in the place of an instruction that
/// does nothing. The call pushes a return address, and what it leads to three registers
/// more, over what a leaf function keeps below the stack pointer. Linux 6.18 does so with
/// nops of 5 bytes (`can_optimize`, arch/x86/kernel/uprobes.c); this takes for one all that
/// `insn_is_nop` (arch/x86/lib/insn-eval.c) does in later versions.
fn may_become_call(instruction: &Instruction) -> bool {
    if instruction.len() != CALL_LEN {
        return false;
    }
    match instruction.mnemonic() {
        Mnemonic::Nop => true,
        Mnemonic::Jmp => {
            instruction.flow_control() == FlowControl::UnconditionalBranch
                && instruction.near_branch_target() == instruction.next_ip()
        }
        Mnemonic::Mov => {
            instruction.op1_kind() == OpKind::Register
                && instruction.op0_register() == instruction.op1_register()
        }
        Mnemonic::Lea => {
            instruction.memory_base() == instruction.op0_register()
                && instruction.memory_index() == Register::None
                && instruction.memory_displacement64() == 0
        }
        _ => false,
    }
}

/// Length of a call to a relative address.
const CALL_LEN: usize = 5;

/// Whether a running instruction that was `file` may be the call that the kernel made of a
/// probed one.
pub(super) fn is_probed_as_call(file: &[u8], running: &[u8]) -> bool {
    running.first() == Some(&0xe8)
        && decode(file, 0).next().is_some_and(|step| step.may_become_call)
}

/// Prefixes of an instruction but for REX.
fn prefixes(raw: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let is_prefix =
        |byte: &u8| matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3);
    raw.iter().copied().take_while(is_prefix)
}

/// `is_prefix_bad` there: `lock` and the segment prefixes that 64-bit mode ignores.
fn has_refused_prefix(raw: &[u8]) -> bool {
    prefixes(raw).any(|byte| matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0xf0))
}

/// A relative jump or call with a prefix for 16 bits, which processors read differently.
fn is_branch_of_16_bits(raw: &[u8]) -> bool {
    let behind = raw.get(prefixes(raw).count()..).unwrap_or_default();
    prefixes(raw).any(|byte| byte == 0x66)
        && matches!(behind, [0x70..=0x7f | 0xe8 | 0xe9 | 0xeb, ..] | [0x0f, 0x80..=0x8f, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(raw: &[u8]) -> Step {
        let step = decode(raw, 0x1000).next().unwrap();
        assert_eq!(step.len, raw.len() as u64, "{}", step.text());
        step
    }

    #[test]
    fn what_the_kernel_emulates() {
        let emulated: &[&[u8]] = &[
            &[0x55],                         // push rbp
            &[0x41, 0x57],                   // push r15
            &[0xeb, 0x10],                   // jmp short
            &[0xe9, 0, 1, 0, 0],             // jmp
            &[0x76, 0x10],                   // jbe short
            &[0x0f, 0x86, 0, 1, 0, 0],       // jbe
            &[0xe8, 0, 1, 0, 0],             // call
            &[0x90],                         // nop
            &[0x66, 0x90],                   // xchg ax, ax
            &[0x0f, 0x1f, 0x40, 0x00],       // 4-byte nop
            &[0x0f, 0x1f, 0x44, 0x00, 0x00], // 5-byte nop
        ];
        for raw in emulated {
            assert_eq!(one(raw).cost, Some(Cost::Emulated), "{raw:x?}");
        }
    }

    #[test]
    fn what_it_single_steps() {
        let slow: &[&[u8]] = &[
            &[0x49, 0x3b, 0x66, 0x10],                // cmp rsp, [r14+0x10]
            &[0xf3, 0x0f, 0x1e, 0xfa],                // endbr64
            &[0x48, 0x83, 0xec, 0x18],                // sub rsp, 0x18
            &[0xc3],                                  // ret
            &[0xff, 0xe0],                            // jmp rax
            &[0x66, 0x50],                            // push ax
            &[0x48, 0x50],                            // push rax with a prefix nobody needs
            &[0x6a, 0x01],                            // push 1
            &[0x0f, 0x1f, 0x00],                      // 3-byte nop
            &[0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0], // 9-byte nop
            &[0xe3, 0x10],                            // jrcxz
            &[0xa4],                                  // movsb
            &[0xf3, 0x90],                            // pause
            &[0x48, 0x87, 0xf7],                      // xchg rdi, rsi
            &[0x91],                                  // xchg ecx, eax
            &[0x8e, 0xd8],                            // mov ds, eax
        ];
        for raw in slow {
            assert_eq!(one(raw).cost, Some(Cost::Slow), "{raw:x?}");
        }
    }

    #[test]
    fn what_it_refuses() {
        let refused: &[&[u8]] = &[
            &[0xf0, 0x48, 0x0f, 0xb1, 0x0f], // lock cmpxchg [rdi], rcx
            &[0x2e, 0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0], // nop with cs
            &[0x3e, 0xff, 0xe0],             // notrack jmp rax
            &[0xcc],                         // int3
            &[0x0f, 0x0b],                   // ud2
            &[0xf4],                         // hlt
            &[0x66, 0xe9, 0, 0, 0, 0],       // jmp with a prefix for 16 bits
            &[0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0], // vaddps zmm0, zmm0, zmm0
            &[0x8f, 0xe9, 0x78, 0x81, 0xc0], // vfrczpd xmm0, xmm0
        ];
        for raw in refused {
            assert_eq!(one(raw).cost, None, "{raw:x?}");
        }
    }

    #[test]
    fn what_would_change_the_program_is_refused() {
        let changed: &[&[u8]] = &[
            &[0x9c],                   // pushfq
            &[0x0f, 0x05],             // syscall
            &[0x0f, 0x34],             // sysenter
            &[0xf3, 0xa4],             // rep movsb
            &[0xf2, 0xae],             // repne scasb
            &[0xf3, 0x48, 0xab],       // rep stosq
            &[0x41, 0x90],             // xchg r8d, eax
            &[0x49, 0x90],             // xchg r8, rax
            &[0x8e, 0xd0],             // mov ss, eax
            &[0xc7, 0xf8, 0, 0, 0, 0], // xbegin
        ];
        for raw in changed {
            assert_eq!(one(raw).cost, None, "{raw:x?}");
        }
    }

    #[test]
    fn what_the_kernel_may_make_a_call_of() {
        let nops: &[&[u8]] = &[
            &[0x0f, 0x1f, 0x44, 0x00, 0x00],
            &[0x0f, 0x1f, 0x44, 0x24, 0x18],
            &[0x66, 0x0f, 0x1f, 0x40, 0x00],
            &[0x48, 0x0f, 0x1f, 0x40, 0x00],
            &[0x66, 0x66, 0x66, 0x66, 0x90],
            &[0xe9, 0, 0, 0, 0],             // jmp to the next
            &[0x48, 0x8d, 0x64, 0x24, 0x00], // lea rsp, [rsp+0]
            &[0x4d, 0x8d, 0x64, 0x24, 0x00], // lea r12, [r12+0]
            &[0x48, 0x8d, 0x74, 0x26, 0x00], // lea rsi, [rsi+0]
        ];
        for raw in nops {
            assert!(one(raw).may_become_call, "{raw:x?}");
            assert!(is_probed_as_call(raw, &[0xe8, 1, 2, 3, 4]) && !is_probed_as_call(raw, raw));
        }
        let others: &[&[u8]] = &[
            &[0x0f, 0x1f, 0x40, 0x00],       // 4 bytes
            &[0x66, 0x0f, 0x1f, 0x44, 0, 0], // 6 bytes
            &[0xe9, 1, 0, 0, 0],             // jmp
            &[0xe8, 0, 0, 0, 0],             // call
            &[0xb8, 1, 0, 0, 0],             // mov eax, 1
            &[0x4c, 0x8d, 0x64, 0x24, 0xd0], // lea r12, [rsp-0x30]
            &[0x48, 0x89, 0x44, 0x24, 0x08], // mov [rsp+8], rax
        ];
        for raw in others {
            assert!(!one(raw).may_become_call, "{raw:x?}");
            assert!(!is_probed_as_call(raw, &[0xe8, 1, 2, 3, 4]));
        }
    }

    #[test]
    fn what_stores() {
        assert!(one(&[0x48, 0x89, 0x44, 0x24, 0xf8]).stores); // mov [rsp-8], rax
        assert!(one(&[0x55]).stores); // push rbp
        assert!(!one(&[0x48, 0x8b, 0x44, 0x24, 0xf8]).stores); // mov rax, [rsp-8]
        assert!(!one(&[0x0f, 0x1f, 0x44, 0x00, 0x00]).stores);
        assert!(!one(&[0xf3, 0x0f, 0x1e, 0xfa]).stores);
    }

    #[test]
    fn where_control_goes() {
        assert_eq!(one(&[0x76, 0x10]).flow, Flow::Branch(0x1012));
        assert_eq!(one(&[0xeb, 0xfe]).flow, Flow::Jump(Some(0x1000)));
        assert_eq!(one(&[0xe8, 0xfb, 0xff, 0xff, 0xff]).flow, Flow::Call(Some(0x1000)));
        assert_eq!(one(&[0xff, 0xd0]).flow, Flow::Call(None));
        assert_eq!(one(&[0xff, 0xe0]).flow, Flow::Jump(None));
        assert_eq!(one(&[0xc3]).flow, Flow::Away);
        assert_eq!(one(&[0x55]).flow, Flow::Next);
        assert_eq!(one(&[0x0f, 0x05]).flow, Flow::Call(None)); // syscall changes registers too
    }

    #[test]
    fn what_is_written() {
        let rdi = RegSet::default().with(Reg::Rdi as u8);
        let rcx = RegSet::default().with(Reg::Rcx as u8);
        let r12 = RegSet::default().with(Reg::R12 as u8);
        let stack = RegSet::default().with_stack();
        assert!(one(&[0x31, 0xff]).writes.meets(rdi)); // xor edi, edi
        assert!(one(&[0x40, 0xb7, 0x01]).writes.meets(rdi)); // mov dil, 1
        assert!(one(&[0xb5, 0x01]).writes.meets(rcx)); // mov ch, 1
        assert!(!one(&[0x48, 0x89, 0xf8]).writes.meets(rdi)); // mov rax, rdi
        assert!(one(&[0x4c, 0x8d, 0x64, 0x24, 0xd0]).writes.meets(r12)); // lea r12, [rsp-0x30]
        assert!(!one(&[0x4c, 0x8d, 0x64, 0x24, 0xd0]).writes.meets(stack));
        assert!(one(&[0x55]).writes.meets(stack)); // push rbp
        assert!(one(&[0x48, 0x87, 0xf7]).writes.meets(rdi)); // xchg rdi, rsi
        assert!(one(&[0x48, 0x0f, 0x44, 0xfe]).writes.meets(rdi)); // cmove rdi, rsi
    }

    #[test]
    fn text_is_intel_syntax() {
        assert_eq!(one(&[0x55]).text(), "push rbp");
        assert_eq!(one(&[0x76, 0x10]).text(), "jbe 0x1012");
    }
}
