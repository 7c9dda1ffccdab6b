//! One load at a time, a given number of rounds, for callgrind: the difference between two
//! numbers of rounds is what the rounds cost, whatever starting costs.
//!
//! `instructions` names the loads, `instructions LOAD ROUNDS` runs one.

use mapprof::bench::{Histograms, Input, Keys, Machine, hand_over, operation, pieces, text_key};

/// Not sampled, as nearly all callers.
const NO_CALLER: u64 = probe_ebpf::CALLER_NOT_SAMPLED;

/// Hand-overs that are made; each is two records.
const HAND_OVERS: u64 = 60_000;

/// Name of a load, and what runs it so many times.
type Load = (&'static str, fn(usize));

const LOADS: [Load; 9] = [
    ("decode/one-key", |rounds| decode(&[operation(0, b"a key of user 7", NO_CALLER)], rounds)),
    ("decode/1000-keys", |rounds| {
        decode(&records(1000, |n| operation(0, &text_key(n, 16), NO_CALLER)), rounds);
    }),
    ("decode/1000-maps", |rounds| {
        decode(&records(1000, |n| operation(n, &text_key(n % 50, 16), NO_CALLER)), rounds);
    }),
    ("decode/64-byte-keys", |rounds| {
        decode(&records(1000, |n| operation(0, &text_key(n, 64), NO_CALLER)), rounds);
    }),
    ("decode/structs", |rounds| {
        decode(&records(1000, |n| pieces(0, n, &text_key(n, 16))), rounds);
    }),
    ("decode/hand-over", |rounds| {
        // As many in each run, since time must go on and making them counts, too.
        let records = records(HAND_OVERS, |n| hand_over(n, 7 + n % 64)).concat();
        assert!(rounds <= records.len(), "time would begin anew");
        decode(&records, rounds);
    }),
    ("rings/8-cpus", |rounds| {
        let records = records(1000, |n| operation(0, &text_key(n, 16), NO_CALLER));
        let mut machine = Machine::new(8, 256 << 10);
        for _ in 0..rounds / 8000 {
            machine.fill(&records, 1000);
            assert_eq!(machine.drain(), 8000);
        }
        machine.input().close();
    }),
    ("space-saving/evict", |rounds| {
        let mut keys = Keys::new(1000);
        let texts: Vec<Vec<u8>> = (0..100_000).map(|n| text_key(n * 7919 % 100_000, 16)).collect();
        texts.iter().cycle().take(rounds).for_each(|key| keys.observe(key));
    }),
    ("histogram/merge", |rounds| {
        let mut histograms = Histograms::new(10_000);
        (0..rounds / 100).for_each(|_| histograms.merge());
    }),
];

fn records<T>(count: u64, of: impl Fn(u64) -> T) -> Vec<T> {
    (0..count).map(of).collect()
}

fn decode(records: &[Vec<u8>], rounds: usize) {
    let mut input = Input::default();
    records.iter().cycle().take(rounds).for_each(|record| input.record(record));
    assert!(!input.close().maps.is_empty() || rounds == 0 || records[0].len() > 400);
}

fn main() {
    // `cargo bench` passes this to every benchmark.
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    match (args.next(), args.next().map(|rounds| rounds.parse())) {
        (Some(name), Some(Ok(rounds))) => {
            let load = LOADS.iter().find(|load| load.0 == name);
            load.unwrap_or_else(|| panic!("there is no load {name}")).1(rounds);
        }
        _ => LOADS.iter().for_each(|(name, _)| println!("{name}")),
    }
}
