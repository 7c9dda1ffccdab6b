//! Servers as Debian ships them, run on loopback from their unpacked packages.
//!
//! In: a package's name. Out: its program, a process of it that is ended well, and
//! what a summary says of that process. Nothing is installed, so nothing starts by
//! itself.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use serde::Deserialize;

use crate::go::run;
use crate::process::{PATIENCE, Watchdog, eventually, pid_of};
use crate::summary::{Frame, Ops, Window};
use crate::{Outcome, target_dir};

/// Debian's packages, each with the program that is wanted of it.
pub const PROMETHEUS: (&str, &str) = ("prometheus", "prometheus");
/// See [`PROMETHEUS`].
pub const ETCD: (&str, &str) = ("etcd-server", "etcd");
/// See [`PROMETHEUS`].
pub const ETCDCTL: (&str, &str) = ("etcd-client", "etcdctl");
/// See [`PROMETHEUS`].
pub const CADDY: (&str, &str) = ("caddy", "caddy");
/// Redis's client of the benchmarks. Its server is the same program as `redis-check-rdb`
/// of this package, and tells by the name it is called by.
pub const REDIS_BENCHMARK: (&str, &str) = ("redis-tools", "redis-benchmark");
/// See [`REDIS_BENCHMARK`].
pub const REDIS_SERVER: (&str, &str) = ("redis-tools", "redis-check-rdb");
/// What Redis's server is linked to, by package, and is not on every machine.
pub const REDIS_LIBRARIES: [&str; 2] = ["libjemalloc2", "liblzf1"];

/// Fetches all of them.
pub fn fetch_all() -> Result<()> {
    for package in [PROMETHEUS, ETCD, ETCDCTL, CADDY, REDIS_SERVER] {
        program(package)?;
    }
    REDIS_LIBRARIES.iter().try_for_each(|package| libraries(package).map(drop))
}

/// The program of a package, which is downloaded first if it is not there yet.
pub fn program((package, program): (&str, &str)) -> Result<PathBuf> {
    unpacked(package, &format!("usr/bin/{program}"))
}

/// The folder of a package's libraries, which is downloaded first if it is not there yet.
pub fn libraries(package: &str) -> Result<PathBuf> {
    let triplet = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    unpacked(package, &triplet)
}

fn unpacked(package: &str, path: &str) -> Result<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let home = target_dir().join("debs").join(package);
    let wanted = home.join(path);
    if !wanted.exists() {
        fetch(package, &home).with_context(|| {
            format!("fetching Debian's {package}; where apt finds it, apt-get update may help")
        })?;
        ensure!(wanted.exists(), "Debian's {package} has no /{path}");
    }
    Ok(wanted)
}

fn fetch(package: &str, home: &Path) -> Result<()> {
    println!("fetching Debian's {package} into {}", home.display());
    let partial = home.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    run(Command::new("apt-get").args(["download", "--quiet", package]).current_dir(&partial))?;
    let archive = fs::read_dir(&partial)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|ext| ext == "deb"))
        .context("apt-get left no package behind")?;
    run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&partial))?;
    fs::remove_file(&archive)?;
    Ok(fs::rename(&partial, home)?)
}

/// TCP ports on loopback that nobody listens on.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All are bound before the first is freed, so that they differ.
    let mut listeners = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

/// The body that a server on loopback answers a GET with, if its status is 200.
pub fn get(port: u16, path: &str, headers: &[(&str, &str)]) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // Of version 1.0, so that the answer ends with the connection and is not chunked.
    let more: String =
        headers.iter().flat_map(|(name, value)| [*name, ": ", *value, "\r\n"]).collect();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n{more}\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    let status = head.split(' ').nth(1);
    ensure!(status == Some("200"), "{path} was answered with {head:?}");
    Ok(body.to_owned())
}

/// A server that runs, and ends with its test.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: PathBuf,
    _watchdog: Watchdog,
}

