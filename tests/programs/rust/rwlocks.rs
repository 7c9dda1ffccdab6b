//! A RwLock that readers and writers wait for, and that knows how many did. Prints it as JSON,
//! and ends with the status that it is given.
//!
//! rwlocks [STATUS]

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

const READERS: usize = 3;
const WRITERS: usize = 2;
const ROUNDS: u32 = 20;

static LOCK: RwLock<u64> = RwLock::new(0);
static ROUND: AtomicU32 = AtomicU32::new(0);
static WANTS: [AtomicU32; READERS + WRITERS] = [const { AtomicU32::new(0) }; READERS + WRITERS];
static HAS: [AtomicU32; READERS + WRITERS] = [const { AtomicU32::new(0) }; READERS + WRITERS];

#[inline(never)]
fn take_to_read() -> u64 {
    *LOCK.read().unwrap()
}

#[inline(never)]
fn take_to_write() {
    *LOCK.write().unwrap() += 1;
}

fn breathe() {
    thread::sleep(Duration::from_micros(100));
}

/// The id of this thread, and whether one sleeps.
fn own_id() -> u32 {
    let link = fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

fn sleeps(thread: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().trim_start().starts_with('S')
}

static IDS: [AtomicU32; READERS + WRITERS] = [const { AtomicU32::new(0) }; READERS + WRITERS];

fn work(number: usize) {
    IDS[number].store(own_id(), Ordering::SeqCst);
    for round in 1..=ROUNDS {
        while ROUND.load(Ordering::SeqCst) < round {
            breathe();
        }
        WANTS[number].store(round, Ordering::SeqCst);
        if number < READERS {
            std::hint::black_box(take_to_read());
        } else {
            take_to_write();
        }
        HAS[number].store(round, Ordering::SeqCst);
    }
}

/// Everybody wants the lock that this thread has; nobody gets it before it sleeps for it.
fn contend(round: u32) {
    let held = LOCK.write().unwrap();
    ROUND.store(round, Ordering::SeqCst);
    for number in 0..READERS + WRITERS {
        while WANTS[number].load(Ordering::SeqCst) < round
            || !sleeps(IDS[number].load(Ordering::SeqCst))
        {
            breathe();
        }
    }
    drop(held);
    for has in &HAS {
        while has.load(Ordering::SeqCst) < round {
            breathe();
        }
    }
}

/// A wait that is for no lock.
fn wait_for_a_condition() -> u128 {
    let (lock, condition) = (Mutex::new(()), Condvar::new());
    let began = Instant::now();
    let _ = condition.wait_timeout(lock.lock().unwrap(), Duration::from_millis(100)).unwrap();
    began.elapsed().as_nanos()
}

fn main() {
    let workers: Vec<_> =
        (0..READERS + WRITERS).map(|number| thread::spawn(move || work(number))).collect();
    (1..=ROUNDS).for_each(contend);
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    let condition_ns = wait_for_a_condition();
    let (reads, writes) = (READERS as u32 * ROUNDS, WRITERS as u32 * ROUNDS);
    println!("{{\"reads\":{reads},\"writes\":{writes},\"condition_ns\":{condition_ns}}}");
    let status = std::env::args().nth(1).map_or(0, |status| status.parse().unwrap());
    std::process::exit(status);
}
