//! How long a frame takes at 10,000 keys and 1,000 locks. Nothing is asserted of times:
//! `cargo test --release -p mapprof --lib frame_times -- --ignored --nocapture` prints them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use probe_ebpf::Op;
use ratatui::{Terminal, backend::TestBackend};

use super::{Look, ThemeChoice, detail, draw, flame, graph, overview};
use crate::{
    catalog::KeyFormat,
    decode::{BlameEvent, WaitEvent},
    model::{
        Actor, Builder, Definitions, Key, Limits, LockInfo, MapInfo, MapKey, Session, SliceMeta,
        StackId, Subject, fixture,
        flame::{By, Flame},
    },
    view::{Action, App, Picture, Tab, fixture as pictures},
};

const MAPS: u32 = 20;
const KEYS: u32 = 500;
const LOCKS: u32 = 1000;
const STACKS: u32 = 400;
const SECONDS: u64 = 60;
const ROUNDS: usize = 300;
const SIZE: (u16, u16) = (120, 40);

fn text_of(key: u32) -> Vec<u8> {
    format!("tenant/{}/session:{key}", key % 7).into_bytes()
}

fn map_key(map: u32, key: u32) -> MapKey {
    let bytes = text_of(key);
    MapKey { map, key: Key { len: bytes.len() as u64, bytes: bytes.into() } }
}

/// Functions called eight deep, many of them shared.
fn frames(definitions: &mut Definitions) {
    for stack in 0..STACKS as StackId {
        let addresses = (0..8_u64).map(|depth| {
            let function = u64::from(stack) / 4_u64.pow(depth.min(4) as u32);
            0x40_0000 + (8 - depth) * 0x1_0000 + function * 16
        });
        let addresses: Vec<u64> = addresses.collect();
        for &address in &addresses {
            let frame = crate::target::Frame {
                function: format!("example.com/acme/shop.(*Service{address:x}).Handle"),
                file: Some(format!("/srv/shop/service{}.go", address % 97)),
                line: Some((address % 997) as u32),
                module: None,
            };
            definitions.frames.insert(address, vec![frame]);
        }
        definitions.stacks.insert(stack, addresses);
    }
}

fn definitions() -> Definitions {
    let mut definitions = Definitions::default();
    frames(&mut definitions);
    for map in 0..MAPS {
        let info = MapInfo {
            address: Some(0xc0_0000_0000 + u64::from(map) * 64),
            kind: "go.map".to_owned(),
            type_name: Some("map[string]*example.com/acme/shop.Session".to_owned()),
            key_type: Some("string".to_owned()),
            label: Some(format!("example.com/acme/shop.(*Cache{map}).Get")),
            key_format: KeyFormat::Str,
            key_type_at: None,
        };
        definitions.maps.insert(map, info);
    }
    for lock in 0..LOCKS {
        let info = LockInfo {
            address: Some(0xc1_0000_0000 + u64::from(lock) * 8),
            kind: "sync.Mutex".to_owned(),
            label: Some(format!("example.com/acme/shop.(*Shard{lock}).Put")),
        };
        definitions.locks.insert(lock, info);
    }
    for actor in 0..STACKS {
        let key = Some(map_key(actor % MAPS, actor % KEYS));
        definitions.actors.insert(actor, Actor { stack: actor, key });
    }
    definitions
}

fn second(builder: &mut Builder, second: u64) {
    for map in 0..MAPS {
        for key in 0..KEYS {
            for _ in 0..=(KEYS - key) / 100 {
                let caller = 0x40_0000 + u64::from(key % 8) * 0x1_0000;
                builder.operation(
                    map,
                    Op::Lookup,
                    Some((&text_of(key), text_of(key).len() as u64)),
                    None,
                    caller,
                    1,
                );
            }
        }
    }
    for stack in 0..STACKS {
        builder.op_stack(stack % MAPS, Op::Lookup, stack);
    }
    for lock in 0..LOCKS {
        for n in 0..4_u64 {
            let stack = (lock * 7 + n as u32) % STACKS;
            let ns = 10_000 + (u64::from(lock) * 7919 + n * 104_729 + second * 613) % 3_000_000;
            builder.wait(&WaitEvent { lock, stack, mode: None, task: n + 1, ns });
            builder.key_wait(lock, &map_key(lock % MAPS, stack % KEYS), ns);
            let holder = (stack + 1) % STACKS;
            builder.blame(&BlameEvent {
                lock,
                holder,
                holder_mode: None,
                holder_task: 9,
                waiter: stack,
                ns,
            });
        }
    }
}

