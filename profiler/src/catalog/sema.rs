//! Which lock a Go semaphore belongs to, told by the function through which the
//! runtime was entered and by that one's caller. Go 1.19–1.27; sync/mutex.go,
//! sync/rwmutex.go, sync/waitgroup.go, internal/sync/mutex.go, internal/poll/fd_mutex.go,
//! runtime/sema.go.

use super::{Mode, With};

/// A function that waits on a semaphore inside a lock.
#[derive(Clone, Copy, Debug)]
pub struct SemaUser {
    /// Its name.
    pub function: &'static str,
    /// Its innermost caller, inlined or not; `None`: any.
    pub called_by: Option<&'static str>,
    /// What the lock is called.
    pub kind: &'static str,
    /// Offset of the semaphore in the lock, bytes.
    pub offset: u64,
    /// In which way the lock is wanted; `None` where it knows only one.
    pub mode: Option<Mode>,
}

const READ: Option<Mode> = Some(Mode::Read);
const WRITE: Option<Mode> = Some(Mode::Write);

/// A writer waits for other writers on the RWMutex's first field, a Mutex.
const RWMUTEX_LOCK: &str = "sync.(*RWMutex).Lock";

/// What serializes the reads of a file descriptor, and its writes:
/// fdMutex{state uint64; rsema, wsema uint32}. Both are locks of their own, each known by its
/// semaphore. Who closes the descriptor waits for no lock.
pub const FD_MUTEX: &str = "internal/poll.fdMutex";

/// The functions that wait for locks, the first match counts. Other semaphores are the
/// runtime's own.
const USERS: [SemaUser; 7] = [
    // RWMutex{w Mutex; writerSem, readerSem uint32; …}; up to 1.19 through the
    // function that Mutex uses.
    user("sync.runtime_SemacquireMutex", Some("sync.(*RWMutex).RLock"), "sync.RWMutex", 12, READ),
    user("sync.runtime_SemacquireMutex", Some(RWMUTEX_LOCK), "sync.RWMutex", 8, WRITE),
    user("sync.runtime_SemacquireRWMutexR", None, "sync.RWMutex", 12, READ),
    user("sync.runtime_SemacquireRWMutex", None, "sync.RWMutex", 8, WRITE),
    // Mutex{state int32; sema uint32}
    user("sync.runtime_SemacquireMutex", None, "sync.Mutex", 4, None),
    user("internal/sync.runtime_SemacquireMutex", None, "sync.Mutex", 4, None),
    user(
        "internal/poll.runtime_Semacquire",
        Some("internal/poll.(*fdMutex).rwlock"),
        FD_MUTEX,
        0,
        None,
    ),
];

/// In which way a file descriptor is wanted by this caller of `rwlock`, inlined or not.
pub fn fd_mode(function: &str) -> Option<Mode> {
    match function.strip_prefix("internal/poll.(*FD).")? {
        "readLock" => READ,
        "writeLock" => WRITE,
        _ => None,
    }
}

/// The functions that wait for a WaitGroup{noCopy; state uint64; sema uint32}.
const GROUP_USERS: [SemaUser; 2] = [
    user("sync.runtime_Semacquire", Some("sync.(*WaitGroup).Wait"), "sync.WaitGroup", 8, None),
    // Since 1.24.
    user("sync.runtime_SemacquireWaitGroup", None, "sync.WaitGroup", 8, None),
];

const fn user(
    function: &'static str,
    called_by: Option<&'static str>,
    kind: &'static str,
    offset: u64,
    mode: Option<Mode>,
) -> SemaUser {
    SemaUser { function, called_by, kind, offset, mode }
}

/// Frames among which the functions above are looked for: semacquire1, its
/// wrapper, lockSlow, Lock.
pub const SEMA_DEPTH: usize = 3;

/// The kind of a site at the semaphore, whose locks are told by their users.
const LOCKS: &str = "go.sema";
/// The same where waits for a WaitGroup count as well.
const LOCKS_AND_GROUPS: &str = "go.sema+waitgroup";

/// The kind of the semaphore's sites.
pub(super) fn kind(with: &[With]) -> &'static str {
    if with.contains(&With::Waitgroup) { LOCKS_AND_GROUPS } else { LOCKS }
}

/// Whether a site of this kind tells of a semaphore, so that [`sema_user`] says what
/// it belongs to; all other kinds are the lock's own.
pub fn is_semaphore(kind: &str) -> bool {
    [LOCKS, LOCKS_AND_GROUPS].contains(&kind)
}

