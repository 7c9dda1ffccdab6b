//! Lock functions of C libraries and servers that are known by name, for `--probe`.
//!
//! glibc and musl: pthread_mutex_lock(3) and its like sleep in a futex; an adaptive mutex
//! spins before, for less than a probe costs. GLib's own are futexes, too (glib/gthread-posix.c).
//! `LWLockAcquire` of PostgreSQL sleeps on its process' semaphore (storage/lmgr/lwlock.c).

use super::{Mode, Waits};

/// A lock function.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its symbol.
    pub function: &'static str,
    /// What its lock is called.
    pub kind: &'static str,
    /// In which way it takes the lock, where there are two.
    pub mode: Option<Mode>,
    /// Which of its calls are waits.
    pub waits: Waits,
}

const READ: Option<Mode> = Some(Mode::Read);
const WRITE: Option<Mode> = Some(Mode::Write);

const KNOWN: [Known; 20] = [
    asleep("pthread_mutex_lock", "pthread_mutex", None),
    asleep("pthread_mutex_timedlock", "pthread_mutex", None),
    asleep("pthread_mutex_clocklock", "pthread_mutex", None),
    asleep("mtx_lock", "mtx", None),
    asleep("mtx_timedlock", "mtx", None),
    asleep("pthread_rwlock_rdlock", "pthread_rwlock", READ),
    asleep("pthread_rwlock_timedrdlock", "pthread_rwlock", READ),
    asleep("pthread_rwlock_clockrdlock", "pthread_rwlock", READ),
    asleep("pthread_rwlock_wrlock", "pthread_rwlock", WRITE),
    asleep("pthread_rwlock_timedwrlock", "pthread_rwlock", WRITE),
    asleep("pthread_rwlock_clockwrlock", "pthread_rwlock", WRITE),
    asleep("sem_wait", "semaphore", None),
    asleep("sem_timedwait", "semaphore", None),
    asleep("g_mutex_lock", "GMutex", None),
    asleep("g_rw_lock_reader_lock", "GRWLock", READ),
    asleep("g_rw_lock_writer_lock", "GRWLock", WRITE),
    asleep("LWLockAcquire", "LWLock", None),
    always("__lll_lock_wait", "pthread_mutex"),
    always("__lll_lock_wait_private", "libc lock"),
    always("g_mutex_lock_slowpath", "GMutex"),
];

const fn asleep(function: &'static str, kind: &'static str, mode: Option<Mode>) -> Known {
    Known { function, kind, mode, waits: Waits::Asleep }
}

const fn always(function: &'static str, kind: &'static str) -> Known {
    Known { function, kind, mode: None, waits: Waits::Always }
}

/// What is known of the lock function of this name.
pub fn known_lock(function: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.function == function)
}