fn session() -> Session {
    let mut session = Session::new(fixture::target());
    session.define(definitions());
    let mut builder = Builder::new(Limits::default());
    for number in 0..SECONDS {
        second(&mut builder, number);
        session.push(builder.close(SliceMeta {
            start_unix_ns: number * 1_000_000_000,
            duration_ns: 1_000_000_000,
            observed_ns: 1_000_000_000,
            locks_observed_ns: 1_000_000_000,
            events: 60_000,
            hits: 60_000,
            probe_ns: 40_000_000,
            target_cpu_ns: Some(2_000_000_000),
            ..SliceMeta::default()
        }));
    }
    session
}

/// Prints median, 99th percentile and maximum.
fn measure(what: &str, rounds: usize, mut run: impl FnMut()) {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let begun = Instant::now();
            run();
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |quantile: f64| times[((rounds - 1) as f64 * quantile) as usize].as_secs_f64() * 1e3;
    println!("{what:<28} {:>8.3} ms  {:>8.3} ms  {:>8.3} ms", at(0.5), at(0.99), at(1.0));
}

#[test]
#[ignore = "measures, and checks nothing"]
fn frame_times() {
    let session = session();
    let summary = session.summary(KEYS as usize);
    let keys: usize = summary.maps.iter().map(|map| map.keys.len()).sum();
    println!(
        "{keys} keys, {} locks, {} steps, {SIZE:?}",
        summary.locks.len(),
        session.steps().len()
    );
    println!("{:<28} {:>11}  {:>11}  {:>11}", "", "median", "p99", "max");
    measure("summary of all", 20, || drop(black_box(session.summary(KEYS as usize))));
    measure("summary of the newest", 20, || drop(black_box(session.last_summary(KEYS as usize))));
    measure("steps", 20, || drop(black_box(session.steps())));

    let last = session.last_summary(KEYS as usize);
    let steps = session.steps();
    let picture =
        Picture { total: summary.clone(), last, steps: steps.clone(), ..pictures::picture() };
    let mut app = App::new();
    let mut terminal = Terminal::new(TestBackend::new(SIZE.0, SIZE.1)).expect("in memory");
    let look = Look::new(ThemeChoice::Dark, false);
    app.update(picture.clone());
    let mut given: Vec<Picture> = (0..20).map(|_| picture.clone()).collect();
    measure("letting a picture go", given.len(), || drop(given.pop()));
    for tab in Tab::ALL {
        app.on_action(Action::Show(tab));
        measure(&format!("frame: {tab:?}"), ROUNDS, || {
            terminal.draw(|frame| draw(frame, &mut app, look)).expect("in memory");
        });
        let mut given: Vec<Picture> = (0..20).map(|_| picture.clone()).collect();
        measure("  the first of a new picture", given.len(), || {
            app.update(given.pop().expect("one for each round"));
            terminal.draw(|frame| draw(frame, &mut app, look)).expect("in memory");
        });
    }

    let (width, height) = (usize::from(SIZE.0), usize::from(SIZE.1) - 4);
    measure("page: overview", ROUNDS, || {
        black_box(overview::lines(&summary, &steps, width, height, look));
    });
    measure("page: graph", ROUNDS, || {
        black_box(graph::lines(&steps, Some(3), width, height, look));
    });
    let tree = Flame::new(&summary, By::Wait, None);
    measure("page: flame", ROUNDS, || {
        black_box(flame::lines(&tree, By::Wait, &[0, 0], 1, width, height, look));
    });
    let (map, longest) = (&summary.maps[0], &summary.locks[0]);
    let subject = Subject::Key { map: map.id.clone(), key: map.keys[0].key.clone() };
    let past = session.subject_steps(&subject);
    measure("page: key", ROUNDS, || {
        black_box(detail::key(&summary, map, &map.keys[0], &past, width, look));
    });
    measure("page: lock", ROUNDS, || {
        black_box(detail::lock(&summary, longest, &past, width, look));
    });
}
