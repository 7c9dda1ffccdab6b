//! `mapprof demo`: mapprof starts itself again as a contended cache and profiles
//! that.
//!
//! In: nothing. Out: the live view on a terminal, a text summary after ten seconds
//! elsewhere. The cache's functions are an ordinary catalog entry; its lock is
//! std's, whose waits show by its own slow path.

use std::{
    collections::HashMap,
    io::{self, Read},
    process::{Child, Command, ExitCode, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    args::{ChoiceArgs, DemoArgs, ProfileArgs, StatArgs, TargetArgs, TopArgs},
    out, profile, top,
};
use crate::report::Format;

/// How long the summary without a terminal takes.
const SUMMARY_AFTER: Duration = Duration::from_secs(10);

pub(super) fn run(args: DemoArgs) -> Result<ExitCode> {
    let workload = Workload::start()?;
    let target = TargetArgs { pid: Some(workload.0.id() as i32), ..TargetArgs::default() };
    let (choice, mut how) = (ChoiceArgs::default(), args.how);
    if out::prints_to_terminal() {
        let profile = ProfileArgs { target, choice, how };
        return top::run(&TopArgs { profile, look: args.look });
    }
    let duration = *how.duration.get_or_insert(SUMMARY_AFTER);
    out::note(&format!("profiling the built-in workload for {duration:?}"));
    let profile = ProfileArgs { target, choice, how };
    profile::stat(&StatArgs { profile, format: Format::Text })
}

/// The workload's process; ended with its owner, or when its standard input is.
struct Workload(Child);

impl Workload {
    fn start() -> Result<Self> {
        let child = Command::new("/proc/self/exe")
            .arg("__demo-workload")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the demo's workload")?;
        let mut workload = Self(child);
        // Its first byte says that it runs: before its exec it is no target yet.
        let mut ready = [0];
        if let Some(stdout) = &mut workload.0.stdout {
            stdout.read_exact(&mut ready).context("the demo's workload ended at once")?;
        }
        Ok(workload)
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Users in the cache's load; the n-th is asked for 1/n as often as the first.
const USERS: usize = 1000;
/// Threads that use the cache.
const THREADS: u64 = 4;
/// Requests between two pauses of a thread.
const BATCH: u32 = 50;
/// The pause.
const PAUSE: Duration = Duration::from_millis(1);
/// One request in so many refreshes its entry under the lock, which takes long.
const REFRESH_EVERY: u64 = 500;
/// How long a refresh holds the lock.
const REFRESH: Duration = Duration::from_micros(500);

/// The workload itself: threads, one cache, one lock.
pub(super) fn workload() -> Result<ExitCode> {
    let cache = Mutex::new(Cache::default());
    let shares = zipf(USERS);
    out::print(b"\n")?;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (cache, shares) = (&cache, &shares);
            scope.spawn(move || serve(cache, shares, thread + 1));
        }
        // The end of standard input is the end of the owner.
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(0);
    })
}

type Cache = HashMap<Box<[u8]>, u64>;

#[inline(never)]
fn serve(cache: &Mutex<Cache>, shares: &[f64], seed: u64) {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut requests = 0_u64;
    loop {
        for _ in 0..BATCH {
            requests += 1;
            let key = format!("user:{}", pick(shares, &mut random));
            request(cache, key.as_bytes(), requests.is_multiple_of(REFRESH_EVERY));
        }
        std::thread::sleep(PAUSE);
    }
}

/// One request: look up, fill on a miss, now and then refresh or drop. With a name of its
/// own in every build.
#[inline(never)]
fn request(cache: &Mutex<Cache>, key: &[u8], refresh: bool) {
    let mut cache = cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let cache = &raw mut *cache;
    let (pointer, len) = (key.as_ptr(), key.len());
    let hits = code::mapprof_demo_lookup(cache, pointer, len);
    if hits == 0 || refresh {
        code::mapprof_demo_insert(cache, pointer, len);
    }
    if refresh {
        let began = Instant::now();
        while began.elapsed() < REFRESH {
            std::hint::spin_loop();
        }
    }
    if hits > 1000 {
        code::mapprof_demo_delete(cache, pointer, len);
    }
}

/// The functions that the catalog's demo entries name.
#[expect(unsafe_code, reason = "C functions, so that their operands lie where the catalog says")]
mod code {
    use super::Cache;

    /// The entry's uses so far, counting this one; 0 where there is none.
    #[unsafe(no_mangle)]
    #[inline(never)]
    pub(super) extern "C" fn mapprof_demo_lookup(
        cache: *mut Cache,
        key: *const u8,
        len: usize,
    ) -> u64 {
        // SAFETY: `request` passes its own key and the cache it has locked.
        let (cache, key) = unsafe { (&mut *cache, std::slice::from_raw_parts(key, len)) };
        cache.get_mut(key).map_or(0, |uses| {
            *uses += 1;
            *uses
        })
    }

    /// Makes the entry, or begins its count anew.
    #[unsafe(no_mangle)]
    #[inline(never)]
    pub(super) extern "C" fn mapprof_demo_insert(cache: *mut Cache, key: *const u8, len: usize) {
        // SAFETY: as above.
        let (cache, key) = unsafe { (&mut *cache, std::slice::from_raw_parts(key, len)) };
        cache.insert(key.into(), 1);
    }

    /// Drops the entry.
    #[unsafe(no_mangle)]
    #[inline(never)]
    pub(super) extern "C" fn mapprof_demo_delete(cache: *mut Cache, key: *const u8, len: usize) {
        // SAFETY: as above.
        let (cache, key) = unsafe { (&mut *cache, std::slice::from_raw_parts(key, len)) };
        cache.remove(key);
    }
}

/// Cumulated shares of a Zipf distribution with exponent 1.
fn zipf(ranks: usize) -> Vec<f64> {
    let mut sum = 0.0;
    let mut shares: Vec<f64> = (1..=ranks)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    for share in &mut shares {
        *share /= sum;
    }
    shares
}

/// A rank, by its share. xorshift64: Marsaglia, "Xorshift RNGs", 2003.
fn pick(shares: &[f64], random: &mut u64) -> usize {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    let at = (*random >> 11) as f64 / (1_u64 << 53) as f64;
    shares.partition_point(|share| *share < at).min(shares.len() - 1) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rank_is_asked_for_most() {
        let shares = zipf(100);
        let mut random = 88_172_645_463_325_252;
        let mut counts = [0_u32; 100];
        for _ in 0..100_000 {
            counts[pick(&shares, &mut random) - 1] += 1;
        }
        // 1/H(100) of all is 19.3%, and the second rank has half of it.
        assert!((18_000..21_000).contains(&counts[0]), "{}", counts[0]);
        assert!((8_500..11_000).contains(&counts[1]), "{}", counts[1]);
    }
}
