//! The target's memory.
//!
//! In: an address of the process. Out: the bytes there; from the files that were
//! mapped, as they were loaded, once the process is gone.

use std::io::IoSliceMut;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use super::process::Target;

/// Something that has bytes at addresses.
pub trait ReadMemory {
    /// Fills `buffer` from `address` on; `false` where not all of it can be read.
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool;

    /// `N` bytes at an address.
    fn array<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.read(address, &mut bytes).then_some(bytes)
    }

    /// One byte at an address.
    fn u8(&self, address: u64) -> Option<u8> {
        self.array::<1>(address).map(|[byte]| byte)
    }

    /// Four bytes at an address.
    fn u32(&self, address: u64) -> Option<u32> {
        self.array(address).map(u32::from_le_bytes)
    }

    /// Eight bytes at an address.
    fn u64(&self, address: u64) -> Option<u64> {
        self.array(address).map(u64::from_le_bytes)
    }
}

impl ReadMemory for Target {
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        self.read_live(address, buffer) || self.read_files(address, buffer)
    }
}

impl Target {
    /// Fills `buffer` from the process only.
    pub(crate) fn read_live(&self, address: u64, buffer: &mut [u8]) -> bool {
        let Some(pid) = self.running() else { return false };
        let Ok(base) = usize::try_from(address) else {
            return false;
        };
        let len = buffer.len();
        let remote = [RemoteIoVec { base, len }];
        process_vm_readv(Pid::from_raw(pid), &mut [IoSliceMut::new(buffer)], &remote) == Ok(len)
    }

    /// Eight bytes at an address of the process only.
    pub(crate) fn live_u64(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read_live(address, &mut bytes).then(|| u64::from_le_bytes(bytes))
    }

    /// Fills `buffer` from the module's file, where the process cannot have changed it.
    pub(crate) fn read_constant(&self, address: u64, buffer: &mut [u8]) -> bool {
        let is_constant = self.locate(address).is_some_and(|(module, start)| {
            self.modules()[module].image.is_constant(start, buffer.len() as u64)
        });
        is_constant && self.read_files(address, buffer)
    }

    /// Fills `buffer` from the module's file, with relocations by its load address.
    fn read_files(&self, address: u64, buffer: &mut [u8]) -> bool {
        let Some((module, start)) = self.locate(address) else {
            return false;
        };
        let module = &self.modules()[module];
        let Some(bytes) = module.image.bytes_at(start, buffer.len() as u64) else {
            return false;
        };
        buffer.copy_from_slice(bytes);
        let bias = module.bias.unwrap_or(0);
        let end = start + buffer.len() as u64;
        for &(place, value) in module.image.relocations_in(start, end) {
            for (at, byte) in (place..).zip(value.wrapping_add(bias).to_le_bytes()) {
                if (start..end).contains(&at) {
                    buffer[(at - start) as usize] = byte;
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static WORD: u64 = 0x1122_3344_5566_7788;
    static CHANGED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(7);
    /// Needs a relocation in a position-independent executable.
    static POINTER: &u64 = &WORD;

    #[test]
    fn our_own_memory_and_our_file_agree() {
        let target = Target::of_process(std::process::id() as i32).unwrap();
        let address = (&raw const POINTER).addr() as u64;
        let expected = (&raw const WORD).addr() as u64;
        assert_eq!(target.u64(address), Some(expected));
        let mut bytes = [0; 8];
        assert!(target.read_files(address, &mut bytes));
        assert_eq!(u64::from_le_bytes(bytes), expected);
        assert!(target.read_constant(expected, &mut bytes));
        assert_eq!(u64::from_le_bytes(bytes), WORD);
        let variable = (&raw const CHANGED).addr() as u64;
        assert!(
            target.read_files(variable, &mut bytes) && !target.read_constant(variable, &mut bytes)
        );
        assert!(target.read_files(address + 1, &mut bytes[..3]));
        assert_eq!(bytes[..3], expected.to_le_bytes()[1..4]);
        assert_eq!(target.u64(expected), Some(WORD));
    }

    #[test]
    fn a_held_process_is_not_yet_the_program() {
        let exe = std::env::current_exe().unwrap();
        let mut target = Target::of_launch(std::process::id() as i32, &exe).unwrap();
        let address = (&raw const WORD).addr() as u64;
        let mut bytes = [0; 8];
        assert!(!target.read_live(address, &mut bytes));
        assert!(target.refresh().unwrap());
        assert!(target.read_live(address, &mut bytes));
        assert_eq!(u64::from_le_bytes(bytes), WORD);
    }

    #[test]
    fn nothing_at_address_zero() {
        let target = Target::of_process(std::process::id() as i32).unwrap();
        assert_eq!(target.u64(0), None);
        assert_eq!(target.u64(u64::MAX - 3), None);
    }
}
