//! Which lock a Go semaphore belongs to, told by the function through which the
//! runtime was entered. Go 1.20–1.27; sync/mutex.go, sync/rwmutex.go,
//! internal/sync/mutex.go, runtime/sema.go.

/// A function that waits on a semaphore inside a lock.
#[derive(Clone, Copy, Debug)]
pub struct SemaUser {
    /// Its name.
    pub function: &'static str,
    /// What the lock is called.
    pub kind: &'static str,
    /// Offset of the semaphore in the lock, bytes.
    pub offset: u64,
}

/// The functions that wait for locks. Others (`sync.runtime_Semacquire` of a
/// WaitGroup, the runtime's own) are no locks.
pub const SEMA_USERS: [SemaUser; 4] = [
    // Mutex{state int32; sema uint32}
    SemaUser { function: "sync.runtime_SemacquireMutex", kind: "sync.Mutex", offset: 4 },
    SemaUser { function: "internal/sync.runtime_SemacquireMutex", kind: "sync.Mutex", offset: 4 },
    // RWMutex{w Mutex; writerSem, readerSem uint32; …}
    SemaUser { function: "sync.runtime_SemacquireRWMutex", kind: "sync.RWMutex", offset: 8 },
    SemaUser { function: "sync.runtime_SemacquireRWMutexR", kind: "sync.RWMutex", offset: 12 },
];

/// A writer waits for other writers on the RWMutex's first field, a Mutex.
pub const RWMUTEX_LOCK: &str = "sync.(*RWMutex).Lock";

/// Frames among which the functions above are looked for: semacquire1, its
/// wrapper, lockSlow, Lock.
pub const SEMA_DEPTH: usize = 3;

/// How the names of functions begin that are a runtime's or a lock library's own.
const RUNTIME: [&str; 14] = [
    // Go: the runtime, and packages that nothing outside its library may import.
    "runtime.",
    "sync.",
    "internal/",
    "reflect.",
    // Rust.
    "std::",
    "core::",
    "alloc::",
    "parking_lot::",
    "parking_lot_core::",
    "lock_api::",
    "dashmap::lock::",
    // The C library.
    "pthread_",
    "__pthread_",
    "__lll_lock",
];

/// Whether a function is the runtime's or the lock library's own rather than the
/// program's. Rust writes `<std::sync::Mutex<T>>::lock` for methods.
pub fn is_runtime(function: &str) -> bool {
    let function = function.trim_start_matches(['<', '&']);
    RUNTIME.iter().any(|prefix| function.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::is_runtime;

    #[test]
    fn the_programs_own_functions_are_told_from_the_runtimes() {
        for function in [
            "runtime.semacquire1",
            "internal/sync.(*Mutex).lockSlow",
            "<std::sys::sync::mutex::futex::Mutex>::lock_contended",
            "std::sys::sync::mutex::futex::Mutex::lock_contended",
            "<&parking_lot::raw_mutex::RawMutex as lock_api::RawMutex>::lock",
            "__lll_lock_wait",
        ] {
            assert!(is_runtime(function), "{function}");
        }
        for function in ["main.main", "<shop::Cache>::get", "syncer.Run", "stdlike::f", "", "<"] {
            assert!(!is_runtime(function), "{function}");
        }
    }
}
