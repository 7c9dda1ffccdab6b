//! Which parks of a Go task are one wait.
//!
//! In: what is known of the task's newest park, and its entry to the semaphore. Out:
//! whether the wait goes on.
//!
//! `func (m *Mutex) lockSlow()` (src/sync/mutex.go, src/internal/sync/mutex.go) enters the
//! semaphore with `lifo` false once, and with true each time that it was woken and somebody
//! else was faster. Not each entry parks: the semaphore may be free. `func (rw *RWMutex)
//! Lock()` (src/sync/rwmutex.go) waits for other writers, on the Mutex that is its first
//! field, and then for readers, on `writerSem`, with `lifo` false both times.

use crate::LastPark;

/// From the semaphore of a Mutex to `writerSem`, where that Mutex is an RWMutex's first
/// field: `RWMutex{w Mutex{state int32; sema uint32}; writerSem uint32; …}`, Go 1.19–1.27.
pub const WRITER_SEMA: u64 = 4;
/// From having the writers' mutex to waiting for readers, where both happen in one call, ns:
/// some hundred instructions and the rest of two probes. A call of its own comes later by
/// a section under the lock, which nobody waited for the end of.
pub const SAME_CALL_NS: u64 = 20_000;

/// A task enters the semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SemaEntry {
    /// Address of the semaphore.
    pub object: u64,
    /// The `lifo` that it is entered with.
    pub lifo: bool,
    /// Number of the window that is open.
    pub window: u64,
    /// CLOCK_MONOTONIC ns.
    pub now_ns: u64,
}

impl SemaEntry {
    /// Whether this goes on with the wait of `before`, the task's newest park or an entry
    /// that came to none. What happened between two windows is not known.
    #[inline(always)]
    pub const fn goes_on(&self, before: &LastPark) -> bool {
        if before.window != self.window {
            return false;
        }
        if self.lifo {
            return before.object == self.object;
        }
        before.object != 0
            && self.object.wrapping_sub(before.object) == WRITER_SEMA
            && self.now_ns.wrapping_sub(before.seen_ns) <= SAME_CALL_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARK: LastPark =
        LastPark { object: 0xc004, wait_ns: 100, seen_ns: 1000, window: 3, part: 0 };
    const ENTRY: SemaEntry = SemaEntry { object: 0xc004, lifo: true, window: 3, now_ns: 1100 };

    #[test]
    fn a_wait_goes_on_where_the_semaphore_is_entered_again() {
        assert!(ENTRY.goes_on(&PARK));
        assert!(SemaEntry { now_ns: u64::MAX, ..ENTRY }.goes_on(&PARK), "however late");
        assert!(!SemaEntry { lifo: false, ..ENTRY }.goes_on(&PARK));
        assert!(!SemaEntry { object: 0xd004, ..ENTRY }.goes_on(&PARK));
        assert!(!SemaEntry { window: 4, ..ENTRY }.goes_on(&PARK));
        assert!(!ENTRY.goes_on(&LastPark { object: 0, ..PARK }));
    }

    #[test]
    fn a_writer_waits_for_writers_and_then_for_readers() {
        let readers = SemaEntry { object: 0xc008, lifo: false, ..ENTRY };
        assert!(readers.goes_on(&PARK));
        assert!(!SemaEntry { now_ns: 1001 + SAME_CALL_NS, ..readers }.goes_on(&PARK));
        assert!(!SemaEntry { object: 0xc00c, ..readers }.goes_on(&PARK), "a reader's");
        assert!(!SemaEntry { object: 4, ..readers }.goes_on(&LastPark { object: 0, ..PARK }));
    }
}