/// The lock inside of which `function`, called by `caller`, waits on its semaphore;
/// `kind` is the site's.
pub fn sema_user(kind: &str, function: &str, caller: &str) -> Option<&'static SemaUser> {
    let groups: &[SemaUser] = if kind == LOCKS_AND_GROUPS { &GROUP_USERS } else { &[] };
    let is_it = |user: &&SemaUser| {
        user.function == function && user.called_by.is_none_or(|it| it == caller)
    };
    USERS.iter().chain(groups).find(is_it)
}

/// Whether a Mutex that this function takes is the first field of an RWMutex, which it
/// stands for.
pub fn is_of_rwmutex(function: &str) -> bool {
    function == RWMUTEX_LOCK
}

/// Mutexes that a type of Go's own library has for itself: how the name of the type
/// and of the method that takes them begin, and what they are called; the first match
/// counts. sync/map.go up to 1.23 (`Map.mu`); since 1.24 internal/sync/hashtriemap.go
/// (`initMu` of the whole, `mu` of each node).
const INSIDE: [(&str, &str, &str); 3] = [
    ("sync.(*Map)", "", "sync.Map.mu"),
    ("internal/sync.(*HashTrieMap[", "init", "sync.Map.mu"),
    ("internal/sync.(*HashTrieMap[", "", "sync.Map.node"),
];

/// What a Mutex is called that is taken in the given functions, innermost first, where
/// a type of Go's own library has it for itself.
pub fn mutex_inside<F: AsRef<str>>(functions: impl IntoIterator<Item = F>) -> Option<&'static str> {
    // Whoever calls the Mutex's own functions takes it.
    let is_own = |name: &str| name.trim_start_matches("internal/").starts_with("sync.(*Mutex).");
    let taker = functions.into_iter().find(|name| !is_own(name.as_ref()))?;
    let (of, method) = taker.as_ref().split_at(taker.as_ref().rfind(").")? + 1);
    let is_it =
        |(its, own, _): &&(&str, &str, _)| of.starts_with(its) && method[1..].starts_with(own);
    INSIDE.iter().find(is_it).map(|(.., kind)| *kind)
}

/// What is waited for by design: idle workers wait for a channel all day.
const MEETINGS: [&str; 4] = ["chan", "select", "sync.Cond", "sync.WaitGroup"];

/// Whether tasks that wait for this kind of thing want what another one has.
pub fn is_lock(kind: &str) -> bool {
    !MEETINGS.contains(&kind)
}

/// How the names of functions begin that are a runtime's or a lock library's own.
const RUNTIME: [&str; 25] = [
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
    "___pthread_",
    "mtx_",
    "sem_",
    "__new_sem_",
    // C++, as its symbols are and as they are shown.
    "std::mutex",
    "__gthread_mutex_",
    "_ZNSt5mutex4lockEv",
    "absl::Mutex::",
    // GLib.
    "g_mutex_",
    "g_rw_lock_",
    "g_rec_mutex_",
];

/// Whether a function is the runtime's or the lock library's own rather than the
/// program's. Rust writes `<std::sync::Mutex<T>>::lock` for methods.
pub fn is_runtime(function: &str) -> bool {
    let function = function.trim_start_matches(['<', '&']);
    RUNTIME.iter().any(|prefix| function.starts_with(prefix))
}

/// How functions begin that keep maps for themselves: the runtime's, reflection's and
/// encoders', about which no program can do anything.
const INTERNAL: [&str; 15] = [
    "runtime.",
    "internal/",
    "reflect.",
    "unicode.",
    "encoding/",
    "text/template",
    "html/template",
    "google.golang.org/protobuf/",
    "github.com/golang/protobuf/",
    "github.com/gogo/protobuf/",
    "github.com/json-iterator/",
    "github.com/goccy/go-json",
    "github.com/bytedance/sonic",
    "github.com/modern-go/reflect2",
    "gopkg.in/yaml.",
];

/// What of the above works on maps of the program.
const FOR_OTHERS: [&str; 3] = ["reflect.Value.", "reflect.(*MapIter).", "reflect.map"];

/// Whether a function's maps are the runtime's, reflection's or an encoder's own.
pub fn is_internal(function: &str) -> bool {
    let is_one_of = |all: &[&str]| all.iter().any(|it| function.starts_with(it));
    is_one_of(&INTERNAL) && !is_one_of(&FOR_OTHERS)
}

