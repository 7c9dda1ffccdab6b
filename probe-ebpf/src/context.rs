//! What a hit finds: its site, the registers, the target's memory.
//!
//! In: `pt_regs` and the attach cookie. Out: a [`Hit`], unless the hit is not ours.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::pt_regs,
    btf_maps::{Array, PerCpuArray, ProgramArray},
    helpers::{
        bpf_get_current_pid_tgid, bpf_probe_read_user,
        generated::{
            bpf_get_attach_cookie, bpf_get_smp_processor_id, bpf_jiffies64, bpf_ktime_get_ns,
        },
    },
    macros::btf_map,
    programs::ProbeContext,
};
use probe_ebpf::{
    COUNTER_SKIPPED, Gates, Loss, MAX_CPUS, MAX_SITES, MadeAt, Operand, Reg, Regs, Site, eval,
    guard_taken, site_flags,
};

use crate::transport::{count, lose};

/// The site descriptors, by attach cookie.
#[btf_map]
pub(crate) static SITES: Array<Site, MAX_SITES> = Array::new();

/// What is told now.
#[btf_map]
static GATES: Array<Gates, 1, MMAPABLE> = Array::new();

/// Hits of each site on each CPU: [`MAX_SITES`] for each CPU in turn. User space makes it
/// as large as the machine takes, and maps it into its memory.
#[btf_map]
static HITS: Array<u64, { MAX_SITES * MAX_CPUS }, MMAPABLE> = Array::new();

/// `BPF_F_MMAPABLE`, include/uapi/linux/bpf.h.
pub(crate) const MMAPABLE: usize = 1 << 10;

/// What is told now.
#[inline(always)]
pub(crate) fn gates() -> Gates {
    match GATES.get_ptr(0) {
        // SAFETY: the map's value lives as long as the program; user space writes it
        // word by word.
        Some(gates) => unsafe {
            Gates {
                maps: (&raw const (*gates).maps).read_volatile(),
                locks: (&raw const (*gates).locks).read_volatile(),
            }
        },
        None => Gates::default(),
    }
}

/// Has no program, ever.
#[btf_map]
static NOWHERE: ProgramArray<1> = ProgramArray::new();

/// A tail call that goes nowhere. Kernels since 6.13 give a program a stack of its own,
/// in memory of which hardened kernels look up what it is before each copy from the target
/// goes there. That costs as much as the copy itself. A program that has a tail call in it
/// keeps the task's stack (`check_max_stack_depth`, kernel/bpf/verifier.c), which they know
/// at once (`check_stack_object`, mm/usercopy.c).
#[inline(always)]
fn stay_on_the_stack(ctx: *mut pt_regs) {
    // SAFETY: the context is the kernel's; the array is empty, so the call fails and comes back.
    unsafe { NOWHERE.tail_call(&ProbeContext::new(ctx.cast()), 0) };
}

/// Counts a hit. A preempted probe may count one too few, of thousands.
#[inline(always)]
fn count_hit(site: u32) {
    // SAFETY: takes nothing.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    if let Some(hits) = HITS.get_ptr_mut(cpu * MAX_SITES as u32 + site) {
        // SAFETY: the map's value lives as long as the program.
        unsafe { *hits += 1 };
    }
}

/// How many hits of a kind this CPU has seen in this tick. A preempted probe may count
/// one too few, which does no harm.
struct Tick {
    jiffies: u64,
    seen: u64,
}

#[btf_map]
static TICK: PerCpuArray<Tick, 2> = PerCpuArray::new();

/// What is counted by the tick.
#[derive(Clone, Copy)]
pub(crate) enum Counted {
    Operation = 0,
    Release = 1,
}

/// The number of this hit in this CPU's tick, from 1: it tells what may still be read
/// beside what must be.
#[inline(always)]
pub(crate) fn number_in_tick(counted: Counted) -> u64 {
    let Some(tick) = TICK.get_ptr_mut(counted as u32) else { return 1 };
    // SAFETY: the map's value lives as long as the program; the helper takes nothing.
    unsafe {
        let now = bpf_jiffies64();
        if (*tick).jiffies != now {
            (*tick).jiffies = now;
            (*tick).seen = 0;
        }
        (*tick).seen += 1;
        (*tick).seen
    }
}

