//! Redis as Debian ships it, under redis-benchmark: a native program, stripped, with a
//! hash table of its own.
//!
//! Debian's redis-server has no symbol table. It exports its functions for the sake of
//! its modules, though, so that they can be named: `lookupKey(redisDb *, robj *)`, of
//! which every GET is one call, and whose key is the string that `robj.ptr` at offset 8
//! points to (Redis 7.0, server.h).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mapprof_tests::process::{Watchdog, eventually};
use mapprof_tests::servers::{self, free_ports};

use super::Args;
use super::beside::{Beside, How};
use super::cpu::Meter;
use super::figures::{Claim, Row};
use super::interleave::interleave;

pub(crate) const PROBE: [&str; 3] =
    ["--no-builtin", "--probe", "lookup:lookupKey key=*(arg2+8):str map=arg1"];
const BPFTRACE: [(&str, &str); 1] = [("lookupKey", "@[str(*(uint64*)(arg1+8))] = count();")];
const REQUESTS: u64 = 3_000_000;
const KEYS: &str = "1000";

pub(super) fn measure(args: &Args) -> Result<Row> {
    let requests = if args.quick { REQUESTS / 5 } else { REQUESTS };
    let how = How { options: &PROBE, bpftrace: &BPFTRACE };
    let mut wrong = 0;
    let measured = interleave(&Beside::MAPS, args.rounds(), "ns of CPU per GET", |beside| {
        let redis = Redis::start()?;
        let watching = beside.attach(redis.child.id(), how)?;
        let meter = Meter::start(redis.child.id())?;
        redis.bench(requests)?;
        let took = meter.seconds()? * 1e9 / requests as f64;
        let outcome = watching.stop()?;
        if let (Beside::Exact, Some(outcome)) = (beside, outcome) {
            let seen = outcome.summary()?.maps.iter().map(|map| map.ops.lookup).sum::<u64>();
            wrong += seen.abs_diff(requests);
        }
        Ok(took)
    })?;
    // `lookupKey` begins with an instruction that is cheap to probe, so there is nothing to
    // be won over its entry.
    let mut claims = measured.claims(None);
    claims.push(Claim::at_most("GETs not counted, of all rounds", wrong as f64, 0.0));
    Ok(Row { samples: measured.into_samples(), claims })
}

/// Fetches what this needs.
pub(crate) fn fetch() -> Result<()> {
    servers::program(servers::REDIS_SERVER)?;
    servers::program(servers::REDIS_BENCHMARK)?;
    libraries().map(drop)
}

/// A search path of what the server is linked to.
fn libraries() -> Result<String> {
    let folders = servers::REDIS_LIBRARIES.map(servers::libraries);
    let folders: Vec<PathBuf> = folders.into_iter().collect::<Result<_>>()?;
    Ok(folders.iter().map(|it| it.display().to_string()).collect::<Vec<_>>().join(":"))
}

/// A server that ends with this.
pub(crate) struct Redis {
    pub(crate) child: Child,
    pub(crate) port: u16,
    _watchdog: Watchdog,
}

impl Redis {
    pub(crate) fn start() -> Result<Self> {
        let [port] = free_ports::<1>()?;
        let child = Command::new(servers::program(servers::REDIS_SERVER)?)
            .arg0("redis-server")
            .env("LD_LIBRARY_PATH", libraries()?)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--logfile", "/dev/null"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("starting Redis")?;
        let redis = Self { _watchdog: Watchdog::over(&child), child, port };
        eventually("Redis answers", Duration::from_secs(20), || Ok(ping(port).is_ok()))?;
        Ok(redis)
    }

    /// Keeps it busy with GETs.
    pub(crate) fn bench(&self, requests: u64) -> Result<()> {
        let output = Command::new(servers::program(servers::REDIS_BENCHMARK)?)
            .env("LD_LIBRARY_PATH", libraries()?)
            .args(["-p", &self.port.to_string(), "-t", "get", "-n", &requests.to_string()])
            .args(["-r", KEYS, "-c", "16", "-P", "32", "-q"])
            .stdin(Stdio::null())
            .output()
            .context("starting redis-benchmark")?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "redis-benchmark ended with {}: {said}", output.status);
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Fails where it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ping(port: u16) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    ensure!(&answer == b"+PONG", "Redis answers {answer:?}");
    Ok(())
}
