//! Files that anybody may have made: recordings that become far more than they are, tables
//! that lie, lists without an end. Whatever reads them stays below 300 MB, says what is wrong
//! and at which byte, and ends.
//!
//! The bound is the kernel's: a process that asks for more private memory is refused it, and
//! aborts (`RLIMIT_DATA`, setrlimit(2)).

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Most private memory, bytes.
const MOST: usize = 300_000_000;

const HEADER: u8 = 0;
const DEFINITIONS: u8 = 1;
const SLICE: u8 = 2;

/// Runs mapprof with no more memory than it may have.
fn mapprof<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Output {
    let mapprof = env!("CARGO_BIN_EXE_mapprof");
    let limited = format!("--data={MOST}");
    Command::new("prlimit").arg(limited).arg(mapprof).args(args).output().expect("util-linux")
}

/// Ended with this status, said each of these, and did not panic.
fn expect(output: &Output, code: i32, said: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{}: {stderr}", output.status);
    assert!(!stderr.contains("panicked"), "{stderr}");
    for part in said {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
}

/// Bytes in postcard's format.
#[derive(Clone, Default)]
struct Plain(Vec<u8>);

impl Plain {
    fn n(mut self, mut number: u64) -> Self {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
        self
    }

    fn zeros(mut self, count: usize) -> Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        let mut own = self.n(bytes.len() as u64);
        own.0.extend_from_slice(bytes);
        own
    }

    /// A slice up to its maps, `at` seconds after the epoch.
    fn slice(at: u64) -> Self {
        let times = Self(vec![SLICE]).n(at * 1_000_000_000).n(1_000_000_000);
        times.n(1_000_000_000).n(1_000_000_000).zeros(6).zeros(1).zeros(1)
    }
}

fn frame(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&len[..], &crc32fast::hash(body).to_le_bytes(), body].concat()
}

fn compressed(plain: &[u8]) -> Vec<u8> {
    frame(&zstd::encode_all(plain, 3).unwrap())
}

/// Bytes that do not get smaller: what a frame may become is bounded by its own size.
fn noise(count: usize) -> Vec<u8> {
    let next = |seed: &u64| {
        let seed = seed ^ (seed << 13);
        let seed = seed ^ (seed >> 7);
        Some(seed ^ (seed << 17))
    };
    std::iter::successors(Some(0x9e37_79b9_7f4a_7c15), next)
        .map(|it| (it >> 24) as u8)
        .take(count)
        .collect()
}

/// What zstd makes of a beginning, very many zeros, and noise that nobody reads.
fn bomb(plain: &Plain, zeros: usize, behind: usize) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.write_all(&plain.0).unwrap();
    let block = vec![0; 1 << 20];
    for _ in 0..zeros.div_ceil(block.len()) {
        encoder.write_all(&block).unwrap();
    }
    encoder.write_all(&noise(behind)).unwrap();
    frame(&encoder.finish().unwrap())
}

fn recording(folder: &TempDir, name: &str, frames: &[Vec<u8>]) -> PathBuf {
    let header = Plain(vec![HEADER]).n(7).bytes(b"/srv/shop").zeros(1).bytes(b"host").zeros(3);
    let header = compressed(&header.bytes(b"0.1.0").zeros(1).0);
    let path = folder.path().join(name);
    let head = b"mapprof\0\x04\0\0\0".to_vec();
    let all = [head, header].into_iter().chain(frames.iter().cloned());
    fs::write(&path, all.collect::<Vec<_>>().concat()).unwrap();
    path
}

/// Everything that reads recordings, of this one.
fn all_readers(folder: &TempDir, path: &Path, said: &[&str]) {
    let path = path.to_str().unwrap();
    let merged = folder.path().join("merged");
    expect(&mapprof(["report", path]), 1, said);
    expect(&mapprof(["report", path, "--from", "0s"]), 1, &[]);
    expect(&mapprof(["diff", path, path]), 1, said);
    expect(&mapprof(["merge", "-o", merged.to_str().unwrap(), path, path]), 1, said);
}

