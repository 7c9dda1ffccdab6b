//! A process, or a file that could become one.
//!
//! In: a pid, a path, or a process held before its exec. Out: a [`Target`]: the
//! executable and its libraries, each opened as the target sees it, with the bias
//! between the file's addresses and the process'.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::linux::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};

use super::error::{ImageError, TargetError};
use super::image::Image;
use super::proc_fs::{
    Mapping, Stat, executable_ranges, gone, image_mark, mappings, refused, thread_group,
};
use super::{symbols, versions};
use crate::meter::{self, Mark};
use crate::outside::{Outside, Shown as _};

/// How often, and in what intervals, a process that was just started is asked for its
/// image.
const MOMENTS: usize = 200;
const MOMENT: Duration = Duration::from_millis(1);

/// Files of one program that are looked into.
const MODULES_LIMIT: usize = 4096;

/// Device (major, minor) and inode of a file.
pub type Identity = ((u64, u64), u64);

/// A runtime found in the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// `go`.
    pub name: &'static str,
    /// `go1.24.11`.
    pub version: Outside,
}

/// A file whose code the target runs.
#[derive(Clone, Debug)]
pub struct Module {
    /// File name, `libc.so.6`.
    pub name: Outside,
    /// Path as the target names it.
    pub path: PathBuf,
    /// A path of ours that leads to this very file, to attach probes by: whatever the
    /// process executes or loads meanwhile, a probe must not get into another file,
    /// where it would stand in the middle of an instruction.
    pub attach_path: PathBuf,
    /// Keeps that path alive.
    _file: Arc<fs::File>,
    /// The file.
    pub image: Arc<Image>,
    /// What to add to the file's addresses to get the process'; `None` while the
    /// process has not mapped it.
    pub bias: Option<u64>,
    device: (u64, u64),
    inode: u64,
}

impl Module {
    /// `found` leads to the file that the target names `path`.
    fn open(path: &Path, found: &Path) -> Result<Self, TargetError> {
        let file = fs::File::open(found)
            .map_err(|source| ImageError::Io { path: found.to_owned(), source })?;
        let image = Image::read(&file, found)?;
        let attach_path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let (device, inode) = identity(&attach_path).unwrap_or_default();
        // A fixed-address executable lies where its headers say, process or not.
        let bias = (!image.is_position_independent()).then_some(0);
        Ok(Self {
            name: file_name(path).into(),
            path: path.to_owned(),
            attach_path,
            _file: Arc::new(file),
            image: Arc::new(image),
            bias,
            device,
            inode,
        })
    }

    /// Which file it is.
    pub fn identity(&self) -> Identity {
        (self.device, self.inode)
    }

    /// Some file systems show another device number in mappings than for the file;
    /// there the path must do, for a module that is not yet mapped.
    fn is(&self, mapping: &Mapping) -> bool {
        self.inode == mapping.inode
            && (self.device == mapping.device
                || (self.bias.is_none()
                    && fs::canonicalize(&self.path).is_ok_and(|path| path == mapping.path)))
    }

    /// The file's address for one of the process', if the module is loaded there.
    pub fn file_address(&self, address: u64) -> Option<u64> {
        let address = address.wrapping_sub(self.bias?);
        self.image.holds(address).then_some(address)
    }

    /// The process' address for one of the file's.
    pub fn runtime_address(&self, address: u64) -> Option<u64> {
        Some(address.wrapping_add(self.bias?))
    }
}

/// What is profiled. The executable is module 0; modules are only ever added.
#[derive(Clone, Debug)]
pub struct Target {
    pid: Option<i32>,
    start: Option<u64>,
    /// The executable's device and inode.
    exe: Option<Identity>,
    /// The image that the process had when this was read, to notice a later exec.
    image: Option<Vec<u64>>,
    /// The process has executed it; before, its memory is another program's.
    executed: bool,
    /// File name of the executable, for the reader.
    name: Outside,
    modules: Vec<Module>,
    notes: Vec<String>,
}

impl Target {
    /// A running process; a thread's number means its process.
    pub fn of_process(pid: i32) -> Result<Self, TargetError> {
        let pid = thread_group(pid).ok_or_else(|| gone(pid))?;
        // Before all else: an exec from here on shows as one.
        let image = image_mark(pid);
        let link = PathBuf::from(format!("/proc/{pid}/exe"));
        let exe = fs::read_link(&link).map_err(|source| refused(pid, link.clone(), source))?;
        let start = Stat::read(pid).map(|stat| stat.start);
        let module = match Module::open(&without_deleted(&exe), &link) {
            // It may have ended meanwhile.
            Err(TargetError::Image(ImageError::Io { source, .. })) => {
                return Err(refused(pid, link, source));
            }
            other => other?,
        };
        let mut target = Self {
            pid: Some(pid),
            start,
            exe: identity(&module.attach_path),
            image,
            executed: true,
            name: module.name.clone(),
            modules: vec![module],
            notes: Vec::new(),
        };
        target.take_mappings(pid, &exe)?;
        Ok(target)
    }

