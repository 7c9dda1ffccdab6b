//! A process's memory: how much of it there is, and whether its code is what its
//! file says. A probe is a byte that is not.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};

/// The most physical memory a process has had (`VmHWM`), bytes; `None` once it has ended.
pub fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// What [`changed_code`] returns for a process without probes.
pub const UNCHANGED: [u64; 0] = [];

/// Addresses in the process's own executable at which the code in memory differs
/// from the code in the file.
pub fn changed_code(pid: u32) -> Result<Vec<u64>> {
    let exe = fs::read_link(format!("/proc/{pid}/exe"))?;
    let file = File::open(format!("/proc/{pid}/exe"))?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut changed = Vec::new();
    for line in maps.lines().filter(|line| line.ends_with(&*exe.to_string_lossy())) {
        let mapping = Mapping::parse(line).with_context(|| format!("reading {line:?}"))?;
        if mapping.executable {
            compare(&file, &memory, &mapping, &mut changed)?;
        }
    }
    Ok(changed)
}

fn compare(file: &File, memory: &File, mapping: &Mapping, changed: &mut Vec<u64>) -> Result<()> {
    let len = (mapping.end - mapping.start) as usize;
    let (mut original, mut present) = (vec![0; len], vec![0; len]);
    memory.read_exact_at(&mut present, mapping.start).context("reading the process's memory")?;
    // The last page may reach beyond the file's end, where it is zero.
    let mut filled = 0;
    while filled < len {
        match file.read_at(&mut original[filled..], mapping.offset + filled as u64)? {
            0 => break,
            n => filled += n,
        }
    }
    let differs = original.iter().zip(&present).enumerate().filter(|(_, (was, is))| was != is);
    changed.extend(differs.map(|(at, _)| mapping.start + at as u64));
    Ok(())
}

struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    executable: bool,
}

impl Mapping {
    /// A line of `/proc/PID/maps`.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let permissions = fields.next()?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        Some(Self {
            start: hex(start)?,
            end: hex(end)?,
            offset: hex(fields.next()?)?,
            executable: permissions.contains('x'),
        })
    }
}
