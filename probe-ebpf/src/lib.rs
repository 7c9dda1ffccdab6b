//! The ABI that mapprof's BPF programs and its user-space half share, and the
//! plain functions of the kernel side, kept here so that they are tested in
//! user space.
//!
//! In: nothing. Out: `#[repr(C)]` types with explicit padding, written by one
//! side as bytes and read by the other, and [`eval`].
#![no_std]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![expect(clippy::inline_always, reason = "BPF programs must not call what can be inlined")]

#[cfg(test)]
extern crate std;

mod abi;
mod call;
mod combine;
mod operand;
mod parks;

pub use abi::*;
pub use call::{Call, Switches};
pub use combine::{
    HINTS, Identifies, Identity, LONG_HINTS, LONG_SLOTS, Offered, Resident, SLOT_KEY, SLOTS,
    SLOTS_PER_HINT, Slot,
};
pub use operand::{FLAGS_CF, FLAGS_ZF, Operand, REG_COUNT, Reg, Regs, eval, guard_taken};
pub use parks::{SAME_CALL_NS, SemaEntry, WRITER_SEMA};