impl Server {
    /// Starts it, with its log in this folder, and waits until it answers at a
    /// path of a port with what is expected there.
    pub fn start(mut command: Command, folder: &Path, answers: (u16, &str, &str)) -> Result<Self> {
        let log = folder.join("log");
        let file = File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let mut server = Self { _watchdog: Watchdog::over(&child), child, log };
        let (port, path, expected) = answers;
        let name = format!("{command:?} answers on port {port}");
        eventually(&name, Duration::from_secs(60), || {
            server.must_run()?;
            Ok(get(port, path, &[]).is_ok_and(|body| body.contains(expected)))
        })?;
        Ok(server)
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end; an error if it had ended before, says that it crashed, or
    /// ends in another way than asked.
    pub fn stop(mut self) -> Result<()> {
        self.must_run()?;
        kill(pid_of(&self.child), Signal::SIGTERM)?;
        let status = self.child.wait()?;
        let asked = status.success() || status.signal() == Some(Signal::SIGTERM as i32);
        ensure!(asked, "the server ended with {status}:\n{}", self.said());
        for crash in ["panic:", "fatal error:", "SIGSEGV", "SIGTRAP", "SIGILL"] {
            ensure!(!self.said().contains(crash), "the server crashed:\n{}", self.said());
        }
        Ok(())
    }

    fn must_run(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server ended by itself with {status}:\n{}", self.said());
        }
        Ok(())
    }

    fn said(&self) -> String {
        fs::read(&self.log).map_or_else(
            |error| format!("(its log: {error})"),
            |log| String::from_utf8_lossy(&log).into_owned(),
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails where it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The part of a summary that says which keys were used and from where.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Profile {
    pub window: Window,
    pub maps: Vec<Map>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Map {
    pub kind: String,
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    pub ops: Ops,
    pub keys: Vec<Key>,
    #[serde(default)]
    pub callers: Vec<Caller>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Key {
    pub key: String,
    pub ops: Ops,
    pub margin: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Caller {
    pub frames: Vec<Frame>,
}

impl Profile {
    /// Of a run that ended well, saw something and lost nothing.
    pub fn of(outcome: Outcome) -> Result<Self> {
        let outcome = outcome.expect_code(0)?;
        let profile: Self = serde_json::from_str(&outcome.stdout).context("not a summary")?;
        let Window { events, lost, .. } = &profile.window;
        ensure!(*events > 0, "nothing was seen");
        ensure!(lost.is_empty(), "events were lost: {lost:?}");
        Ok(profile)
    }

    /// What was done to a text key in all maps of a type, which short-lived maps
    /// make many of.
    pub fn ops(&self, type_name: &str, key: &str) -> Result<Ops> {
        let shown = format!("{key:?}");
        let mut sum = Ops::default();
        for key in self.of_type(type_name).flat_map(|map| &map.keys) {
            if key.key == shown {
                ensure!(key.margin == 0, "{shown} in {type_name} is not exact: {key:?}");
                sum = total(sum, key.ops);
            }
        }
        Ok(sum)
    }

    /// What was done to all maps of a type.
    pub fn all_ops(&self, type_name: &str) -> Ops {
        self.of_type(type_name).map(|map| map.ops).fold(Ops::default(), total)
    }

    /// An error unless a type's maps are known to be used from there, and every
    /// known call leads through a function that begins like that.
    pub fn used_from(&self, type_name: &str, function: &str) -> Result<()> {
        let callers: Vec<_> = self.of_type(type_name).flat_map(|map| &map.callers).collect();
        ensure!(!callers.is_empty(), "no call site of {type_name} is known");
        for caller in callers {
            let through = |frame: &Frame| frame.function.starts_with(function);
            ensure!(
                caller.frames.iter().any(through),
                "{type_name} is used from {:?} and not from {function}",
                caller.frames
            );
        }
        Ok(())
    }

    fn of_type<'a>(&'a self, type_name: &'a str) -> impl Iterator<Item = &'a Map> {
        self.maps.iter().filter(move |map| map.type_name.as_deref() == Some(type_name))
    }
}

fn total(a: Ops, b: Ops) -> Ops {
    Ops {
        lookup: a.lookup + b.lookup,
        insert: a.insert + b.insert,
        delete: a.delete + b.delete,
        iterate: a.iterate + b.iterate,
        clear: a.clear + b.clear,
        grow: a.grow + b.grow,
        miss: a.miss + b.miss,
        promote: a.promote + b.promote,
    }
}
