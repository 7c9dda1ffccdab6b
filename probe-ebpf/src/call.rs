//! Which calls of a native lock function are waits.
//!
//! In: what the thread had gone through before a call and after it, and how long it lasted.
//! Out: a [`Call`]. Nothing tells by itself: an uncontended call lasts as long as its
//! probes, and longer where an interrupt or another task comes in between. Sleeping is
//! evidence, since a lock that is free puts nobody to sleep.

use crate::abi::{Site, site_flags};

/// How often a thread has left its CPU: `nvcsw` and `nivcsw` of the kernel's `task_struct`
/// (include/linux/sched.h, Linux 5.15 to 6.18). Both stay 0 where the kernel does not say
/// where they lie.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// To sleep.
    pub asleep: u64,
    /// For another task, while it wanted to go on.
    pub preempted: u64,
}

/// What became of a call of a function that returns once it has its lock. The discriminant
/// is the index into the function's counters.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// The lock was free, as far as can be seen.
    Free = 0,
    /// The thread slept in it: a wait.
    Slept = 1,
    /// It lasted without a break for longer than a call by itself can: a wait.
    Lasted = 2,
    /// It lasted, and the CPU did something else meanwhile: nobody can say whether the
    /// thread waited, too.
    Preempted = 3,
}

impl Call {
    /// Every case in the order of its discriminant.
    pub const ALL: [Self; 4] = [Self::Free, Self::Slept, Self::Lasted, Self::Preempted];

    /// What a call at `site` was that lasted `ns` beyond [`Site::call_ns`].
    #[inline(always)]
    pub fn of(site: &Site, before: Switches, after: Switches, ns: u64) -> Self {
        if before.asleep != after.asleep {
            Self::Slept
        } else if site.flags & site_flags::ONLY_WAITS != 0 {
            Self::Lasted
        } else if site.flags & site_flags::WAITS_ASLEEP != 0 || ns <= u64::from(site.spin_ns) {
            Self::Free
        } else if before.preempted != after.preempted {
            Self::Preempted
        } else {
            Self::Lasted
        }
    }

    /// Whether the thread waited for the lock.
    #[inline(always)]
    pub fn is_wait(self) -> bool {
        matches!(self, Self::Slept | Self::Lasted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Switches = Switches { asleep: 7, preempted: 3 };
    const ASLEEP: Switches = Switches { asleep: 8, preempted: 3 };
    const PREEMPTED: Switches = Switches { asleep: 7, preempted: 4 };
    const BOTH: Switches = Switches { asleep: 8, preempted: 4 };

    fn calls(flags: u16, ns: u64) -> [Call; 4] {
        let site = Site { flags, spin_ns: 1000, ..Site::default() };
        [NONE, ASLEEP, PREEMPTED, BOTH].map(|after| Call::of(&site, NONE, after, ns))
    }

    #[test]
    fn who_slept_waited_and_who_lasted_may_have() {
        use Call::{Free, Lasted, Preempted, Slept};
        assert_eq!(calls(0, 1000), [Free, Slept, Free, Slept]);
        assert_eq!(calls(0, 1001), [Lasted, Slept, Preempted, Slept]);
        assert_eq!(calls(site_flags::WAITS_ASLEEP, u64::MAX), [Free, Slept, Free, Slept]);
        assert_eq!(calls(site_flags::ONLY_WAITS, 0), [Lasted, Slept, Lasted, Slept]);
        assert_eq!(Call::ALL.map(Call::is_wait), [false, true, true, false]);
        assert_eq!(Call::ALL.map(|call| call as usize), [0, 1, 2, 3]);
    }
}
