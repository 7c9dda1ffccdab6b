//! The hot parts of user space: `cargo bench -p mapprof --bench user_space`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mapprof::bench::{
    Histograms, Input, Keys, Machine, Screen, hand_over, operation, pieces, text_key,
};
use mapprof::view::Tab;

/// Keys of the Zipf-like loads.
const KEYS: u64 = 1000;
/// Entries of the tables of keys.
const ROOM: usize = 10_000;
/// What a CPU sends in one pause of the reader at a million operations a second, records.
const A_PAUSE: usize = 3000;
/// Pauses of 3 ms in an interval of a second.
const PAUSES: f64 = 333.0;
/// Not sampled, as nearly all callers.
const NO_CALLER: u64 = probe_ebpf::CALLER_NOT_SAMPLED;

/// Numbers below `below`, the same in each run, small ones more often (`skewed`) or not.
fn numbers(count: usize, below: u64, skewed: bool) -> Vec<u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1_u64 << 31) as f64
    };
    // A power of a uniform number: the first percent of the keys get half of the draws.
    (0..count)
        .map(|_| (next().powf(if skewed { 6.64 } else { 1.0 }) * below as f64) as u64)
        .collect()
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    let loads = [
        ("one key", numbers(4096, 1, false), 1),
        ("1,000 keys, skewed", numbers(65_536, KEYS, true), 1),
        ("1,000 keys, uniform, 32 maps", numbers(65_536, KEYS, false), 32),
    ];
    for (name, numbers, maps) in loads {
        let record = |number: &u64| operation(number % maps, &text_key(*number, 16), NO_CALLER);
        let records: Vec<_> = numbers.iter().map(record).collect();
        bench_records(&mut group, name, &records);
    }
    let long: Vec<_> = (0..KEYS).map(|n| operation(0, &text_key(n, 64), NO_CALLER)).collect();
    bench_records(&mut group, "keys of 64 bytes", &long);
    let structs: Vec<_> = (0..KEYS).map(|n| pieces(0, n, &text_key(n, 16))).collect();
    bench_records(&mut group, "structs with a string", &structs);
    let callers: Vec<_> = (0..KEYS).map(|n| operation(0, &text_key(n, 16), 2000 + n % 8)).collect();
    bench_records(&mut group, "callers told", &callers);
    group.finish();

    criterion.bench_function("decode/a release and a wait", |bencher| {
        let (mut input, mut number) = (Input::default(), 0);
        bencher.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                number += 1;
                let records = hand_over(number, 7 + number % 64);
                let began = Instant::now();
                input.records(&records);
                spent += began.elapsed();
            }
            spent
        });
    });
}

fn bench_records(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    records: &[Vec<u8>],
) {
    let mut input = Input::default();
    input.records(records);
    let mut next = records.iter().cycle();
    group.bench_function(name, |bencher| {
        bencher.iter(|| input.record(black_box(next.next().expect("endless"))));
    });
}

fn space_saving(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("space saving");
    group.throughput(Throughput::Elements(1));
    for (name, below, skewed) in [
        ("observe, hot", 64, false),
        ("observe, uniform, all have room", ROOM as u64, false),
        ("observe, skewed, one in three has room", 3 * ROOM as u64, true),
        ("observe, nearly each evicts", 1000 * ROOM as u64, false),
    ] {
        let keys: Vec<_> =
            numbers(1 << 18, below, skewed).iter().map(|&number| text_key(number, 16)).collect();
        let mut table = Keys::new(ROOM);
        for key in &keys {
            table.observe(key);
        }
        let mut next = keys.iter().cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| table.observe(black_box(next.next().expect("endless"))));
        });
    }
    group.throughput(Throughput::Elements(ROOM as u64));
    for (name, room) in [("merge, all known", 2 * ROOM), ("merge, half has room", ROOM / 2)] {
        let mut other = Keys::new(ROOM);
        (0..ROOM as u64).for_each(|number| other.observe(&text_key(number, 16)));
        let (keys, floor) = other.take();
        let mut table = Keys::new(room);
        group.bench_function(name, |bencher| {
            bencher.iter(|| table.merge(black_box(&keys), floor));
        });
    }
    group.finish();
}

fn histograms(criterion: &mut Criterion) {
    criterion.bench_function("histogram merge", |bencher| {
        let mut histograms = Histograms::new(100_000);
        bencher.iter(|| black_box(&mut histograms).merge());
    });
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("view, 10,000 keys");
    let mut screen = Screen::new(10_000);
    group.bench_function("summary", |bencher| bencher.iter(|| black_box(screen.summary())));
    for (name, tab) in [("frame: overview", Tab::Overview), ("frame: keys", Tab::Keys)] {
        screen.turn_to(tab);
        group.bench_function(name, |bencher| bencher.iter(|| screen.draw()));
    }
    let picture = screen.picture();
    group.bench_function("first frame of a new picture", |bencher| {
        bencher.iter_batched(
            || picture.clone(),
            |picture| {
                screen.show(picture);
                screen.draw();
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// Records of many CPUs through the rings, the decoder and the tables, by one thread and, of
/// one machine, by two.
fn machines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("machine");
    let load = |numbers: &[u64]| -> Vec<Vec<u8>> {
        numbers.iter().map(|&n| operation(0, &text_key(n, 16), NO_CALLER)).collect()
    };
    let skewed = load(&numbers(65_536, KEYS, true));
    let many = load(&numbers(65_536, 1_000_000, false));
    let loads = [("1,000 keys, skewed", &skewed), ("65,536 keys", &many)];
    for cpus in [1, 2, 8, 32, 128] {
        for (name, records) in loads {
            let machine = Machine::new(cpus, 256 << 10);
            bench_machine(&mut group, &format!("{cpus} CPUs, {name}"), machine, cpus, records);
        }
    }
    let cpus = 32;
    for (name, records) in loads {
        let machine = Machine::read_by(2, cpus, 256 << 10);
        let name = format!("{cpus} CPUs, {name}, two threads");
        bench_machine(&mut group, &name, machine, cpus, records);
    }
    group.finish();
}

fn bench_machine(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    mut machine: Machine,
    cpus: usize,
    records: &[Vec<u8>],
) {
    let all = cpus * A_PAUSE;
    // What readers do not know yet is handed on and learned.
    let mut filled = 0;
    for _ in 0..3 {
        filled += machine.fill(records, A_PAUSE);
        machine.drain();
    }
    group.throughput(Throughput::Elements(all as u64));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                filled += machine.fill(records, A_PAUSE);
                let began = Instant::now();
                machine.drain();
                spent += began.elapsed();
            }
            // Its share: it is done once in an interval, which is so many pauses.
            let began = Instant::now();
            machine.gather();
            spent + began.elapsed().mul_f64(rounds as f64 / PAUSES)
        });
    });
    let counted: u64 = machine.input().close().maps.iter().map(|map| map.ops.all()).sum();
    assert_eq!(counted, filled as u64, "all is counted");
}

criterion_group! {
    name = user_space;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20);
    targets = decode, space_saving, histograms, frames, machines
}
criterion_main!(user_space);