/// Which of the functions, innermost first, a program's author would name: the first that is
/// neither the runtime's or a lock's own, nor a method that merely passes a lock's on, such as
/// `logrus.(*MutexWrap).Unlock`, nor what a `defer` of a method was made into.
pub fn own_function<'a>(functions: impl IntoIterator<Item = &'a str>) -> Option<usize> {
    let mut passed_on = None;
    let mut is_below_own = false;
    for (index, function) in functions.into_iter().enumerate() {
        if is_runtime(function) {
            is_below_own |= is_forwarding(function);
        } else if is_below_own && passes_lock_on(function) {
            passed_on = passed_on.or(Some(index));
        } else {
            return Some(index);
        }
    }
    passed_on
}

/// Whether the function, called by none of a lock's own, may be a method that merely passes
/// that one on: `Lock`, `RUnlock`, `f.deferwrap1` (cmd/compile/internal/typecheck).
pub fn passes_lock_on(function: &str) -> bool {
    let last = function.rsplit('.').next().unwrap_or_default();
    last.starts_with("deferwrap")
        || matches!(lock_call(function), Some(LockCall::Take | LockCall::Release))
}

/// How the names of functions begin through which a program comes to its maps and locks.
const FORWARDING: [&str; 5] =
    ["sync.", "internal/sync.", "runtime.map", "runtime.sema", "internal/runtime/maps."];

/// Whether a Go function is a map's or a lock's own, or one that merely calls these.
pub fn is_forwarding(function: &str) -> bool {
    FORWARDING.iter().any(|prefix| function.starts_with(prefix))
}

/// Whether the compiler made this Go function to initialize a package's variables:
/// `unicode.init`, `unicode.map.init.0` (cmd/compile/internal/pkginit, staticinit).
pub fn is_package_init(function: &str) -> bool {
    let name = function.rsplit('/').next().unwrap_or_default();
    let name = name.split_once('.').map_or("", |(_, name)| name);
    name == "init" || name.starts_with("map.init.")
}

/// What a function does to the lock that it is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockCall {
    /// It takes it.
    Take,
    /// It waits for what could not be taken at once.
    EndTake,
    /// It releases it.
    Release,
    /// It wakes who waits for what has been released.
    EndRelease,
}