#[test]
fn zeros_that_become_lists() {
    let folder = TempDir::new().unwrap();
    // Lists of which each element is some bytes of zeros: runtimes, stacks, maps, locks.
    let lists = |many: u64| {
        [
            Plain(vec![HEADER]).zeros(2).n(many),
            Plain(vec![DEFINITIONS]).zeros(2).n(1).n(0).n(many),
            Plain::slice(1).n(many),
            Plain::slice(1).n(0).n(many),
            // A map with keys; a count that all bytes of the file could not hold.
            Plain::slice(1).n(1).n(0).zeros(8).zeros(1).zeros(2).zeros(1).n(many),
        ]
    };
    // 1 GiB of 33 KB; a count that there are no bytes for; and as much as a record may be.
    for (name, many, zeros, behind, said) in [
        ("gib", 1 << 27, 1 << 30, 0, "decompresses to more than"),
        ("count", 1 << 27, 20 << 20, 32 << 10, "count is larger than what is left"),
        ("mib", 1 << 24, 20 << 20, 32 << 10, "would take more memory"),
    ] {
        for (index, list) in lists(many).into_iter().enumerate() {
            let frame = bomb(&list, zeros, behind);
            let path = recording(&folder, &format!("{name}-{index}"), &[frame]);
            let output = mapprof(["report", path.to_str().unwrap()]);
            expect(&output, 1, &["at byte ", said]);
        }
    }
    let path = recording(&folder, "all", &[bomb(&Plain::slice(1).n(1 << 27), 1 << 30, 0)]);
    all_readers(&folder, &path, &["at byte ", "decompresses to more"]);
    // Compressed a frame may be long, too.
    let long = recording(&folder, "long", &[[33_000_000_u32.to_le_bytes(), [0; 4]].concat()]);
    fs::OpenOptions::new().append(true).open(&long).unwrap().set_len(1 << 32).unwrap();
    expect(&mapprof(["report", long.to_str().unwrap()]), 1, &["at byte "]);
}

#[test]
fn names_that_add_up() {
    let folder = TempDir::new().unwrap();
    let stacks = |index: u64| {
        let stack = Plain(vec![DEFINITIONS]).zeros(2).n(1).n(index).n(1 << 20).zeros(1 << 20);
        let mut plain = stack.zeros(3).0;
        plain.extend(noise(2048));
        compressed(&plain)
    };
    let frames: Vec<_> = (0..64).map(stacks).collect();
    let path = recording(&folder, "names", &frames);
    all_readers(&folder, &path, &["more memory than names may"]);
}

#[test]
fn slices_that_add_up() {
    let folder = TempDir::new().unwrap();
    let hist = |buckets: u64| {
        let hist = Plain::default().n(buckets);
        let hist = (0..buckets).fold(hist, |hist, _| hist.n(0).n(1));
        hist.n(buckets).n(9).n(1).n(9).zeros(1)
    };
    // Locks with as many buckets as there are, other locks each time.
    let full = hist(7000).0;
    let locks = |at: u64| {
        let mut slice = Plain::slice(at).n(0).n(200);
        for lock in 0..200 {
            slice = slice.n(at * 200 + lock);
            slice.0.extend_from_slice(&full);
            slice = slice.zeros(6).zeros(6).zeros(5);
        }
        let mut plain = slice.zeros(6).0;
        plain.extend(noise(8192));
        compressed(&plain)
    };
    // Maps with long keys, other keys each time.
    let keys = |at: u64| {
        let mut slice = Plain::slice(at).n(100);
        for map in 0..100 {
            slice = slice.n(map).zeros(8).zeros(1).zeros(2).zeros(1).n(80);
            for key in 0..80_u64 {
                let mut bytes = vec![7; 2000];
                bytes[..8].copy_from_slice(&(at << 32 | map << 16 | key).to_le_bytes());
                slice = slice.bytes(&bytes).n(2000).n(9).zeros(7).zeros(2);
            }
            slice = slice.zeros(2);
        }
        let mut plain = slice.zeros(1).zeros(6).0;
        // Lest it decompress to too many times its size.
        plain.extend(noise(16_384));
        compressed(&plain)
    };
    // Maps with call sites.
    let callers = |at: u64| {
        let mut slice = Plain::slice(at).n(4000);
        for map in 0..4000_u64 {
            slice = slice.n(map).n(60).zeros(7).zeros(1).zeros(2).zeros(1).zeros(1).zeros(1).n(60);
            for caller in 0..60 {
                slice = slice.n(at << 20 | caller << 8).n(1).zeros(7);
            }
        }
        compressed(&slice.zeros(1).zeros(6).0)
    };
    for (name, make) in
        [("locks", &locks as &dyn Fn(u64) -> Vec<u8>), ("keys", &keys), ("callers", &callers)]
    {
        let frames: Vec<_> = (1..16).map(make).collect();
        let path = recording(&folder, name, &frames);
        let report = mapprof(["report", path.to_str().unwrap()]);
        // Nothing ends it, and nothing else is wrong with it.
        expect(&report, 1, &["has no end"]);
        assert!(report.stdout.len() > 100, "{name}");
        let merged = folder.path().join("merged");
        let both = [path.to_str().unwrap(), path.to_str().unwrap()];
        expect(&mapprof(["merge", "-o", merged.to_str().unwrap()].iter().chain(&both)), 1, &[]);
    }
}