    /// A file that is not running.
    pub fn of_file(path: &Path) -> Result<Self, TargetError> {
        let module = Module::open(path, path)?;
        let mut target = Self {
            pid: None,
            start: None,
            exe: identity(&module.attach_path),
            image: None,
            executed: false,
            name: module.name.clone(),
            modules: vec![module],
            notes: Vec::new(),
        };
        target.add_needed_libraries(path);
        Ok(target)
    }

    /// A process that will execute `exe` once it is released.
    pub fn of_launch(pid: i32, exe: &Path) -> Result<Self, TargetError> {
        let mut target = Self::of_file(exe)?;
        target.pid = Some(pid);
        target.start = Stat::read(pid).map(|stat| stat.start);
        // The process is there a moment before the image that holds it.
        let tries = std::iter::repeat_with(|| {
            image_mark(pid).or_else(|| {
                std::thread::sleep(MOMENT);
                None
            })
        });
        target.image = tries.take(MOMENTS).flatten().next();
        Ok(target)
    }

    /// Reads the mappings again: finds the biases after a held process' exec, and
    /// modules loaded since. Returns whether anything changed.
    pub fn refresh(&mut self) -> Result<bool, TargetError> {
        let Some(pid) = self.pid else {
            return Ok(false);
        };
        if !self.is_alive() {
            return Err(gone(pid));
        }
        let link = PathBuf::from(format!("/proc/{pid}/exe"));
        let exe = fs::read_link(&link).map_err(|source| refused(pid, link.clone(), source))?;
        if identity(&link) != self.exe || self.has_executed_again() {
            // Still held before its exec, or it has executed another program since.
            return Ok(false);
        }
        if !self.executed {
            let Some(image) = image_mark(pid) else {
                // The exec is under way.
                return Ok(false);
            };
            self.image = Some(image);
            self.executed = true;
        }
        self.take_mappings(pid, &exe)
    }

    /// Whether the process has executed a program, be it the same one, since this
    /// target was read; for a held process, another one than it was held for. Without
    /// address space randomisation the same program again is not noticed.
    pub fn has_executed_again(&self) -> bool {
        let Some(pid) = self.pid else { return false };
        let image = image_mark(pid);
        image.is_some()
            && image != self.image
            && (self.executed
                // What it is held in must not count, known or not.
                || (self.image.is_some()
                    && identity(Path::new(&format!("/proc/{pid}/exe"))) != self.exe))
    }

    /// Whether both are the same executable.
    pub fn is_same_file(&self, other: &Self) -> bool {
        self.exe.is_some() && self.exe == other.exe
    }

    /// Whether its process has yet to execute it.
    pub fn is_pending(&self) -> bool {
        self.pid.is_some() && !self.executed
    }

    /// Takes the image that the process has now for this target's, which says nothing
    /// of it but that the process lives.
    pub fn ignore_exec(&mut self) {
        self.image = self.pid.and_then(image_mark);
        self.executed = true;
    }

    /// Brings the modules up to date with /proc/PID/maps.
    fn take_mappings(&mut self, pid: i32, exe: &Path) -> Result<bool, TargetError> {
        let mut changed = false;
        let mut seen: Vec<(PathBuf, u64)> = Vec::new();
        let mappings: Vec<_> = mappings(pid)?.into_iter().filter(|it| it.executable).collect();
        let all = mappings.len() as u64;
        for (done, mapping) in mappings.into_iter().enumerate() {
            meter::tell(Mark {
                done: done as u64,
                all: Some(all),
                on: &mapping.path.to_string_lossy(),
            });
            let key = (mapping.path.clone(), mapping.inode);
            if seen.contains(&key) {
                continue;
            }
            seen.push(key);
            let known = self.modules.iter().position(|module| module.is(&mapping));
            let index = match known {
                // Some file systems show another device number in the mappings.
                None if mapping.path == exe => 0,
                None => match self.open_library(pid, &mapping) {
                    Some(module) => {
                        self.modules.push(module);
                        self.modules.len() - 1
                    }
                    None => continue,
                },
                Some(index) => index,
            };
            let module = &mut self.modules[index];
            (module.device, module.inode) = (mapping.device, mapping.inode);
            let address = module.image.address_of_offset(mapping.offset);
            let bias = address.map(|address| mapping.start.wrapping_sub(address));
            if bias.is_some() && bias != module.bias {
                module.bias = bias;
                changed = true;
            }
        }
        Ok(changed)
    }

