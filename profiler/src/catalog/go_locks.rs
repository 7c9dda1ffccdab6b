//! Go: what tells waits for locks and their hand-over, and by switches the waits for
//! other things.
//!
//! Calls and operands were read from the disassembly of programs built by 1.19 and
//! 1.21 to 1.27. Everything here runs only when there is something to wait for.

use std::borrow::Cow;

use probe_ebpf::{Op, Operand, Reg};

use super::{Entry, Mode, Point, Role, Task, With, go, sema};

const RAX: Operand = Operand::reg(Reg::Rax);
const RBX: Operand = Operand::reg(Reg::Rbx);
const NONE: Operand = Operand::NONE;

/// Where a wait of its own kind begins: function, the call where it is put to sleep
/// (none: the function's start), kind, object, switch. Sleeping ends where the
/// function gives its sudog back.
type Sleep = (&'static str, Option<&'static str>, &'static str, Operand, With);

const GOPARK: &str = "runtime.gopark";
const RELEASE_SUDOG: &str = "runtime.releaseSudog";

const SLEEPS: &[Sleep] = &[
    // `func notifyListWait(l *notifyList, t uint32)`, src/runtime/sema.go;
    // sync.Cond{noCopy; L Locker; notify notifyList; …}, src/sync/cond.go.
    (
        "sync.runtime_notifyListWait",
        None,
        "sync.Cond",
        Operand::reg_plus(Reg::Rax, -16),
        With::Cond,
    ),
    // `gopark(chanparkcommit, unsafe.Pointer(&c.lock), …)`, src/runtime/chan.go: the
    // channel is known by its lock, whose offset in it changes; 0 for a nil channel.
    ("runtime.chansend", Some(GOPARK), "chan", RBX, With::Chan),
    ("runtime.chanrecv", Some(GOPARK), "chan", RBX, With::Chan),
    // `gopark(selparkcommit, nil, …)`, src/runtime/select.go: all are one.
    ("runtime.selectgo", Some(GOPARK), "select", NONE, With::Chan),
];

/// How `runtime.lock2` sleeps: the function it calls, and the lock where that gets it.
/// src/runtime/lock_futex.go: `futexsleep(key32(&l.key), …)`, the mutex's first field,
/// up to 1.23; src/runtime/lock_spinbit.go: `semasleep(-1)` since 1.24, all are one.
const RUNTIME_SLEEPS: [(&str, Operand); 2] =
    [("runtime.futexsleep", RAX), ("runtime.semasleep", NONE)];

/// Where a lock that others may wait for is let go: function, the call (none: the
/// function's start), kind, lock, and mode where the lock knows more than one.
type LetGo = (&'static str, Option<&'static str>, &'static str, Operand, Option<Mode>);

const SEMRELEASE: &str = "sync.runtime_Semrelease";

const RELEASES: &[LetGo] = &[
    // `runtime_Semrelease(&m.sema, …)`, src/sync/mutex.go, src/internal/sync/mutex.go.
    // Not unlockSlow itself, which runs for each lock that somebody merely spins for: a
    // probe there made a lock of short sections three times slower.
    (
        "sync.(*Mutex).unlockSlow",
        Some(SEMRELEASE),
        "sync.Mutex",
        Operand::reg_plus(Reg::Rax, -4),
        None,
    ),
    (
        "internal/sync.(*Mutex).unlockSlow",
        Some("internal/sync.runtime_Semrelease"),
        "sync.Mutex",
        Operand::reg_plus(Reg::Rax, -4),
        None,
    ),
    // `runtime_Semrelease(&rw.writerSem, …)` by the last reader, src/sync/rwmutex.go.
    (
        "sync.(*RWMutex).rUnlockSlow",
        Some(SEMRELEASE),
        "sync.RWMutex",
        Operand::reg_plus(Reg::Rax, -8),
        Some(Mode::Read),
    ),
    // `runtime_Semrelease(&rw.readerSem, …)`, once for each reader that waits.
    (
        "sync.(*RWMutex).Unlock",
        Some(SEMRELEASE),
        "sync.RWMutex",
        Operand::reg_plus(Reg::Rax, -12),
        Some(Mode::Write),
    ),
    // `runtime_Semrelease(mutexSema)`, src/internal/poll/fd_mutex.go: known by its semaphore.
    (
        "internal/poll.(*fdMutex).rwunlock",
        Some("internal/poll.runtime_Semrelease"),
        sema::FD_MUTEX,
        RAX,
        None,
    ),
];

/// `func (m *Mutex) lockSlow()`: it spins, then waits on the semaphore.
const SPINS: [&str; 2] = ["sync.(*Mutex).lockSlow", "internal/sync.(*Mutex).lockSlow"];

/// Entries for Go's locks; whose semaphore is looked at, depends on `with`.
pub(super) fn entries(with: &[With]) -> impl Iterator<Item = Entry> {
    let releases = RELEASES.iter().map(|&(name, call, kind, lock, mode)| Entry {
        mode,
        ..entry(name, call, Role::Release, kind, lock)
    });
    let spins = SPINS.iter().map(|&name| Entry {
        off: Some(With::Spin),
        ..entry(name, None, Role::SpinBegin, "sync.Mutex", RAX)
    });
    let sleeps = SLEEPS.iter().flat_map(|&(name, call, kind, object, switch)| {
        let off = Some(switch);
        let begin = Entry { off, ..entry(name, call, Role::WaitBegin, kind, object) };
        let end = Entry { off, ..entry(name, Some(RELEASE_SUDOG), Role::WaitEnd, kind, NONE) };
        // A wait that begins earlier may turn out to be none.
        let park = call
            .is_none()
            .then(|| Entry { off, ..entry(name, Some(GOPARK), Role::WaitPark, kind, NONE) });
        [Some(begin), park, Some(end)].into_iter().flatten()
    });
    let runtime = RUNTIME_SLEEPS.iter().flat_map(|&(call, object)| {
        // The goroutine may be waiting for something else at the same time.
        let own = Entry {
            off: Some(With::Runtime),
            task: Task::Thread,
            ..entry("runtime.lock2", Some(call), Role::WaitBegin, "runtime.mutex", object)
        };
        let end = Entry {
            role: Role::WaitEnd,
            point: Point::After(Cow::Borrowed(call)),
            object: NONE,
            ..own.clone()
        };
        [own, end]
    });
    // Its waits go through the semaphore's sites, which say more when it is on; this one
    // is there to be named while it is off.
    let group = (!with.contains(&With::Waitgroup)).then(|| Entry {
        off: Some(With::Waitgroup),
        ..entry("sync.(*WaitGroup).Wait", None, Role::WaitBegin, "sync.WaitGroup", RAX)
    });
    semaphore(sema::kind(with))
        .into_iter()
        .chain(group)
        .chain(releases)
        .chain(spins)
        .chain(sleeps)
        .chain(runtime)
}

/// `func semacquire1(addr *uint32, lifo bool, …)` in `src/runtime/sema.go`: every
/// wait of sync's locks goes through it, and every wait that parked gives its sudog
/// back. Which lock it is, the stack and the semaphore's place tell later.
fn semaphore(kind: &'static str) -> [Entry; 3] {
    const NAME: &str = "runtime.semacquire1";
    [
        Entry { aux: RBX, ..entry(NAME, None, Role::WaitBegin, kind, RAX) },
        entry(NAME, Some(GOPARK), Role::WaitPark, kind, NONE),
        entry(NAME, Some(RELEASE_SUDOG), Role::WaitEnd, kind, NONE),
    ]
}

fn entry(
    name: &'static str,
    call: Option<&'static str>,
    role: Role,
    kind: &'static str,
    object: Operand,
) -> Entry {
    Entry {
        role,
        point: call.map_or(Point::Start, |call| Point::CallTo(Cow::Borrowed(call))),
        kind: Cow::Borrowed(kind),
        ..go::map(name, Op::Lookup, object, NONE)
    }
}
