//! How often the true count lies within the margin, over many made-up runs.

use probe_ebpf::Op;

use super::*;

pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1000 * MS;

/// xorshift64*.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..5 {
            random.next();
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 up to 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 50.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u64;
        }
        let (least, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
        while product > least {
            product *= self.unit();
            count += 1;
        }
        count
    }
}

/// When a load works: from each of these moments to the next, alternately.
struct Load {
    turns: Vec<u64>,
    /// Operations a second while it works.
    rate: f64,
    regular: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    /// One by one, at random.
    Steady,
    /// One by one, as by a clock.
    Regular,
    /// At random within bursts of about so long, with pauses as long; ns.
    Bursts(u64),
    /// A burst every ten.
    Rare(u64),
    /// More and more.
    Drift,
}

impl Load {
    fn new(kind: Kind, rate: f64, end: u64, random: &mut Random) -> Self {
        let mut turns = vec![0];
        let (on, off) = match kind {
            Kind::Steady | Kind::Regular | Kind::Drift => (2 * end, 0),
            Kind::Bursts(ns) => (ns, ns),
            Kind::Rare(ns) => (ns, 9 * ns),
        };
        let mut at = 0;
        if off > 0 {
            // A random phase: it may begin within a burst or a pause.
            let skip = (random.unit() * (on + off) as f64) as u64;
            if skip > on {
                turns.push(0);
                at = on + off - skip;
            } else {
                at = on - skip;
            }
            turns.push(at);
        }
        let mut long = |ns: u64| ((0.5 + random.unit()) * ns as f64) as u64 + 1;
        while at < end {
            at += long(if turns.len() % 2 == 1 { on } else { off });
            turns.push(at);
        }
        Self { turns, rate, regular: matches!(kind, Kind::Regular) }
    }

    /// How long it works between two moments, ns.
    fn works(&self, from: u64, to: u64) -> u64 {
        let first = self.turns.partition_point(|&at| at <= from).saturating_sub(1);
        let mut sum = 0;
        for (index, &start) in self.turns.iter().enumerate().skip(first) {
            if start >= to {
                break;
            }
            let end = self.turns.get(index + 1).copied().unwrap_or(u64::MAX);
            if index.is_multiple_of(2) {
                sum += end.min(to) - start.max(from);
            }
        }
        sum
    }

    fn count(&self, part: f64, from: u64, to: u64, random: &mut Random) -> u64 {
        let rate = self.rate * part / 1e9;
        if self.regular {
            let at = |ns: u64| (ns as f64 * rate + 0.37) as u64;
            return at(to) - at(from);
        }
        random.poisson(self.works(from, to) as f64 * rate)
    }
}

/// How windows lie.
#[derive(Clone, Copy)]
enum Phase {
    /// Anywhere within their tenth of a second.
    Within,
    /// Half to one and a half tenths of a second after the one before.
    After,
}

const KEYS: usize = 30;

/// Parts of keys, as Zipf has them.
fn parts() -> Vec<f64> {
    let all: f64 = (1..=KEYS).map(|rank| 1.0 / rank as f64).sum();
    (1..=KEYS).map(|rank| 1.0 / rank as f64 / all).collect()
}

/// True counts by key.
fn run(kind: Kind, rate: f64, seconds: u64, phase: Phase, seed: u64) -> (Session, Vec<u64>) {
    let mut random = Random::new(seed);
    let end = seconds * SECOND;
    let load = Load::new(kind, rate, end, &mut random);
    let (parts, period, window) = (parts(), 100 * MS, MS);
    let mut truth = vec![0; KEYS];
    let mut builder = Builder::new(Limits::default());
    let mut session = Session::new(TargetInfo::default());
    let (mut slice_began, mut now, mut tick, mut windows) = (0, 0, 0, 0);
    loop {
        let opens = match phase {
            Phase::Within => tick * period + (random.unit() * (period - window) as f64) as u64,
            Phase::After => now + ((0.5 + random.unit()) * (period - window) as f64) as u64,
        };
        tick += 1;
        // The first interval is shorter.
        let length = if slice_began == 0 { SECOND / 4 } else { SECOND };
        if opens.max(now) + window > slice_began + length || opens >= end {
            let until = (slice_began + length).min(end).max(now);
            builder_close(&mut builder, &mut session, slice_began, until, windows * window);
            (slice_began, windows) = (until, 0);
            if opens + window > end {
                unseen(&mut truth, &load, &parts, kind, [now, end, end], &mut random);
                return (session, truth);
            }
        }
        unseen(&mut truth, &load, &parts, kind, [now, opens, end], &mut random);
        for (key, part) in parts.iter().enumerate() {
            let part = part * drift(kind, opens, end);
            let count = load.count(part, opens, opens + window, &mut random);
            truth[key] += count;
            let bytes = (key as u64).to_le_bytes();
            for _ in 0..count {
                builder.operation(0, Op::Lookup, Some((&bytes, 8)), None, 7, 1);
            }
        }
        now = opens + window;
        windows += 1;
        builder.window(Watched { observed_ns: window, ..Watched::default() });
    }
}

