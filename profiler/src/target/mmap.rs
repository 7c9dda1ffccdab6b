//! A file's bytes without reading them.

#![expect(unsafe_code, reason = "mapping a file is unsafe: its bytes can change under the reader")]

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// Maps the whole file for reading.
pub(super) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the kernel refuses to write or truncate a running executable
    // (ETXTBSY); a library replaced in place takes its own users down with it, and
    // everything read here is treated as untrusted bytes and bounds-checked.
    unsafe { Mmap::map(file) }
}
