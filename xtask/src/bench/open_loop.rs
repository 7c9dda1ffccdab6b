//! Those who use the test programs' server.
//!
//! In: its port. Out: how many requests a second it can answer, or how long each of a
//! steady stream of requests took. Requests of the stream are sent when they are due and
//! not when the one before was answered, and a request's time begins when it was due: a
//! server that stands still makes all wait that come meanwhile, not only one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How a right answer of `server` ends: a thousand operations found something.
const ANSWER: &[u8] = b"\r\n\r\n1000\n";
/// More than any answer has.
const MOST: usize = 4096;
/// Connections, each with a thread of its own: more than are in use unless the server
/// stands still.
const CONNECTIONS: usize = 32;
/// Connections that keep the server as busy as it can be.
const SATURATING: usize = 8;

/// Requests a second that the server answers when it always has some.
pub(super) fn capacity(port: u16, span: Duration) -> Result<f64> {
    let answered = AtomicU64::new(0);
    let begin = Instant::now();
    on_threads(SATURATING, || {
        let mut connection = Connection::open(port)?;
        while begin.elapsed() < span {
            connection.request(answered.fetch_add(1, Ordering::Relaxed))?;
        }
        Ok(())
    })?;
    Ok(answered.into_inner() as f64 / begin.elapsed().as_secs_f64())
}

/// How long each request took of those that come at this rate (per second), ns, shortest
/// first.
pub(super) fn stream(port: u16, rate: f64, span: Duration) -> Result<Vec<u64>> {
    let next = AtomicU64::new(0);
    let begin = Instant::now();
    let parts = on_threads(CONNECTIONS, || {
        let mut connection = Connection::open(port)?;
        let mut took = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let due = Duration::from_secs_f64(number as f64 / rate);
            if due >= span {
                return Ok(took);
            }
            thread::sleep(due.saturating_sub(begin.elapsed()));
            connection.request(number)?;
            took.push(begin.elapsed().saturating_sub(due).as_nanos() as u64);
        }
    })?;
    let mut took = parts.concat();
    took.sort_unstable();
    Ok(took)
}

/// The value that this share of them is not above (nearest rank). `sorted` has some.
pub(super) fn percentile(sorted: &[u64], percent: f64) -> Option<u64> {
    let rank = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

/// What each of so many threads returns.
fn on_threads<T: Send>(count: usize, work: impl Fn() -> Result<T> + Sync) -> Result<Vec<T>> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(&work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<T>>| match thread.join() {
            Ok(result) => result,
            Err(_) => bail!("a thread of the client panicked"),
        };
        threads.into_iter().map(join).collect()
    })
}

struct Connection(TcpStream);

impl Connection {
    fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).context("connecting")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self(stream))
    }

    /// Sends one and waits for its answer; an error unless it is the right one.
    fn request(&mut self, number: u64) -> Result<()> {
        let text = format!("GET /{number} HTTP/1.1\r\nHost: bench\r\n\r\n");
        self.0.write_all(text.as_bytes()).context("asking")?;
        let (mut answer, mut filled) = ([0; MOST], 0);
        while !answer[..filled].ends_with(ANSWER) {
            let read = self.0.read(&mut answer[filled..]).context("waiting for an answer")?;
            filled += read;
            let said = || String::from_utf8_lossy(&answer[..filled]).into_owned();
            ensure!(read > 0, "the server answered wrong: {:?}", said());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let sorted: Vec<u64> = (1..=1000).collect();
        assert_eq!(percentile(&sorted, 50.0), Some(500));
        assert_eq!(percentile(&sorted, 99.9), Some(999));
        assert_eq!(percentile(&sorted, 100.0), Some(1000));
        assert_eq!(percentile(&[7], 0.0), Some(7));
        assert_eq!(percentile(&[], 50.0), None);
    }
}
