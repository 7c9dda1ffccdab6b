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

/// Whether a function is the runtime's or the lock library's own rather than the
/// program's.
pub fn is_runtime(function: &str) -> bool {
    ["runtime.", "sync.", "internal/sync.", "internal/runtime/", "reflect."]
        .iter()
        .any(|prefix| function.starts_with(prefix))
}
