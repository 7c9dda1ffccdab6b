//! The BPF programs; empty on any other target.
//!
//! In: uprobe hits, whose attach cookie is the index of a [`probe_ebpf::Site`].
//! Out: records in the CPU's ring, and counters for what made none. One program
//! per role; which operand lies where is data.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]
#![cfg_attr(
    target_arch = "bpf",
    expect(
        unsafe_code,
        reason = "BPF helpers and context are raw pointers; the verifier checks them"
    )
)]

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod calls;
#[cfg(target_arch = "bpf")]
mod claims;
#[cfg(target_arch = "bpf")]
mod combining;
#[cfg(target_arch = "bpf")]
mod context;
#[cfg(target_arch = "bpf")]
mod drafts;
#[cfg(target_arch = "bpf")]
mod keys;
#[cfg(target_arch = "bpf")]
mod locks;
#[cfg(target_arch = "bpf")]
mod ops;
#[cfg(target_arch = "bpf")]
mod tasks;
#[cfg(target_arch = "bpf")]
mod transport;

#[cfg(target_arch = "bpf")]
mod programs {
    use aya_ebpf::{
        macros::{uprobe, uretprobe},
        programs::{ProbeContext, RetProbeContext},
    };

    use crate::{
        calls,
        context::{Hit, now},
        locks, ops,
    };

    /// One operation of a map.
    #[uprobe]
    fn map_op(ctx: ProbeContext) -> u32 {
        if let Some(hit) = Hit::of(ctx.regs) {
            ops::record::<_, false>(&ctx, &hit);
        }
        0
    }

    /// One operation of a map whose key is what Go's type information says. A program
    /// of its own, for the verifier walks through every combination of a program's cases.
    #[uprobe]
    fn typed_map_op(ctx: ProbeContext) -> u32 {
        if let Some(hit) = Hit::of(ctx.regs) {
            ops::record::<_, true>(&ctx, &hit);
        }
        0
    }

    /// A task is about to wait.
    #[uprobe]
    fn wait_begin(ctx: ProbeContext) -> u32 {
        if let Some(hit) = Hit::of(ctx.regs) {
            locks::begin(&ctx, &hit, hit.task());
        }
        0
    }

    /// The task is put to sleep.
    #[uprobe]
    fn wait_park(ctx: ProbeContext) -> u32 {
        if let Some(hit) = Hit::of(ctx.regs) {
            locks::park(hit.task());
        }
        0
    }

    /// The task goes on.
    #[uprobe]
    fn wait_end(ctx: ProbeContext) -> u32 {
        if let Some(hit) = Hit::of(ctx.regs) {
            locks::end(&ctx, hit.task(), hit.task(), now());
        }
        0
    }

    /// The task finds a lock taken and begins to spin.
    #[uprobe]
    fn spin_begin(ctx: ProbeContext) -> u32 {
        if let Some(hit) = Hit::of(ctx.regs) {
            locks::spin(&hit, hit.task());
        }
        0
    }

    /// A lock that others want is let go.
    #[uprobe]
    fn release(ctx: ProbeContext) -> u32 {
        if let Some(hit) = Hit::of(ctx.regs) {
            locks::release(&ctx, &hit, hit.task());
        }
        0
    }

    /// A native lock function is entered.
    #[uprobe]
    fn acquire_enter(ctx: ProbeContext) -> u32 {
        if let Some(hit) = Hit::of(ctx.regs) {
            calls::enter(&ctx, &hit);
        }
        0
    }

    /// A native lock function returns. Its site follows the entry's in the array.
    #[uretprobe]
    fn acquire_return(ctx: RetProbeContext) -> u32 {
        if let Some(hit) = Hit::of(ctx.regs) {
            calls::leave(&ctx, &hit);
        }
        0
    }

    /// The least a hit can cost, for comparison.
    #[uprobe]
    fn empty(_ctx: ProbeContext) -> u32 {
        0
    }
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The programs call GPL-only helpers (`bpf_probe_read_user`, `bpf_get_stack`).
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