    /// Opens the very file a mapping shows: through the target's root where that
    /// leads to the same inode, else through the mapping itself.
    fn open_library(&mut self, pid: i32, mapping: &Mapping) -> Option<Module> {
        let kept: usize = self.modules.iter().map(|module| module.image.symbols_kept()).sum();
        if kept >= symbols::MOST || self.modules.len() >= MODULES_LIMIT {
            let path = mapping.path.shown();
            self.note(format!("{path} is left out: the program's files have too many symbols"));
            return None;
        }
        let path = without_deleted(&mapping.path);
        let inside = path.strip_prefix("/").unwrap_or(&path);
        let by_root = Path::new(&format!("/proc/{pid}/root")).join(inside);
        let by_map = format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
        let by_root_identity = identity(&by_root);
        let same_file = by_root_identity == Some((mapping.device, mapping.inode));
        let same_inode = by_root_identity.is_some_and(|(_, inode)| inode == mapping.inode);
        let found: PathBuf = if same_file {
            by_root
        } else if fs::File::open(&by_map).is_ok() {
            by_map.into()
        } else if same_inode {
            by_root
        } else {
            self.note(format!(
                "{} is left out: the file there is not the one that is mapped",
                mapping.path.shown()
            ));
            return None;
        };
        let mut module = match Module::open(&path, &found) {
            Ok(module) => module,
            Err(error) => {
                self.note(format!("{} is left out: {error}", mapping.path.shown()));
                return None;
            }
        };
        (module.device, module.inode) = (mapping.device, mapping.inode);
        Some(module)
    }

    /// Asks the program's own dynamic linker which libraries it would load, without
    /// running the program.
    fn add_needed_libraries(&mut self, exe: &Path) {
        let Some(interpreter) = self.modules[0].image.interpreter() else {
            return;
        };
        // Only these two are known to take --list; others might run the program.
        let known = ["ld-linux", "ld-musl"]
            .iter()
            .any(|&name| file_name(Path::new(interpreter.raw())).starts_with(name));
        if !known || !is_of_the_system(Path::new(interpreter.raw())) {
            let note = format!(
                "its libraries are not known before it runs: it is loaded by {interpreter}"
            );
            self.note(note);
            return;
        }
        let exe = fs::canonicalize(exe).unwrap_or_else(|_| exe.to_owned());
        let output = Command::new(interpreter.raw())
            .arg("--list")
            .arg(exe)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        let output = match output {
            Ok(output) => output,
            Err(error) => {
                let note =
                    format!("its libraries are not known before it runs: {interpreter}: {error}");
                self.note(note);
                return;
            }
        };
        for path in String::from_utf8_lossy(&output.stdout).lines().filter_map(listed_library) {
            match Module::open(&path, &path) {
                Ok(module) if module.inode == self.modules[0].inode => {}
                Ok(module) => self.modules.push(module),
                Err(error) => self.note(format!("{} is left out: {error}", path.shown())),
            }
        }
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The process; `None` for a file.
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }

    /// The process, once the executable runs in it.
    pub(super) fn running(&self) -> Option<i32> {
        self.pid.filter(|_| self.executed)
    }

    /// File name of the executable.
    pub fn name(&self) -> &Outside {
        &self.name
    }

    /// Path of the executable as the target names it.
    pub fn exe(&self) -> &Path {
        &self.modules[0].path
    }

    /// The executable, then its libraries.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// What was noticed and left aside.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        let images = self.modules.iter().flat_map(|module| module.image.notes());
        self.notes.iter().chain(images).map(String::as_str)
    }

    /// The runtimes in it. A Go plugin only loads into what the same Go built.
    pub fn runtimes(&self) -> Vec<Runtime> {
        let version = self.modules.iter().find_map(|module| module.image.go_version());
        let runtime = version.map(|version| Runtime { name: "go", version: version.to_owned() });
        runtime.into_iter().collect()
    }

    /// Which of its runtimes are of versions that were never tested, each in a sentence.
    pub fn untested(&self) -> impl Iterator<Item = String> {
        self.runtimes().into_iter().filter_map(|runtime| versions::untested(&runtime.version))
    }

    /// Whether the process still runs (and its number has not been given to another).
    pub fn is_alive(&self) -> bool {
        let Some(stat) = self.pid.and_then(Stat::read) else {
            return false;
        };
        !stat.is_zombie() && self.start == Some(stat.start)
    }

    /// Where it may execute code at this moment, be there a file behind it or not.
    pub fn executable_ranges(&self) -> Vec<(u64, u64)> {
        self.running().map(executable_ranges).unwrap_or_default()
    }

    /// Whether one of its threads sleeps, as far as can be told.
    pub fn is_asleep(&self, thread: u64) -> bool {
        let Some(pid) = self.pid else { return false };
        Stat::of_thread(pid, thread).is_none_or(|stat| stat.is_asleep())
    }

    /// CPU time the process has used so far, ns. Of threads that run at this moment it is
    /// known as of the scheduler's last tick.
    pub fn cpu_ns(&self) -> Option<u64> {
        let clock = clock_getcpuclockid(Pid::from_raw(self.pid?)).and_then(clock_gettime);
        if let Ok(time) = clock {
            return Some(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64);
        }
        let ticks = self.pid.and_then(Stat::read)?.cpu_ticks;
        let per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
        Some(ticks.saturating_mul(1_000_000_000 / per_second.max(1) as u64))
    }

    /// Its threads.
    pub(super) fn threads(&self) -> Option<u64> {
        self.pid.and_then(Stat::read).map(|stat| stat.threads)
    }

    /// The module loaded at a process' address and the file's address for it.
    pub fn locate(&self, address: u64) -> Option<(usize, u64)> {
        let mut modules = self.modules.iter().enumerate();
        modules.find_map(|(index, module)| Some((index, module.file_address(address)?)))
    }
}