/// An executable of 64 bits for x86_64 with one segment and these sections, all of which show
/// the same bytes as a table of symbols.
fn executable(symbols: usize, sections: usize, interpreter: usize) -> Vec<u8> {
    let (header, segment, section) = (64_usize, 56_usize, 64_usize);
    let start = header + 2 * segment;
    let end = start + 24 * symbols;
    let mut elf = vec![0; header];
    elf[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
    let mut put = |at: usize, bytes: &[u8]| elf[at..at + bytes.len()].copy_from_slice(bytes);
    put(16, &2_u16.to_le_bytes()); // ET_EXEC
    put(18, &62_u16.to_le_bytes()); // EM_X86_64
    put(20, &1_u32.to_le_bytes());
    put(32, &(header as u64).to_le_bytes());
    put(40, &(end as u64).to_le_bytes());
    for (at, value) in
        [(52, header), (54, segment), (56, 2), (58, section), (60, sections), (62, 1)]
    {
        put(at, &(value as u16).to_le_bytes());
    }
    let word = |value: usize| (value as u64).to_le_bytes();
    let mut program = |kind: u32, flags: u32, offset: usize, size: usize| {
        elf.extend(kind.to_le_bytes().into_iter().chain(flags.to_le_bytes()));
        for value in [offset, offset, offset, size, size, 8] {
            elf.extend(word(value));
        }
    };
    program(1, 5, 0, end);
    program(3, 4, start, interpreter);
    for index in 0..symbols {
        elf.extend([1, 0, 0, 0, 2, 0, 1, 0]); // a function of section 1
        elf.extend(word(start + index));
        elf.extend(word(1));
    }
    for index in 0..sections {
        let kind: u32 = if index == 0 { 0 } else { 2 };
        elf.extend([0; 4].into_iter().chain(kind.to_le_bytes()));
        elf.extend([word(0), word(0), word(start), word(end - start)].concat());
        elf.extend([1_u32.to_le_bytes(), 0_u32.to_le_bytes()].concat());
        elf.extend([word(8), word(24)].concat());
    }
    elf
}

#[test]
fn executables_that_lie() {
    let folder = TempDir::new().unwrap();
    for (name, elf) in [
        ("overlapping", executable(400_000, 60_000, 8)),
        ("many", executable(4_000_000, 3, 8)),
        ("interpreter", executable(1_000_000, 3, 24_000_000)),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, elf).unwrap();
        for more in [&[][..], &["--probe", "lookup:* key=arg1:int"]] {
            let output = mapprof([&["probes", "--exe", path.to_str().unwrap()], more].concat());
            let code = output.status.code();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(matches!(code, Some(0..=2)), "{name} {more:?}: {}: {stderr}", output.status);
            assert!(!stderr.contains("panicked"), "{stderr}");
        }
    }
    let output = mapprof(["probes", "--exe", "/bin/true", "--config", "/dev/zero"]);
    expect(&output, 2, &["/dev/zero", "256 KiB"]);
    expect(&mapprof(["report", "/dev/zero"]), 1, &["/dev/zero is not a recording"]);
}
