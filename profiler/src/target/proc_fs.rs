//! What /proc tells about a process.
//!
//! In: a pid or a name. Out: its state, its mappings, who matches.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::error::TargetError;
use crate::outside::Outside;

/// The kernel cuts process names to this many bytes (`TASK_COMM_LEN` - 1).
const COMM_LEN: usize = 15;
/// Bytes of a command line that are read, and of a list of mappings; how many of these are
/// looked at.
const CMDLINE: u64 = 4096;
const MAPS: u64 = 32 << 20;
const MAPPINGS: usize = 16_384;
/// `PF_KTHREAD` in include/linux/sched.h.
const PF_KTHREAD: u64 = 0x0020_0000;

/// A process that a name matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub pid: i32,
    /// Its name.
    pub comm: Outside,
    /// Its command line, separated by spaces.
    pub cmdline: Outside,
}

/// Processes whose name, or whose program's file name, is `name`.
pub fn find_by_name(name: &str) -> Vec<Found> {
    let me = std::process::id();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut found: Vec<Found> = pids
        .filter(|&pid: &i32| pid as u32 != me)
        .filter_map(|pid| {
            let comm = text(format!("/proc/{pid}/comm"))?;
            let comm = comm.trim_end_matches('\n').to_owned();
            let arguments = beginning(format!("/proc/{pid}/cmdline").as_ref(), CMDLINE).ok()?;
            let program = arguments.split(|&byte| byte == 0).next().unwrap_or_default();
            let program = String::from_utf8_lossy(program);
            let program = Path::new(program.as_ref()).file_name().and_then(|name| name.to_str());
            let cut = comm.len() == COMM_LEN && name.len() > COMM_LEN && name.starts_with(&comm);
            let matched = comm == name || program == Some(name) || (cut && program.is_none());
            let cmdline: Vec<_> = arguments
                .split(|&byte| byte == 0)
                .filter(|argument| !argument.is_empty())
                .map(String::from_utf8_lossy)
                .collect();
            matched.then(|| Found { pid, comm: comm.into(), cmdline: cmdline.join(" ").into() })
        })
        .collect();
    found.sort_by_key(|process| process.pid);
    found
}

/// A small file of /proc. The kernel cuts names within a character, and they need not have
/// been text before.
fn text(path: String) -> Option<String> {
    Some(String::from_utf8_lossy(&fs::read(path).ok()?).into_owned())
}

/// The fields of /proc/PID/stat that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) comm: String,
    state: u8,
    flags: u64,
    /// CPU time of all its threads in clock ticks.
    pub(super) cpu_ticks: u64,
    /// The same of all its descendants that were waited for.
    pub(super) waited_ticks: u64,
    pub(super) threads: u64,
    /// Start in clock ticks since boot: tells a reused pid.
    pub(super) start: u64,
}

impl Stat {
    pub(super) fn read(pid: i32) -> Option<Self> {
        Self::parse(&text(format!("/proc/{pid}/stat"))?)
    }

    pub(super) fn of_thread(pid: i32, thread: u64) -> Option<Self> {
        Self::parse(&text(format!("/proc/{pid}/task/{thread}/stat"))?)
    }

    /// Whether it waits in the kernel for something to happen.
    pub(super) fn is_asleep(&self) -> bool {
        matches!(self.state, b'S' | b'D')
    }

    /// The name stands in parentheses and may itself contain some.
    fn parse(text: &str) -> Option<Self> {
        let (open, close) = (text.find('(')?, text.rfind(')')?);
        let comm = text.get(open + 1..close)?.to_owned();
        let mut fields = text.get(close + 1..)?.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        // proc(5): flags is field 9, utime 14, stime 15, cutime 16, cstime 17, num_threads 20,
        // starttime 22; the state was field 3.
        let flags = fields.nth(5)?.parse().ok()?;
        let user: u64 = fields.nth(4)?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        // These two are signed, though nothing below 0 can come of them.
        let mut waited = || fields.next()?.parse::<i64>().ok();
        let waited_ticks = waited()?.max(0).saturating_add(waited()?.max(0)) as u64;
        let threads = fields.nth(2)?.parse().ok()?;
        let start = fields.nth(1)?.parse().ok()?;
        let cpu_ticks = user.saturating_add(system);
        Some(Self { comm, state, flags, cpu_ticks, waited_ticks, threads, start })
    }

