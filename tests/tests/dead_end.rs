//! Programs in which mapprof finds nothing by itself: what it says of them, and whether that
//! works.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mapprof_tests::process::{Watchdog, eventually};
use mapprof_tests::servers::{self, free_ports};
use mapprof_tests::{Mapprof, Outcome, Program, can_profile, programs};

/// The command in a message that has all of these in it.
fn command(message: &str, parts: &[&str]) -> Result<String> {
    let mut lines = message.lines().map(str::trim);
    let found = lines.find(|line| parts.iter().all(|part| line.contains(part)));
    Ok(found.with_context(|| format!("no command with {parts:?} in:\n{message}"))?.to_owned())
}

/// As if it had been pasted into a shell.
fn paste(command: &str) -> Mapprof {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec {command}")]);
    Mapprof::through(shell)
}

fn dead_end(pid: u32) -> Result<Outcome> {
    let pid = pid.to_string();
    Mapprof::new(["stat", "--format", "json", "-d", "700ms", "--pid", &pid]).run()?.expect_code(1)
}

#[test]
fn what_can_be_had_of_a_c_program_is_a_command_to_paste() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold_c(&programs::waits()?, &[])?;
    let outcome = dead_end(program.pid())?;
    let said = outcome.expect_message(&["glibc", "nothing to probe", "inlined"])?.stderr;
    let locks = command(&said, &["--probe", "pthread_mutex_lock", "pthread_rwlock_rdlock"])?;
    paste(&locks).run()?.expect_code(0)?.expect_message(&["attached"])?;

    let find = command(&said, &["probes --pid", "--find get"])?;
    paste(&find).run()?.expect_stdout("getenv")?;
    paste(&find.replace("--find get", "--find SPIN_take")).run()?.expect_stdout("spin_take")?;

    // A slip is shown where it is.
    let slip = locks.replace("lock:pthread_mutex_lock", "lock:pthread_mutex_lokc");
    let said = paste(&slip).run()?.expect_code(2)?.stderr;
    ensure!(said.contains("pthread_mutex_lock"), "nothing is near:\n{said}");
    ensure!(said.contains("\n       ^"), "no caret under the function:\n{said}");
    let elsewhere = locks.replace("lock:pthread_mutex_lock", "lock:pthread_mutex_lock@libz.so");
    paste(&elsewhere).run()?.expect_code(2)?.expect_message(&["libc.so.6"])?;
    program.finish_well()
}

#[test]
fn a_stripped_rust_program_runs_all_the_same() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let outcome = Mapprof::new(["stat", "--format", "json", "--"])
        .arg(programs::stripped_rwlocks()?)
        .arg("7")
        .run()?
        .expect_code(7)?;
    ensure!(outcome.stdout.contains("\"reads\":60"), "it did not run: {}", outcome.stdout);
    outcome.expect_message(&["Rust", "stripped", "strip = false", "--probe"])?;
    Ok(())
}

/// Debian's Redis, which ends with its test.
struct Redis {
    child: Child,
    port: u16,
    _watchdog: Watchdog,
}

impl Redis {
    fn start() -> Result<Self> {
        let [port] = free_ports::<1>()?;
        let folders: Result<Vec<PathBuf>> =
            servers::REDIS_LIBRARIES.into_iter().map(servers::libraries).collect();
        let folders: Vec<_> = folders?.iter().map(|it| it.display().to_string()).collect();
        let child = Command::new(servers::program(servers::REDIS_SERVER)?)
            .arg0("redis-server")
            .env("LD_LIBRARY_PATH", folders.join(":"))
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--logfile", "/dev/null"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("starting Redis")?;
        let redis = Self { _watchdog: Watchdog::over(&child), child, port };
        eventually("Redis answers", Duration::from_secs(20), || Ok(redis.ask("PING").is_ok()))?;
        Ok(redis)
    }

    /// Redis' answer to a command.
    fn ask(&self, command: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut answer = [0; 64];
        let len = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..len]).into_owned())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Fails where it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_keys_of_redis_are_a_command_to_paste() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let redis = Redis::start()?;
    let said = dead_end(redis.child.id())?.stderr;
    let keys = command(&said, &["--probe", "lookupKey"])?.replace("-d 700ms", "-d 100s");
    let running = paste(&keys).attach()?;
    for _ in 0..100 {
        redis.ask("GET user:42")?;
    }
    for _ in 0..7 {
        redis.ask("GET user:7")?;
    }
    let summary = running.interrupt()?.summary()?;
    let keys: Vec<_> = summary.maps.iter().flat_map(|map| &map.keys).collect();
    let lookups = |key: &str| keys.iter().find(|it| it.key == key).map(|it| it.ops.lookup);
    assert_eq!(lookups("\"user:42\""), Some(100), "{keys:?}");
    assert_eq!(lookups("\"user:7\""), Some(7));
    Ok(())
}
