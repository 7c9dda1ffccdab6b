//! A run made up for tests: what every output must cope with.

use probe_ebpf::{LONG_KEY, Op};

mod windowed;

use super::*;
use crate::{
    catalog::KeyFormat,
    decode::{BlameEvent, Unreadable, WaitEvent},
    target::{Field, KeyShape, Kind, Node},
};

pub(crate) use windowed::{windowed, windowed_for};

/// Wall clock of the first slice, ns since the epoch.
const START: u64 = 1_700_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;
const CALLERS: [u64; 3] = [0x47_1000, 0x47_2000, 0x47_9000];

/// The target, with a name that a terminal must not be shown as it is.
pub(crate) fn target() -> TargetInfo {
    TargetInfo {
        pid: 4242,
        exe: "/srv/shop/\x1b[31mshop<1>&\"2\"".to_owned(),
        runtimes: vec![("go".to_owned(), "go1.27.3".to_owned())],
        host: "testhost".to_owned(),
        not_included: [
            "spinning before a goroutine is put to sleep (a few microseconds each)",
            "waits for WaitGroups, channels (--with waitgroup,chan)",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..TargetInfo::default()
    }
}

fn frame(function: &str, file: &str, line: u32) -> Frame {
    Frame {
        function: function.to_owned(),
        file: Some(file.to_owned()),
        line: Some(line),
        module: Some("shop".to_owned()),
    }
}

fn map(
    kind: &str,
    type_name: &str,
    key_type: &str,
    key_format: KeyFormat,
    address: u64,
) -> MapInfo {
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    MapInfo {
        address: (address > 0).then_some(address),
        kind: kind.to_owned(),
        type_name: known(type_name),
        key_type: known(key_type),
        label: None,
        key_format,
        key_type_at: None,
    }
}

/// `struct { Region string }`.
fn shape() -> KeyShape {
    let node = |name: &str, kind| Node {
        name: Some(name.to_owned()),
        size: 16,
        pointer_shaped: false,
        kind,
    };
    let field = Field { name: "Region".to_owned(), offset: 0, node: 1 };
    KeyShape::new(vec![
        node("main.Tenant", Kind::Struct(vec![field])),
        node("string", Kind::String),
    ])
}

/// Names for the ids of [`slices`]; some ids have none.
pub(crate) fn definitions() -> Definitions {
    let lock = |address, kind: &str, label: Option<&str>| LockInfo {
        address: Some(address),
        kind: kind.to_owned(),
        label: label.map(str::to_owned),
    };
    Definitions {
        actors: [
            (0, actor(0, Some("user:42".as_bytes()))),
            (1, actor(1, Some(HOSTILE_KEY))),
            (2, actor(3, Some("user:7".as_bytes()))),
            (3, actor(3, None)),
            (4, actor(4, Some("user:42".as_bytes()))),
        ]
        .into(),
        maps: [
            (
                0,
                map("go.map", "map[string]*main.Session", "string", KeyFormat::Str, 0xc0_0001_2340),
            ),
            (1, map("go.map", "map[int]main.Item", "int", KeyFormat::Int, 0xc0_0001_5680)),
            (2, map("custom", "", "", KeyFormat::Bytes, 0)),
            (3, map("sync.Map", "", "", KeyFormat::Str, 0xc0_0001_7000)),
        ]
        .into(),
        locks: [
            (0, lock(0xc0_0002_0000, "sync.Mutex", None)),
            (1, lock(0xc0_0002_0040, "sync.RWMutex", Some("orders; all\nof them"))),
        ]
        .into(),
        stacks: [
            (0, vec![0x46_0010, CALLERS[0], 0x40_0000]),
            (1, vec![0x46_0010, 0x47_5000, 0x40_0000]),
            (2, vec![0x7f00_0000_1234]),
            (3, vec![0x46_0080, 0x47_3000, 0x40_0000]),
            (4, vec![CALLERS[0], 0x40_0000]),
            (5, vec![CALLERS[1], 0x40_0000]),
        ]
        .into(),
        types: [(0x5a_1000, shape())].into(),
        frames: [
            (CALLERS[0], vec![frame("main.(*Cache).Get", "/srv/shop/cache.go", 42)]),
            (
                CALLERS[1],
                vec![
                    frame("main.key[...]", "/srv/shop/key.go", 7),
                    frame("main.(*Cache).Put", "/srv/shop/cache.go", 61),
                ],
            ),
            (
                0x46_0010,
                vec![
                    frame("internal/sync.(*Mutex).lockSlow", "/go/src/internal/sync/mutex.go", 149),
                    frame("sync.(*Mutex).Lock", "/go/src/sync/mutex.go", 46),
                ],
            ),
            (0x46_0080, vec![frame("sync.(*Mutex).Unlock", "/go/src/sync/mutex.go", 65)]),
            (0x47_3000, vec![frame("main.(*Cache).Refresh", "/srv/shop/cache.go", 88)]),
            (
                0x47_5000,
                vec![frame("main.<script>alert(1);</script>\n12", "/srv/shop/\x07evil.go", 1)],
            ),
            (0x40_0000, vec![frame("main.main", "/srv/shop/main.go", 12)]),
        ]
        .into(),
    }
}

/// A key that would clear a terminal.
const HOSTILE_KEY: &[u8] = b"\x1b[2J\x07\r\nctrl";

fn map_key(key: &[u8]) -> MapKey {
    MapKey { map: 0, key: Key { bytes: key.into(), len: key.len() as u64 } }
}

fn actor(stack: StackId, key: Option<&[u8]>) -> Actor {
    Actor { stack, key: key.map(map_key) }
}

/// A wait of which nothing else is known.
pub(crate) fn wait(lock: LockId, stack: StackId, ns: u64) -> WaitEvent {
    WaitEvent { lock, stack, mode: None, task: 0, start_ns: 0, ns }
}

/// Keys that have something special about them, with their true length.
fn nasty_keys() -> Vec<(Vec<u8>, u64)> {
    let long = vec![b'x'; 10_000];
    let whole = |key: &[u8]| (key.to_vec(), key.len() as u64);
    vec![
        whole(HOSTILE_KEY),
        whole(b"semi;colon \"quoted\" 'single' \\back"),
        whole(b"<script>alert(1)</script>&amp;"),
        whole("größe 日本語 \u{202e}override".as_bytes()),
        whole(b"\xff\xfe not utf-8 \xc3"),
        whole(b""),
        (long[..LONG_KEY].to_vec(), 10_000),
    ]
}

/// Three seconds, the last of which lost something.
pub(crate) fn slices() -> Vec<Slice> {
    let mut builder = Builder::new(Limits::default());
    (0..3).map(|round| slice(&mut builder, round)).collect()
}

fn slice(builder: &mut Builder, round: u64) -> Slice {
    let mut op = |map, op, key: &[u8], len, times: u64, caller| {
        for _ in 0..times {
            builder.operation(map, op, Some((key, len)), None, caller, 1);
        }
    };
    op(0, Op::Lookup, b"user:42", 7, 1500 + round, CALLERS[0]);
    op(0, Op::Insert, b"user:42", 7, 20, CALLERS[1]);
    for user in 0..30_u64 {
        let key = format!("user:{user}");
        op(0, Op::Lookup, key.as_bytes(), key.len() as u64, 40 - user, CALLERS[0]);
    }
    for (index, (key, len)) in nasty_keys().iter().enumerate() {
        op(0, Op::Delete, key, *len, 60 + index as u64, CALLERS[2]);
    }
    for item in -8_i64..8 {
        op(1, Op::Insert, &item.to_le_bytes(), 8, 3, CALLERS[1]);
    }
    op(2, Op::Lookup, &[0xde, 0xad], 2, 1, 0x1234);
    builder.operation(0, Op::Iterate, None, None, CALLERS[0], 1);
    builder.operation(1, Op::Grow, None, None, CALLERS[1], 1);
    builder.operation(1, Op::Lookup, None, Some(Unreadable::Memory), CALLERS[0], 1);
    builder.operation(1, Op::Lookup, None, Some(Unreadable::Type), CALLERS[0], 1);
    for op in [Op::Insert, Op::Lookup, Op::Lookup, Op::Miss, Op::Miss, Op::Promote] {
        builder.operation(3, op, None, None, CALLERS[0], 1);
    }
    for (op, stack, times) in [(Op::Lookup, 4, 30), (Op::Insert, 5, 2), (Op::Delete, 5, 3)] {
        (0..times).for_each(|_| builder.op_stack(0, op, stack));
    }

    mutex(builder);
    rw_mutex(builder, round);
    builder.wait(&wait(7, 2, 0));

    let lost = (round == 2).then(|| ("ring_full".to_owned(), 17)).into_iter().collect();
    let mut slice = builder.close(SliceMeta {
        start_unix_ns: START + round * SECOND,
        duration_ns: SECOND,
        observed_ns: SECOND,
        locks_observed_ns: SECOND,
        events: 2_800 + round,
        hits: 2_900,
        probe_ns: 2_900 * 650,
        target_cpu_ns: Some(1_900_000_000),
        tasks: Some(40),
        lost,
        calls: [("take_it", Some(20_000)), ("pthread_mutex_lock", None)].map(calls).into(),
    });
    slice.maps[0].len = Some(37 + 20 * round);
    slice
}

/// Calls of a function that may spin, and of one that does not.
fn calls((function, spin_ns): (&str, Option<u32>)) -> CallSlice {
    let [lasted, preempted] = spin_ns.map_or([0, 0], |_| [7, 1]);
    let counts = [20_000, 5, lasted, preempted];
    CallSlice { function: function.to_owned(), counts, sees_sleep: true, spin_ns }
}

/// Waits of two stacks for two keys, most of them for whom a third is to blame.
fn mutex(builder: &mut Builder) {
    for number in 1..=40 {
        let (waiter, ns) = (u32::from(number % 4 == 0), number * number * 12_345);
        builder.wait(&WaitEvent { task: 7 + number % 6, ..wait(0, waiter, ns) });
        if number % 10 != 0 {
            let key = if waiter == 0 { b"user:42".as_slice() } else { HOSTILE_KEY };
            builder.key_wait(0, &map_key(key), ns);
        }
        let holder = match number % 8 {
            0 => NO_ACTOR,
            1 => 1,
            2 => 3,
            _ => 2,
        };
        builder.blame(&BlameEvent {
            lock: 0,
            holder,
            holder_mode: None,
            holder_task: 100 + number % 2,
            waiter,
            start_ns: 0,
            ns,
        });
        builder.hold(0, 1_000_000 + number);
    }
}

/// Readers that wait for a writer, a writer that waits for a reader, and one that
/// waits still.
fn rw_mutex(builder: &mut Builder, round: u64) {
    for (mode, task, ns) in [(Mode::Read, 21, 900), (Mode::Read, 22, 700), (Mode::Write, 23, 500)] {
        builder.wait(&WaitEvent { mode: Some(mode), task, ..wait(1, 1, ns + round) });
        let other = if mode == Mode::Read { Mode::Write } else { Mode::Read };
        builder.blame(&BlameEvent {
            lock: 1,
            holder: 4,
            holder_mode: Some(other),
            holder_task: 24,
            waiter: 1,
            start_ns: 0,
            ns: ns + round,
        });
    }
    let longest = (round + 1) * SECOND;
    for (mode, task, ns) in [(Mode::Read, 0, SECOND / 3), (Mode::Write, 9, longest)] {
        builder.open_wait(&WaitEvent { mode: Some(mode), task, ..wait(1, 1, ns) });
    }
}

/// All of it.
pub(crate) fn session() -> Session {
    let mut session = Session::new(target());
    session.define(definitions());
    for slice in slices() {
        session.push(slice);
    }
    session
}