    /// Whether the process has ended. Its first thread alone may have: for good, or
    /// while another one executes a program and is about to take its place.
    pub(super) fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X') && self.threads <= 1
    }

    pub(super) fn is_kernel_thread(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }
}

/// The process a thread belongs to; the number itself for a process.
pub(super) fn thread_group(pid: i32) -> Option<i32> {
    let status = text(format!("/proc/{pid}/status"))?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

/// One line of /proc/PID/maps that has a file behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) executable: bool,
    pub(super) offset: u64,
    /// Major and minor number.
    pub(super) device: (u64, u64),
    pub(super) inode: u64,
    pub(super) path: PathBuf,
}

/// The file mappings of a process, in the order of addresses.
pub(super) fn mappings(pid: i32) -> Result<Vec<Mapping>, TargetError> {
    let path = PathBuf::from(format!("/proc/{pid}/maps"));
    let text = beginning(&path, MAPS).map_err(|source| refused(pid, path, source))?;
    let lines = text.split(|&byte| byte == b'\n').map(String::from_utf8_lossy);
    Ok(lines.filter_map(|line| parse_mapping(&line)).take(MAPPINGS).collect())
}

/// A file's first bytes: what a process says of itself may be long.
fn beginning(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(bytes).read_to_end(&mut text)?;
    Ok(text)
}

/// Where a process may execute, in the order of addresses.
pub(super) fn executable_ranges(pid: i32) -> Vec<(u64, u64)> {
    let text = fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter_map(executable_range).collect()
}

/// `7f04c000-7f04d000 r-xp …`
fn executable_range(line: &str) -> Option<(u64, u64)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    (rest.as_bytes().get(2) == Some(&b'x')).then_some((hex(start)?, hex(end)?))
}

fn parse_mapping(line: &str) -> Option<Mapping> {
    let mut rest = line;
    let mut field = || {
        let (field, tail) = rest.trim_start().split_once(' ')?;
        rest = tail;
        Some(field)
    };
    let (start, end) = field()?.split_once('-')?;
    let permissions = field()?;
    let offset = field()?;
    let (major, minor) = field()?.split_once(':')?;
    let inode = field()?.parse().ok().filter(|&inode| inode != 0)?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    Some(Mapping {
        start: hex(start)?,
        end: hex(end)?,
        executable: permissions.as_bytes().get(2) == Some(&b'x'),
        offset: hex(offset)?,
        device: (hex(major)?, hex(minor)?),
        inode,
        path: PathBuf::from(rest.trim_start()),
    })
}

/// Tells one program image of a process from the next: addresses in its auxiliary
/// vector, which are random (where the kernel makes them so) and do not change while the
/// image lives. `None` while an exec is under way, or when there is none to read.
pub(super) fn image_mark(pid: i32) -> Option<Vec<u64>> {
    mark_of(&fs::read(format!("/proc/{pid}/auxv")).ok()?)
}

/// The kernel fills the vector in while it can be read already (`create_elf_tables`,
/// fs/binfmt_elf.c): what stands before a complete `AT_EXECFN` is final, whatever may
/// follow is not looked at.
fn mark_of(auxv: &[u8]) -> Option<Vec<u64>> {
    let mut words =
        auxv.chunks_exact(8).filter_map(|word| Some(u64::from_le_bytes(word.try_into().ok()?)));
    let mut mark = Vec::new();
    loop {
        let (kind, value) = (words.next()?, words.next()?);
        if kind == 0 {
            return None;
        }
        mark.push(value);
        if kind == libc::AT_EXECFN {
            return (value != 0).then_some(mark);
        }
    }
}

/// What an error on a file below /proc/PID means.
pub(super) fn refused(pid: i32, path: PathBuf, source: io::Error) -> TargetError {
    match source.kind() {
        io::ErrorKind::PermissionDenied => TargetError::Forbidden { pid, what: path, source },
        // ESRCH comes from reading a file opened before the process ended.
        _ if source.kind() == io::ErrorKind::NotFound
            || source.raw_os_error() == Some(libc::ESRCH) =>
        {
            gone(pid)
        }
        _ => TargetError::Proc { path, source },
    }
}