/// The files whose code a process runs, as its mappings name them; none where it has ended.
pub fn mapped_files(pid: i32) -> Vec<Identity> {
    let mappings = mappings(pid).unwrap_or_default().into_iter();
    let executable = mappings.filter(|mapping| mapping.executable);
    executable.map(|mapping| (mapping.device, mapping.inode)).collect()
}

/// Device (major, minor) and inode of what a path leads to.
fn identity(path: &Path) -> Option<Identity> {
    let metadata = fs::metadata(path).ok()?;
    let device = metadata.st_dev();
    Some(((u64::from(libc::major(device)), u64::from(libc::minor(device))), metadata.st_ino()))
}

/// Whether only root could have put it there: it is about to be run.
fn is_of_the_system(path: &Path) -> bool {
    const OTHERS_WRITE: u32 = 0o022;
    let Ok(path) = fs::canonicalize(path) else { return false };
    path.ancestors().all(|part| {
        fs::metadata(part).is_ok_and(|it| it.st_uid() == 0 && it.st_mode() & OTHERS_WRITE == 0)
    })
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// /proc marks files that have been unlinked.
fn without_deleted(path: &Path) -> PathBuf {
    match path.to_str().and_then(|text| text.strip_suffix(" (deleted)")) {
        Some(text) => PathBuf::from(text),
        None => path.to_owned(),
    }
}

/// The path in a line of `ld.so --list`: `\tlibc.so.6 => /lib/libc.so.6 (0x7f…)`.
fn listed_library(line: &str) -> Option<PathBuf> {
    let line = line.trim();
    let line = line.split_once(" => ").map_or(line, |(_, path)| path);
    let path = line.rsplit_once(" (0x").map_or(line, |(path, _)| path);
    path.starts_with('/').then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_dynamic_linker() {
        let path = |line| listed_library(line).map(|path| path.shown().to_string());
        assert_eq!(
            path("\tlibc.so.6 => /lib/x/libc.so.6 (0x00007f)").as_deref(),
            Some("/lib/x/libc.so.6")
        );
        assert_eq!(
            path("\t/lib64/ld-linux-x86-64.so.2 (0x00007f)").as_deref(),
            Some("/lib64/ld-linux-x86-64.so.2")
        );
        assert_eq!(path("\tlinux-vdso.so.1 (0x00007f)"), None);
        assert_eq!(path("\tlibx.so => not found"), None);
    }

    #[test]
    fn our_own_process() {
        let me = std::process::id() as i32;
        let target = Target::of_process(me).unwrap();
        assert!(target.is_alive());
        let here = our_own_process as *const () as u64;
        let (module, address) = target.locate(here).unwrap();
        assert_eq!(module, 0);
        let function = target.modules()[0].image.function_at(address).unwrap();
        assert!(
            function.name.raw().ends_with("process::tests::our_own_process"),
            "{}",
            function.name
        );
        assert!(target.modules().iter().any(|module| module.name.raw().starts_with("libc.so")));
    }

    #[test]
    fn a_file_lists_its_libraries() {
        let exe = std::env::current_exe().unwrap();
        let target = Target::of_file(&exe).unwrap();
        assert_eq!(target.exe(), exe);
        assert!(target.modules()[0].bias.is_none());
        assert!(target.modules().iter().any(|module| module.name.raw().starts_with("libc.so")));
    }

    #[test]
    fn processes_that_are_not_there() {
        assert!(matches!(Target::of_process(i32::MAX), Err(TargetError::NoSuchProcess { .. })));
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id() as i32;
        while !Stat::read(pid).is_some_and(|stat| stat.is_zombie()) {
            std::thread::yield_now();
        }
        assert!(matches!(Target::of_process(pid), Err(TargetError::Zombie { .. })));
        child.wait().unwrap();
        assert!(matches!(Target::of_process(pid), Err(TargetError::NoSuchProcess { .. })));
    }
}
