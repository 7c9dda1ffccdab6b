//! How many bytes went through mapprof's rings, without asking mapprof.
//!
//! A BPF ring buffer's second page, which its reader maps into memory, begins with the
//! position of the producers: the bytes written since it was made (kernel:
//! `struct bpf_ringbuf`). Here it is read in the reader's memory.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};

/// What a map of the kernel is called in `/proc/PID/maps`.
const BPF_MAP: &str = "anon_inode:bpf-map";
/// Where the producers' page lies in a ring buffer's mapping (x86: pages of 4 KiB).
const PRODUCER_PAGE: u64 = 4096;

/// Bytes written into all rings that the process reads, with their headers.
pub(super) fn written(pid: u32) -> Result<u64> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).context("mapprof is gone")?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let rings: Vec<_> = maps.lines().filter_map(producer_page).collect();
    ensure!(!rings.is_empty(), "process {pid} reads no ring buffer");
    let mut sum = 0_u64;
    for address in rings {
        let mut position = [0; 8];
        memory.read_exact_at(&mut position, address).context("reading a ring's position")?;
        sum = sum.saturating_add(u64::from_ne_bytes(position));
    }
    Ok(sum)
}

/// Where a line of `/proc/PID/maps` maps a ring buffer's producer page, which only its
/// writers may write to.
fn producer_page(line: &str) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace();
    let (start, permissions, offset) = (fields.next()?, fields.next()?, fields.next()?);
    let is_ring = line.ends_with(BPF_MAP)
        && permissions.starts_with("r-")
        && u64::from_str_radix(offset, 16) == Ok(PRODUCER_PAGE);
    let (start, _) = start.split_once('-')?;
    is_ring.then(|| u64::from_str_radix(start, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::producer_page;

    #[test]
    fn only_the_producers_page() {
        let line = |permissions, offset, name| {
            format!("7f01a000-7f02b000 {permissions} {offset} 00:0e 1043 {name}")
        };
        let map = "anon_inode:bpf-map";
        assert_eq!(producer_page(&line("r--s", "00001000", map)), Some(0x7f01_a000));
        assert_eq!(producer_page(&line("rw-s", "00000000", map)), None, "the consumer's");
        assert_eq!(producer_page(&line("rw-s", "00001000", map)), None, "an array's");
        assert_eq!(producer_page(&line("r--s", "00001000", "/usr/lib/libc.so.6")), None);
        assert_eq!(producer_page(""), None);
    }
}