/// One probe hit.
pub(crate) struct Hit {
    /// Where.
    pub(crate) site: &'static Site,
    /// Index of `site`.
    pub(crate) cookie: u32,
    /// With what.
    pub(crate) regs: Regs,
    /// Address of the probed instruction.
    pub(crate) ip: u64,
}

impl Hit {
    /// Reads the hit; `None` (and counted) where it is to be ignored.
    #[inline(always)]
    pub(crate) fn of(ctx: *mut pt_regs) -> Option<Self> {
        // SAFETY: the context is the one the kernel passed.
        let cookie = unsafe { bpf_get_attach_cookie(ctx.cast()) } as u32;
        let Some(site) = SITES.get(cookie) else {
            lose(Loss::NoSite);
            stay_on_the_stack(ctx);
            return None;
        };
        count_hit(cookie);
        // SAFETY: as above.
        let flags = unsafe { (*ctx).eflags };
        if site.flags & site_flags::SKIP_IF_GUARD_TAKEN != 0 && guard_taken(flags) {
            count(COUNTER_SKIPPED);
            return None;
        }
        if site.tgid != 0 && site.tgid != (bpf_get_current_pid_tgid() >> 32) as u32 {
            return None;
        }
        // SAFETY: as above.
        let ip = unsafe { (*ctx).rip };
        Some(Self { site, cookie, regs: read_registers(ctx), ip })
    }

    /// The goroutine or thread.
    #[inline(always)]
    pub(crate) fn task(&self) -> u64 {
        if self.site.flags & site_flags::TASK_IS_R14 != 0 {
            self.regs[Reg::R14 as usize]
        } else {
            u64::from(thread())
        }
    }

    /// The goroutine's number, the thread's id elsewhere.
    #[inline(always)]
    pub(crate) fn goid(&self, task: u64) -> u64 {
        match self.site.goid_offset {
            0 => u64::from(thread()),
            offset => read_u64(task.wrapping_add(u64::from(offset))).unwrap_or(0),
        }
    }

    /// The value of one of the site's operands.
    #[inline(always)]
    pub(crate) fn value(&self, operand: &Operand) -> Option<u64> {
        eval(operand, &self.regs, read_u64)
    }

    /// The frame that called the probed function, which has pushed nothing yet.
    #[inline(always)]
    pub(crate) fn made_at(&self) -> MadeAt {
        MadeAt { pointer: self.regs[Reg::Rbp as usize], stack: self.regs[Reg::Rsp as usize] }
    }

    /// The return address of the probed function; above the wrapper's frame
    /// where the caller is one. 0 where it cannot be read.
    #[inline(always)]
    pub(crate) fn caller(&self) -> u64 {
        if self.site.flags & site_flags::IS_INSIDE != 0 {
            return 0;
        }
        let caller = read_u64(self.regs[Reg::Rsp as usize]).unwrap_or(0);
        let site = self.site;
        if site.flags & site_flags::THROUGH_WRAPPER != 0
            && caller >= site.wrapper_lo
            && caller < site.wrapper_hi
        {
            return read_u64(self.regs[Reg::Rbp as usize].wrapping_add(8)).unwrap_or(caller);
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

/// Copies the registers to the stack, where an index that is not a constant is
/// allowed. Volatile, or the compiler would copy them twice.
#[inline(always)]
fn read_registers(ctx: *mut pt_regs) -> Regs {
    let mut to = MaybeUninit::<Regs>::uninit();
    let start = to.as_mut_ptr().cast::<u64>();
    macro_rules! copy {
        ($($reg:ident = $field:ident),*) => {
            // SAFETY: the context is valid, each field is read at a constant offset,
            // and all sixteen are written.
            unsafe {
                $(start.add(Reg::$reg as usize).write_volatile((*ctx).$field);)*
                to.assume_init()
            }
        };
    }
    copy!(
        Rax = rax,
        Rcx = rcx,
        Rdx = rdx,
        Rbx = rbx,
        Rsp = rsp,
        Rbp = rbp,
        Rsi = rsi,
        Rdi = rdi,
        R8 = r8,
        R9 = r9,
        R10 = r10,
        R11 = r11,
        R12 = r12,
        R13 = r13,
        R14 = r14,
        R15 = r15
    )
}