fn drift(kind: Kind, at: u64, end: u64) -> f64 {
    if matches!(kind, Kind::Drift) { 0.2 + 1.8 * at as f64 / end as f64 } else { 1.0 }
}

fn unseen(
    truth: &mut [u64],
    load: &Load,
    parts: &[f64],
    kind: Kind,
    [from, to, end]: [u64; 3],
    random: &mut Random,
) {
    for (count, part) in truth.iter_mut().zip(parts) {
        let part = part * drift(kind, u64::midpoint(from, to), end);
        *count += load.count(part, from, to.max(from), random);
    }
}

fn builder_close(
    builder: &mut Builder,
    session: &mut Session,
    from: u64,
    to: u64,
    observed_ns: u64,
) {
    session.push(builder.close(SliceMeta {
        start_unix_ns: from,
        duration_ns: to - from,
        observed_ns,
        locks_observed_ns: to - from,
        ..SliceMeta::default()
    }));
}

/// How often of 1000 the truth is within the margin, and the margin over the count; of the
/// map, of the hottest key and of a warm one.
fn coverage(kind: Kind, rate: f64, seconds: u64, phase: Phase, runs: u64) -> [(u64, f64); 3] {
    let mut within = [0; 3];
    let mut told = [0_u64; 3];
    let mut width = [0.0; 3];
    for seed in 1..=runs {
        let (session, truth) = run(kind, rate, seconds, phase, seed);
        let summary = session.summary(KEYS);
        let map = summary.maps.first();
        let key = |of: usize| {
            let text = format!("{of:02x} 00");
            let found = map.and_then(|map| map.keys.iter().find(|key| key.key.starts_with(&text)));
            found.map(|key| (key.ops.total(), key.margin, key.few, truth[of]))
        };
        let all = map.map(|map| (map.ops.total(), map.margin, map.few, truth.iter().sum()));
        for (index, figure) in [all, key(0), key(9)].into_iter().enumerate() {
            // What is said to be too few has no interval.
            let Some((count, margin, false, truth)) = figure else { continue };
            told[index] += 1;
            within[index] += u64::from(count.abs_diff(truth) <= margin);
            width[index] += margin as f64 / count as f64;
        }
    }
    std::array::from_fn(|at| {
        let runs = told[at].max(1);
        (within[at] * 1000 / runs, width[at] / runs as f64)
    })
}

#[test]
fn nineteen_of_twenty_intervals_hold_the_truth() {
    for kind in [Kind::Steady, Kind::Bursts(5 * MS), Kind::Bursts(50 * MS), Kind::Bursts(500 * MS)]
    {
        for (within, _) in coverage(kind, 20_000.0, 10, Phase::Within, 200) {
            assert!((915..=985).contains(&within), "{within} of 1000");
        }
    }
}

#[test]
fn what_is_watched_all_the_time_is_exact_in_windows_and_without() {
    let meta = |observed_ns| SliceMeta {
        duration_ns: 100,
        observed_ns,
        locks_observed_ns: 100,
        ..SliceMeta::default()
    };
    let [mut plain, mut windowed] = [0, 1].map(|_| Builder::new(Limits::default()));
    for number in 0..50_u64 {
        for builder in [&mut plain, &mut windowed] {
            builder.operation(0, Op::Lookup, Some((&[number as u8 % 7], 1)), None, number % 3, 1);
        }
        if number % 5 == 4 {
            windowed.window(Watched { observed_ns: 10, ..Watched::default() });
        }
    }
    let [plain, windowed] = [plain.close(meta(100)), windowed.close(meta(100))];
    assert_eq!(windowed.maps[0].ops, plain.maps[0].ops);
    assert_eq!(windowed.maps[0].callers, plain.maps[0].callers);
    assert_eq!(windowed.maps[0].spread.map(|it| it.variance), Some(0.0));
    let ops = |slice: &Slice| slice.maps[0].keys.iter().map(|key| key.ops).collect::<Vec<_>>();
    assert_eq!(ops(&windowed), ops(&plain));
}

