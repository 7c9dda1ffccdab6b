//! What a hit finds: its site, the registers, the target's memory.
//!
//! In: `pt_regs` and the attach cookie. Out: a [`Hit`], unless the hit is not ours.

use aya_ebpf::{
    bindings::pt_regs,
    btf_maps::Array,
    helpers::{
        bpf_get_current_pid_tgid, bpf_probe_read_user,
        generated::{bpf_get_attach_cookie, bpf_ktime_get_ns},
    },
    macros::btf_map,
};
use probe_ebpf::{
    COUNTER_SKIPPED, Config, Loss, MAX_SITES, Operand, Reg, Regs, Site, eval, guard_taken,
    site_flags,
};

use crate::transport::{count, lose};

/// The site descriptors, by attach cookie.
#[btf_map]
pub(crate) static SITES: Array<Site, MAX_SITES> = Array::new();

/// The run's configuration.
#[btf_map]
pub(crate) static CONFIG: Array<Config, 1> = Array::new();

/// One probe hit.
pub(crate) struct Hit {
    /// Where.
    pub(crate) site: &'static Site,
    /// Index of `site`.
    pub(crate) cookie: u32,
    /// With what.
    pub(crate) regs: Regs,
}

impl Hit {
    /// Reads the hit; `None` (and counted) where it is to be ignored.
    #[inline(always)]
    pub(crate) fn of(regs: *mut pt_regs) -> Option<Self> {
        // SAFETY: the context is the one the kernel passed.
        let cookie = unsafe { bpf_get_attach_cookie(regs.cast()) } as u32;
        let Some(site) = SITES.get(cookie) else {
            lose(Loss::NoSite);
            return None;
        };
        let regs = read_registers(regs);
        if site.flags & site_flags::SKIP_IF_GUARD_TAKEN != 0 && guard_taken(regs.flags) {
            count(COUNTER_SKIPPED);
            return None;
        }
        if let Some(config) = CONFIG.get(0)
            && config.tgid != 0
            && config.tgid != (bpf_get_current_pid_tgid() >> 32) as u32
        {
            return None;
        }
        Some(Self { site, cookie, regs })
    }

    /// The goroutine or thread.
    #[inline(always)]
    pub(crate) fn task(&self) -> u64 {
        if self.site.flags & site_flags::TASK_IS_R14 != 0 {
            self.regs.gpr[Reg::R14 as usize]
        } else {
            u64::from(thread())
        }
    }

    /// The value of one of the site's operands.
    #[inline(always)]
    pub(crate) fn value(&self, operand: &Operand) -> Option<u64> {
        eval(operand, &self.regs, read_u64)
    }

    /// The return address of the probed function; above the wrapper's frame
    /// where the caller is one. 0 where it cannot be read.
    #[inline(always)]
    pub(crate) fn caller(&self) -> u64 {
        let caller = read_u64(self.regs.gpr[Reg::Rsp as usize]).unwrap_or(0);
        let site = self.site;
        if site.flags & site_flags::THROUGH_WRAPPER != 0
            && caller >= site.wrapper_lo
            && caller < site.wrapper_hi
        {
            return read_u64(self.regs.gpr[Reg::Rbp as usize].wrapping_add(8)).unwrap_or(caller);
        }
        caller
    }
}

/// Id of the current thread.
#[inline(always)]
pub(crate) fn thread() -> u32 {
    bpf_get_current_pid_tgid() as u32
}

/// CLOCK_MONOTONIC, ns.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: takes nothing.
    unsafe { bpf_ktime_get_ns() }
}

/// Eight bytes of the target's memory.
#[inline(always)]
pub(crate) fn read_u64(address: u64) -> Option<u64> {
    read(address)
}

/// A plain value from the target's memory.
#[inline(always)]
pub(crate) fn read<T>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address and fails on a bad one.
    unsafe { bpf_probe_read_user(address as *const T) }.ok()
}

/// Copies the registers to the stack, where an index that is not a constant is allowed.
#[inline(always)]
fn read_registers(ctx: *mut pt_regs) -> Regs {
    // SAFETY: the context is valid, and each field is read at a constant offset.
    let r = unsafe { &*ctx };
    Regs {
        gpr: [
            r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi, r.r8, r.r9, r.r10, r.r11,
            r.r12, r.r13, r.r14, r.r15,
        ],
        flags: r.eflags,
    }
}