/// What a Go function does to a lock, by its name: those of package sync, and methods of the
/// program's own that are called the same.
pub fn lock_call(function: &str) -> Option<LockCall> {
    let name = function.rsplit('.').next().unwrap_or_default();
    let is_one_of = |names: &[&str]| names.iter().any(|it| it.eq_ignore_ascii_case(name));
    if is_one_of(&["Lock", "RLock", "WLock", "TryLock", "TryRLock"]) {
        Some(LockCall::Take)
    } else if is_one_of(&["Unlock", "RUnlock", "WUnlock"]) {
        Some(LockCall::Release)
    } else if is_one_of(&["unlockSlow", "rUnlockSlow"]) {
        Some(LockCall::EndRelease)
    } else if is_one_of(&[
        "lockSlow",
        "runtime_SemacquireMutex",
        "runtime_SemacquireRWMutex",
        "runtime_SemacquireRWMutexR",
    ]) {
        Some(LockCall::EndTake)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_function_does_to_a_lock_is_told_by_its_name() {
        use LockCall::{EndRelease, EndTake, Release, Take};
        for (function, expected) in [
            ("sync.(*Mutex).Lock", Some(Take)),
            ("internal/sync.(*Mutex).TryLock", Some(Take)),
            ("github.com/sirupsen/logrus.(*MutexWrap).Lock", Some(Take)),
            ("main.(*cache).rlock", Some(Take)),
            ("sync.(*RWMutex).RUnlock", Some(Release)),
            ("sync.(*Mutex).unlockSlow", Some(EndRelease)),
            ("sync.(*Mutex).lockSlow", Some(EndTake)),
            ("sync.runtime_SemacquireRWMutexR", Some(EndTake)),
            ("sync.runtime_SemacquireMutex", Some(EndTake)),
            ("main.block", None),
            ("", None),
        ] {
            assert_eq!(lock_call(function), expected, "{function}");
        }
    }

    #[test]
    fn what_merely_passes_a_lock_on_is_not_named() {
        for (functions, expected) in [
            (&["sync.(*Mutex).Unlock", "logrus.(*MutexWrap).Unlock", "main.f"][..], Some(2)),
            (&["sync.(*Mutex).unlockSlow", "main.f.deferwrap1", "main.f"], Some(2)),
            (&["main.(*Table).Lock", "main.f"], Some(0)),
            (&["runtime.mapassign", "main.(*Table).Lock"], Some(1)),
            (&["sync.(*Mutex).Lock", "main.(*T).Lock", "runtime.goexit"], Some(1)),
            (&["sync.(*Mutex).Lock"], None),
            (&[], None),
        ] {
            assert_eq!(own_function(functions.iter().copied()), expected, "{functions:?}");
        }
    }

    #[test]
    fn packages_are_initialized_by_functions_of_the_compilers() {
        for function in ["unicode.init", "golang.org/x/text/language.init", "main.map.init.0"] {
            assert!(is_package_init(function), "{function}");
        }
        for function in ["main.init.0", "main.initialize", "main.(*T).init", "init", ""] {
            assert!(!is_package_init(function), "{function}");
        }
    }

    #[test]
    fn a_semaphore_is_told_by_its_user_and_by_that_ones_caller() {
        let of = |kind: &str, function: &str, caller: &str| {
            sema_user(kind, function, caller).map(|user| (user.kind, user.offset, user.mode))
        };
        let mutex = "sync.runtime_SemacquireMutex";
        assert_eq!(of(LOCKS, mutex, "sync.(*Mutex).lockSlow"), Some(("sync.Mutex", 4, None)));
        let reader = Some(("sync.RWMutex", 12, READ));
        assert_eq!(of(LOCKS, mutex, "sync.(*RWMutex).RLock"), reader);
        assert_eq!(of(LOCKS, "sync.runtime_SemacquireRWMutexR", "main.f"), reader);
        let writer = Some(("sync.RWMutex", 8, WRITE));
        assert_eq!(of(LOCKS, mutex, "sync.(*RWMutex).Lock"), writer);
        assert_eq!(of(LOCKS, "sync.runtime_SemacquireRWMutex", ""), writer);
        let group = ["sync.runtime_Semacquire", "sync.(*WaitGroup).Wait"];
        assert_eq!(of(LOCKS, group[0], group[1]), None);
        assert_eq!(of(LOCKS_AND_GROUPS, group[0], group[1]), Some(("sync.WaitGroup", 8, None)));
        assert_eq!(of(LOCKS_AND_GROUPS, group[0], "main.f"), None);
        let poll = "internal/poll.runtime_Semacquire";
        assert_eq!(of(LOCKS, poll, "internal/poll.(*fdMutex).rwlock"), Some((FD_MUTEX, 0, None)));
        assert_eq!(of(LOCKS, poll, "internal/poll.(*FD).Close"), None);
        assert_eq!(fd_mode("internal/poll.(*FD).readLock"), READ);
        assert_eq!(fd_mode("internal/poll.(*FD).writeLock"), WRITE);
        assert_eq!(fd_mode("internal/poll.(*FD).readWriteLock"), None);
        assert_eq!(kind(&[With::Chan]), LOCKS);
        assert_eq!(kind(&[With::Chan, With::Waitgroup]), LOCKS_AND_GROUPS);
    }

    #[test]
    fn a_mutex_inside_of_a_sync_map_is_told_by_who_takes_it() {
        let of = |taker: &'static str| mutex_inside(["internal/sync.(*Mutex).lockSlow", taker]);
        let trie = "internal/sync.(*HashTrieMap[go.shape.interface {},go.shape.interface {}])";
        assert_eq!(of("internal/sync.(*HashTrieMap[...]).Swap"), Some("sync.Map.node"));
        assert_eq!(of(format!("{trie}.find").leak()), Some("sync.Map.node"));
        assert_eq!(of(format!("{trie}.initSlow").leak()), Some("sync.Map.mu"));
        assert_eq!(of("main.visit"), None);
        let old = ["sync.(*Mutex).lockSlow", "sync.(*Mutex).Lock", "sync.(*Map).Swap", "main.f"];
        assert_eq!(mutex_inside(old), Some("sync.Map.mu"));
        // What the program does while it walks over a map is its own.
        let own = ["sync.(*Mutex).lockSlow", "main.main.func1", "sync.(*Map).Range"];
        assert_eq!(mutex_inside(own), None);
        assert_eq!(mutex_inside(["sync.(*Mutex).lockSlow"]), None);
    }

    #[test]
    fn caches_of_encoders_are_internal_and_maps_walked_by_reflection_are_not() {
        for function in
            ["encoding/json.cachedTypeFields", "reflect.ptrTo", "runtime.resolveTypeOff"]
        {
            assert!(is_internal(function), "{function}");
        }
        for function in ["reflect.Value.MapIndex", "main.encode", "net/http.(*Server).trackConn"] {
            assert!(!is_internal(function), "{function}");
        }
    }

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
