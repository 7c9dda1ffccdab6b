//! Whether a probe changes what a function computes, seen on functions of mapprof's own.
//!
//! In: nothing but the running kernel. Out: the kinds of instruction that do something else once
//! they are probed. What the kernel puts in the place of a probed instruction must not touch what a
//! leaf function keeps below its stack pointer (the red zone of the x86-64 ABI): Linux 6.18
//! makes a call of a nop of 5 bytes, which does. mapprof uses such a nop at a function's
//! entry only; should a kernel do the same with what it uses elsewhere, nothing is attached.
#![expect(unsafe_code, reason = "functions of known instructions to put probes on")]

/// A function with one instruction to be probed.
#[derive(Clone, Copy)]
pub(super) struct Leaf {
    /// The instruction.
    pub(super) kind: &'static str,
    /// Returns 0 if it has found everything as it left it.
    call: unsafe extern "C" fn(u64) -> u64,
    /// The instruction's address, which is not to be called.
    at: unsafe extern "C" fn(),
}

/// Defines the functions: each keeps its argument in 8 words below the stack pointer, of which the
/// instruction may use the first, passes the instruction, and compares.
macro_rules! leaves {
    ($($name:ident $at:ident $kind:literal: $($code:literal),*;)*) => {
        $(
            #[cfg(target_arch = "x86_64")]
            std::arch::global_asm!(
                ".pushsection .text.mapprof_leaves,\"ax\",@progbits",
                concat!(".type ", stringify!($name), ",@function"),
                concat!(".globl ", stringify!($name)),
                concat!(".globl ", stringify!($at)),
                concat!(stringify!($name), ":"),
                "mov [rsp-16], rdi", "mov [rsp-24], rdi", "mov [rsp-32], rdi", "mov [rsp-40], rdi",
                "mov [rsp-48], rdi", "mov [rsp-56], rdi", "mov [rsp-64], rdi", "mov [rsp-72], rdi",
                "mov rcx, rdi", "mov r11, rdi", "mov rsi, rsp", "xor eax, eax",
                // The carry and zero flags are kept, too.
                "cmp rdi, rdi", "stc",
                concat!(stringify!($at), ":"),
                $($code,)*
                "setnc al", "setne dl",
                "or al, dl", "movzx eax, al",
                "xor rcx, rdi", "or rax, rcx", "xor r11, rdi", "or rax, r11",
                "xor rsi, rsp", "or rax, rsi",
                "mov rcx, [rsp-16]", "xor rcx, rdi", "or rax, rcx",
                "mov rcx, [rsp-24]", "xor rcx, rdi", "or rax, rcx",
                "mov rcx, [rsp-32]", "xor rcx, rdi", "or rax, rcx",
                "mov rcx, [rsp-40]", "xor rcx, rdi", "or rax, rcx",
                "mov rcx, [rsp-48]", "xor rcx, rdi", "or rax, rcx",
                "mov rcx, [rsp-56]", "xor rcx, rdi", "or rax, rcx",
                "mov rcx, [rsp-64]", "xor rcx, rdi", "or rax, rcx",
                "mov rcx, [rsp-72]", "xor rcx, rdi", "or rax, rcx",
                "ret",
                concat!(".size ", stringify!($name), ", .-", stringify!($name)),
                ".popsection",
            );
            unsafe extern "C" {
                fn $name(value: u64) -> u64;
                fn $at();
            }
        )*
        const ALL: &[Leaf] = &[$(Leaf { kind: $kind, call: $name, at: $at }),*];
    };
}

// The first is the one that kernels are known to change; the others are those that placement
// takes for emulated, wherever they stand.
leaves! {
    mapprof_leaf_nop5 mapprof_at_nop5 "nop of 5 bytes": ".byte 0x0f, 0x1f, 0x44, 0x00, 0x00";
    mapprof_leaf_nop mapprof_at_nop "nop": ".byte 0x90";
    mapprof_leaf_nop2 mapprof_at_nop2 "nop of 2 bytes": ".byte 0x66, 0x90";
    mapprof_leaf_nop4 mapprof_at_nop4 "nop of 4 bytes": ".byte 0x0f, 0x1f, 0x40, 0x00";
    mapprof_leaf_push mapprof_at_push "push": ".byte 0x57", "pop rcx";
    mapprof_leaf_push_r11 mapprof_at_push_r11 "push of 2 bytes": ".byte 0x41, 0x53", "pop r11";
    // Over a byte that would end the program.
    mapprof_leaf_jmp mapprof_at_jmp "jmp": ".byte 0xeb, 0x01, 0xcc";
    mapprof_leaf_jmp_near mapprof_at_jmp_near "jmp of 5 bytes": ".byte 0xe9, 1, 0, 0, 0, 0xcc";
    mapprof_leaf_jcc mapprof_at_jcc "jcc": ".byte 0x72, 0x01, 0xcc";
    mapprof_leaf_jcc_near mapprof_at_jcc_near "jcc of 6 bytes":
        ".byte 0x0f, 0x82, 1, 0, 0, 0, 0xcc";
    // To the next instruction, whose address it pushes; with that off, RCX is as it was.
    mapprof_leaf_call mapprof_at_call "call":
        ".byte 0xe8, 0, 0, 0, 0", "2: pop rcx", "lea rdx, [rip + 2b]", "not rdx",
        "lea rcx, [rcx + rdx + 1]", "lea rcx, [rcx + rdi]";
}

impl Leaf {
    /// Those with instructions that placement uses wherever they stand.
    pub(super) fn used() -> &'static [Self] {
        &ALL[1..]
    }

    /// The one that a kernel may change, which placement knows.
    pub(super) fn known() -> &'static [Self] {
        &ALL[..1]
    }

    /// Address of the instruction in this process.
    pub(super) fn address(&self) -> u64 {
        self.at as usize as u64
    }

    /// Whether the function finds anything else than it left there. Thrice, since the first hit of a
    /// probe is what makes the kernel put something else in its place.
    pub(super) fn is_changed(&self) -> bool {
        [0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321, u64::MAX].into_iter().any(|value| {
            // SAFETY: the functions above take and return a number, and leave all registers that
            // are their callers'.
            let differs = unsafe { (self.call)(value) };
            std::hint::black_box(differs) != 0
        })
    }
}

/// The kinds among these that do something else at this moment.
pub(super) fn changed(leaves: &[Leaf]) -> Vec<&'static str> {
    leaves.iter().filter(|leaf| leaf.is_changed()).map(|leaf| leaf.kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_probe_nothing_changes() {
        assert_eq!(changed(ALL), Vec::<&str>::new());
        assert_eq!(Leaf::known()[0].kind, "nop of 5 bytes");
        assert_eq!(Leaf::used().len(), ALL.len() - 1);
    }

    #[test]
    fn each_instruction_stands_behind_what_it_must_not_change() {
        for leaf in ALL {
            let distance = leaf.address() - leaf.call as usize as u64;
            assert!((20..100).contains(&distance), "{}: {distance}", leaf.kind);
        }
    }
}
