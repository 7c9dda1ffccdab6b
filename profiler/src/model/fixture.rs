//! A run made up for tests: what every output must cope with.

use probe_ebpf::{LONG_KEY, Op};

use super::*;
use crate::catalog::KeyFormat;

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
    }
}

/// Names for the ids of [`slices`]; some ids have none.
pub(crate) fn definitions() -> Definitions {
    let lock = |address, kind: &str, label: Option<&str>| LockInfo {
        address: Some(address),
        kind: kind.to_owned(),
        label: label.map(str::to_owned),
    };
    Definitions {
        maps: [
            (
                0,
                map("go.map", "map[string]*main.Session", "string", KeyFormat::Str, 0xc0_0001_2340),
            ),
            (1, map("go.map", "map[int]main.Item", "int", KeyFormat::Int, 0xc0_0001_5680)),
            (2, map("custom", "", "", KeyFormat::Bytes, 0)),
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
        ]
        .into(),
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
            (
                0x47_5000,
                vec![frame("main.<script>alert(1);</script>\n12", "/srv/shop/\x07evil.go", 1)],
            ),
            (0x40_0000, vec![frame("main.main", "/srv/shop/main.go", 12)]),
        ]
        .into(),
    }
}

/// Keys that have something special about them, with their true length.
fn nasty_keys() -> Vec<(Vec<u8>, u64)> {
    let long = vec![b'x'; 10_000];
    let whole = |key: &[u8]| (key.to_vec(), key.len() as u64);
    vec![
        whole(b"\x1b[2J\x07\r\nctrl"),
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
            builder.operation(map, op, Some((key, len)), false, caller);
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
    builder.operation(0, Op::Iterate, None, false, CALLERS[0]);
    builder.operation(1, Op::Grow, None, false, CALLERS[1]);
    builder.operation(1, Op::Lookup, None, true, CALLERS[0]);

    for wait in 1..=40 {
        builder.wait(0, u32::from(wait % 4 == 0), wait * wait * 12_345);
    }
    builder.wait(1, 1, 900 + round);
    builder.wait(7, 2, 0);
    builder.open_wait(1, (round + 1) * SECOND);

    let lost = (round == 2).then(|| ("ring_full".to_owned(), 17)).into_iter().collect();
    builder.close(SliceMeta {
        start_unix_ns: START + round * SECOND,
        duration_ns: SECOND,
        observed_ns: SECOND - 40_000_000 * u64::from(round == 0),
        events: 2_800 + round,
        hits: 2_900,
        probe_ns: 2_900 * 650,
        target_cpu_ns: Some(1_900_000_000),
        lost,
    })
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
