//! Functions that are worth a probe in programs and libraries that mapprof knows by name, as
//! `--probe` takes them. What is not in the program is not offered, so one list serves all.
//!
//! Tried: Redis 7 (`lookupKey(redisDb *, robj *, int)`, the key's text at `robj + 8`,
//! src/server.h) and PostgreSQL (`HTAB.keysize` at +72, utils/hash/dynahash.c), as Debian 12 has
//! them. Of the others only public functions are named, by their documented parameters (the C
//! APIs of Python and Ruby, GLib 2, libuv 1, Abseil); they were not tried.

/// A function worth a probe.
#[derive(Clone, Copy, Debug)]
pub struct Worth {
    /// As `--probe` takes it.
    pub probe: &'static str,
    /// What it tells.
    pub what: &'static str,
}

/// What is told of keys, and of locks; those of one program side by side.
pub const WORTH: [Worth; 20] = [
    worth("lookup:lookupKey key=*(arg2+8):str map=arg1 kind=redis.db", "Redis: keys by command"),
    worth(
        "lookup:hash_search_with_hash_value key=arg2:bytes len=*(arg1+72) map=arg1 kind=HTAB",
        "PostgreSQL: shared and local hash tables",
    ),
    worth("lock:LWLockAcquire lock=arg1", "PostgreSQL: waits for lightweight locks"),
    worth("lookup:g_hash_table_lookup key=arg2:hex map=arg1 kind=GHashTable", "GLib: hash tables"),
    worth("insert:g_hash_table_insert key=arg2:hex map=arg1 kind=GHashTable", "GLib: hash tables"),
    worth(
        "lookup:PyDict_GetItemString key=arg2:str map=arg1 kind=dict",
        "Python: dicts that C code reads by a string",
    ),
    worth(
        "lock:PyThread_acquire_lock_timed lock=arg1 kind=threading.Lock",
        "Python: waits for threading.Lock",
    ),
    worth("lock:rb_mutex_lock lock=arg1 kind=Mutex", "Ruby: waits for Mutex"),
    worth("lookup:rb_hash_aref key=arg2:hex map=arg1 kind=Hash", "Ruby: reads of Hash"),
    worth("lock:uv_mutex_lock lock=arg1 kind=uv_mutex", "libuv: waits for its mutexes"),
    worth("lock:pthread_mutex_lock lock=arg1", "waits for mutexes"),
    worth("lock:pthread_rwlock_rdlock lock=arg1", "waits to read"),
    worth("lock:pthread_rwlock_wrlock lock=arg1", "waits to write"),
    worth("lock:sem_wait lock=arg1", "waits for semaphores"),
    worth("lock:mtx_lock lock=arg1", "waits for C11 mutexes"),
    worth("lock:g_mutex_lock lock=arg1", "GLib: waits for GMutex"),
    worth("lock:g_rw_lock_reader_lock lock=arg1", "GLib: waits to read"),
    worth("lock:g_rw_lock_writer_lock lock=arg1", "GLib: waits to write"),
    worth("lock:_ZN4absl5Mutex4LockEv lock=arg1 kind=absl::Mutex", "Abseil: waits for Mutex"),
    worth("lookup:hsearch_r key=arg1:hex map=arg4 kind=hsearch", "the C library's hash tables"),
];

const fn worth(probe: &'static str, what: &'static str) -> Worth {
    Worth { probe, what }
}

/// What cannot be had of a runtime by probes, and who can tell it.
pub const ELSEWHERE: [(&str, &str); 4] = [
    (
        "Java (JVM)",
        "maps and monitors of Java code have no functions of their own: what can be seen are the \
         virtual machine's own locks. `asprof -e lock PID` (async-profiler) tells of monitors",
    ),
    (
        "Python",
        "dicts and the interpreter's lock are reached by inlined code: `py-spy dump --pid PID` \
         tells who holds the GIL",
    ),
    (
        "JavaScript (Node.js)",
        "maps of JavaScript have no functions of their own, and one thread has no locks",
    ),
    (".NET", "maps and monitors of managed code have no functions of their own"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::custom;

    #[test]
    fn all_that_is_offered_is_sound() {
        for worth in WORTH {
            assert!(custom::parse(worth.probe).is_ok(), "{}", worth.probe);
        }
    }
}