#[test]
fn an_interval_without_a_window_is_told_by_the_next() {
    let meta = |observed_ns| SliceMeta {
        duration_ns: 100,
        observed_ns,
        locks_observed_ns: 100,
        ..SliceMeta::default()
    };
    let mut builder = Builder::new(Limits::default());
    assert!(builder.close(meta(0)).maps.is_empty());
    for _ in 0..3 {
        builder.operation(0, Op::Lookup, None, None, 7, 1);
    }
    builder.window(Watched { observed_ns: 10, probe_ns: 4, cpu_ns: 8 });
    let slice = builder.close(meta(10));
    assert_eq!((slice.maps[0].ops.total(), slice.windows), (60, 1), "3 of 10 in 200");
    assert_eq!((slice.window_probe_ns, slice.window_cpu_ns), (4, 8));
    assert_eq!(slice.maps[0].spread.map(|it| it.seen), Some(3));
}

#[test]
fn merged_slices_have_the_sums_of_counts_and_variances() {
    let mut builder = Builder::new(Limits::default());
    let mut slices = Vec::new();
    for interval in 0..5_u64 {
        for window in 0..4_u64 {
            for _ in 0..20 + 7 * ((interval * 3 + window) % 5) {
                builder.operation(0, Op::Lookup, Some((b"a", 1)), None, 7, 1);
            }
            builder.window(Watched { observed_ns: MS, ..Watched::default() });
        }
        slices.push(builder.close(SliceMeta {
            duration_ns: SECOND,
            observed_ns: 4 * MS,
            locks_observed_ns: SECOND,
            ..SliceMeta::default()
        }));
    }
    let all = merged(&slices.iter().collect::<Vec<_>>(), &Limits::default());
    let map = |slice: &Slice| slice.maps[0].clone();
    let sum: u64 = slices.iter().map(|slice| map(slice).ops.total()).sum();
    assert_eq!((map(&all).ops.total(), map(&all).keys[0].ops.total()), (sum, sum));
    let variance = |slice: &Slice| f64::from(map(slice).spread.unwrap().variance);
    let of_all: f64 = slices.iter().map(variance).sum();
    assert!((variance(&all) / of_all - 1.0).abs() < 1e-4);
    assert!(map(&all).keys[0].spread.is_some());
}

const LOADS: [(&str, Kind); 11] = [
    ("steady", Kind::Steady),
    ("regular", Kind::Regular),
    ("drift", Kind::Drift),
    ("bursts of 5 ms", Kind::Bursts(5 * MS)),
    ("bursts of 50 ms", Kind::Bursts(50 * MS)),
    ("bursts of 500 ms", Kind::Bursts(500 * MS)),
    ("bursts of 5 s", Kind::Bursts(5 * SECOND)),
    ("rare of 100 us", Kind::Rare(MS / 10)),
    ("rare of 5 ms", Kind::Rare(5 * MS)),
    ("rare of 50 ms", Kind::Rare(50 * MS)),
    ("rare of 500 ms", Kind::Rare(500 * MS)),
];

/// `cargo test --release -p mapprof --lib print_coverage -- --ignored --nocapture`
#[test]
#[ignore = "takes long, and prints a table"]
fn print_coverage() {
    println!(
        "{:<18} {:>4} {:<7} {:>22} {:>22} {:>22}",
        "load", "s", "windows", "map", "key 1", "key 10"
    );
    for seconds in [10, 60] {
        for (phase, how) in [(Phase::Within, "within"), (Phase::After, "after")] {
            for (name, kind) in LOADS {
                let rows = coverage(kind, 200_000.0, seconds, phase, 400);
                let cells = rows.map(|(within, width)| {
                    format!("{:.1}% ±{:.2}%", within as f64 / 10.0, 100.0 * width)
                });
                println!(
                    "{name:<18} {seconds:>4} {how:<7} {:>22} {:>22} {:>22}",
                    cells[0], cells[1], cells[2]
                );
            }
        }
    }
}

/// A loop that probes slow is told as "at least", however few windows there were: the
/// scheduler's ticks may have missed them all.
#[test]
fn few_windows_tell_that_the_target_is_slowed() {
    let summary = |probe_ns| {
        let mut builder = Builder::new(Limits::default());
        builder.operation(0, Op::Lookup, None, None, 7, 1);
        builder.window(Watched { observed_ns: 1_000_000, probe_ns, cpu_ns: 0 });
        let meta = SliceMeta {
            duration_ns: 1_000_000_000,
            observed_ns: 1_000_000,
            locks_observed_ns: 1_000_000_000,
            ..SliceMeta::default()
        };
        let mut session = Session::new(TargetInfo::default());
        session.push(builder.close(meta));
        session.summary(10)
    };
    assert_eq!(summary(10_000).window.slowed, None);
    assert_eq!(summary(1_900_000).window.slowed, Some(1.0));
}
