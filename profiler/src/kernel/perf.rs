//! Attaching probe by probe with perf events, for kernels below 6.6.
//!
//! In: one program and one place. Out: the link, which holds the event.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use super::sys;

/// What /sys says of the `uprobe` PMU.
pub(super) struct UprobePmu {
    kind: u32,
    return_bit: u32,
}

impl UprobePmu {
    pub(super) fn read() -> io::Result<Self> {
        let folder = "/sys/bus/event_source/devices/uprobe";
        let number = |text: &str| {
            text.trim()
                .parse()
                .map_err(|_| io::Error::other(format!("{folder}: not a number: {text:?}")))
        };
        let kind = number(&std::fs::read_to_string(format!("{folder}/type"))?)?;
        let format = std::fs::read_to_string(format!("{folder}/format/retprobe"))?;
        let return_bit = number(format.trim().trim_start_matches("config:"))?;
        Ok(Self { kind, return_bit })
    }

    /// One probe; both descriptors must stay open for it to last.
    pub(super) fn attach(
        &self,
        program: BorrowedFd<'_>,
        path: &CStr,
        offset: u64,
        cookie: u64,
        pid: u32,
        returns: bool,
    ) -> io::Result<[OwnedFd; 2]> {
        let config = if returns { 1 << self.return_bit } else { 0 };
        let event = sys::open_uprobe_event(self.kind, config, path, offset, pid)?;
        let link = sys::link_perf(program, event.as_fd(), cookie)?;
        Ok([link, event])
    }
}