/// Why a process has no executable.
pub(super) fn gone(pid: i32) -> TargetError {
    match Stat::read(pid) {
        Some(stat) if stat.is_kernel_thread() => {
            TargetError::KernelThread { pid, comm: stat.comm.into() }
        }
        Some(stat) if stat.is_zombie() => TargetError::Zombie { pid, comm: stat.comm.into() },
        _ => TargetError::NoSuchProcess { pid },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_marked_once_its_vector_is_there() {
        let whole = image_mark(std::process::id() as i32).unwrap();
        assert_eq!(image_mark(std::process::id() as i32), Some(whole));
        let auxv = fs::read("/proc/self/auxv").unwrap();
        let end = auxv
            .chunks_exact(16)
            .position(|entry| entry[..8] == libc::AT_EXECFN.to_le_bytes())
            .map(|index| 16 * (index + 1))
            .unwrap();
        let mark = mark_of(&auxv);
        for filled in 0..auxv.len() {
            let mut partial = auxv[..filled].to_vec();
            partial.resize(auxv.len(), 0);
            // A value that has come in part is none that a reader can see: words are
            // written whole.
            if filled % 8 == 0 {
                assert_eq!(mark_of(&partial), if filled >= end { mark.clone() } else { None });
            }
        }
        assert_eq!(mark_of(&[]), None);
    }

    #[test]
    fn names_may_hold_parentheses_and_spaces() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 2129984 1 2 3 4 5 6 7 8 20 0 1 0 4242 0 0\n";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.comm.as_str(), stat.start), ("a) b (c", 4242));
        assert_eq!((stat.cpu_ticks, stat.waited_ticks), (5 + 6, 7 + 8));
        assert!(stat.is_kernel_thread() && !stat.is_zombie());
        assert_eq!(Stat::parse("7 (a"), None);
        let ended = |threads| {
            let line = format!("7 (a) Z 1 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 {threads} 0 4242 0 0\n");
            Stat::parse(&line).unwrap().is_zombie()
        };
        assert!(ended(1) && !ended(2));
    }

    #[test]
    fn mappings_of_files() {
        let line = "7f00-7f10 r-xp 00001000 fe:01 123    /opt/a b.so (deleted)";
        let mapping = parse_mapping(line).unwrap();
        assert_eq!((mapping.start, mapping.end, mapping.offset), (0x7f00, 0x7f10, 0x1000));
        assert_eq!((mapping.device, mapping.inode), ((0xfe, 1), 123));
        assert!(mapping.executable);
        assert_eq!(mapping.path, Path::new("/opt/a b.so (deleted)"));
        assert_eq!(parse_mapping("7f00-7f10 rw-p 00000000 00:00 0 "), None);
        assert_eq!(parse_mapping("nonsense"), None);
    }

    #[test]
    fn our_own_process_is_found_in_proc() {
        let me = std::process::id() as i32;
        assert!(Stat::read(me).is_some_and(|stat| !stat.is_zombie() && !stat.is_kernel_thread()));
        assert_eq!(thread_group(me), Some(me));
        assert!(mappings(me).unwrap().iter().any(|mapping| mapping.executable));
    }

    #[test]
    fn an_image_keeps_its_mark_and_another_has_its_own() {
        let me = std::process::id() as i32;
        assert!(image_mark(me).is_some());
        assert_eq!(image_mark(me), image_mark(me));
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        // The child is there before its image is.
        let other = std::iter::repeat_with(|| image_mark(child.id() as i32)).flatten().next();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_ne!(other, image_mark(me));
        assert_eq!(image_mark(i32::MAX), None);
    }

    #[test]
    fn a_sleeping_child_is_found_by_name() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = child.id() as i32;
        // The name and the arguments appear one after the other while it starts.
        let found = loop {
            let found = find_by_name("sleep").into_iter().find(|found| found.pid == pid);
            if let Some(found) = found.filter(|found| !found.cmdline.raw().is_empty()) {
                break found;
            }
            std::thread::yield_now();
        };
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.cmdline, "sleep 600");
    }
}
