//! How a site's descriptor says where a value lies, and how it is fetched.
//!
//! In: the registers at the probed instruction and a way to read eight bytes of
//! the target. Out: the value.

/// General-purpose registers of x86_64 by their encoding number, which is also
/// the index into [`Regs::gpr`].
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the registers' own")]
pub enum Reg {
    Rax = 0,
    Rcx = 1,
    Rdx = 2,
    Rbx = 3,
    Rsp = 4,
    Rbp = 5,
    Rsi = 6,
    Rdi = 7,
    R8 = 8,
    R9 = 9,
    R10 = 10,
    R11 = 11,
    R12 = 12,
    R13 = 13,
    R14 = 14,
    R15 = 15,
}

/// Number of general-purpose registers; a power of two, so that an index can be
/// masked into range where the verifier asks for it.
pub const REG_COUNT: usize = 16;

/// The carry flag in `rflags`.
pub const FLAGS_CF: u64 = 1;
/// The zero flag in `rflags`.
pub const FLAGS_ZF: u64 = 1 << 6;

/// The registers at a probed instruction, by [`Reg`].
pub type Regs = [u64; REG_COUNT];

/// Most dereferences an operand can ask for.
pub(crate) const MAX_DEREFS: usize = 2;

/// Where a value lies: `v = reg; for each deref: v = *(v + offset); v += last offset`.
///
/// All zero means "no operand".
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Operand {
    /// 0: absent, 1: present.
    pub present: u8,
    /// Index of the register, see [`Reg`].
    pub reg: u8,
    /// How many times memory is read, at most 2.
    pub derefs: u8,
    /// Padding, zero.
    pub pad: u8,
    /// Byte offset added before each read, and after the last one.
    pub offsets: [i32; MAX_DEREFS + 1],
}

impl Operand {
    /// No operand.
    pub const NONE: Self = Self { present: 0, reg: 0, derefs: 0, pad: 0, offsets: [0; 3] };

    /// The value of a register.
    pub const fn reg(reg: Reg) -> Self {
        Self { present: 1, reg: reg as u8, derefs: 0, pad: 0, offsets: [0; 3] }
    }

    /// The value of a register plus `offset` bytes.
    pub const fn reg_plus(reg: Reg, offset: i32) -> Self {
        Self { present: 1, reg: reg as u8, derefs: 0, pad: 0, offsets: [offset, 0, 0] }
    }

    /// The eight bytes at `*(reg + offset)`.
    pub const fn deref(reg: Reg, offset: i32) -> Self {
        Self { present: 1, reg: reg as u8, derefs: 1, pad: 0, offsets: [offset, 0, 0] }
    }

    /// Whether there is an operand.
    pub const fn is_present(&self) -> bool {
        self.present != 0
    }
}

/// The value of `operand`, or `None` where a read of the target fails.
///
/// `read` fetches eight bytes at an address of the target. An absent operand is 0.
#[inline(always)]
pub fn eval(operand: &Operand, regs: &Regs, read: impl Fn(u64) -> Option<u64>) -> Option<u64> {
    if operand.present == 0 {
        return Some(0);
    }
    let mut value = regs[usize::from(operand.reg) & (REG_COUNT - 1)];
    value = value.wrapping_add(i64::from(operand.offsets[0]) as u64);
    if operand.derefs > 0 {
        value = read(value)?.wrapping_add(i64::from(operand.offsets[1]) as u64);
        if operand.derefs > 1 {
            value = read(value)?.wrapping_add(i64::from(operand.offsets[2]) as u64);
        }
    }
    Some(value)
}

/// Whether a `jbe` at the probed instruction will be taken (CF or ZF set): the
/// function is about to grow its stack and will start again from its entry.
#[inline(always)]
pub const fn guard_taken(flags: u64) -> bool {
    flags & (FLAGS_CF | FLAGS_ZF) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regs() -> Regs {
        let mut gpr = [0; REG_COUNT];
        gpr[Reg::Rdi as usize] = 0x1000;
        gpr[Reg::Rsi as usize] = 7;
        gpr
    }

    /// Memory in which each address holds itself plus one page.
    fn page_up(address: u64) -> Option<u64> {
        (address < 0x10_0000).then_some(address + 0x1000)
    }

    #[test]
    fn an_absent_operand_is_zero() {
        assert_eq!(eval(&Operand::NONE, &regs(), |_| None), Some(0));
    }

    #[test]
    fn registers_and_offsets() {
        assert_eq!(eval(&Operand::reg(Reg::Rsi), &regs(), |_| None), Some(7));
        assert_eq!(eval(&Operand::reg_plus(Reg::Rdi, -8), &regs(), |_| None), Some(0xff8));
    }

    #[test]
    fn dereferences_in_order() {
        assert_eq!(eval(&Operand::deref(Reg::Rdi, 8), &regs(), page_up), Some(0x2008));
        let twice = Operand { derefs: 2, offsets: [8, 16, 4], ..Operand::reg(Reg::Rdi) };
        assert_eq!(eval(&twice, &regs(), page_up), Some(0x1008 + 0x1000 + 16 + 0x1000 + 4));
    }

    #[test]
    fn a_failed_read_is_no_value() {
        assert_eq!(eval(&Operand::deref(Reg::Rdi, 0), &regs(), |_| None), None);
    }

    #[test]
    fn guard_flags() {
        assert!(guard_taken(FLAGS_CF) && guard_taken(FLAGS_ZF) && !guard_taken(1 << 7));
    }
}
