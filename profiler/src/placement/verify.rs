//! A last look before a probe is planned: does the process run the bytes that
//! were decoded?

use super::{walk::Spot, x86_64::is_probed_as_call};
use crate::target::{Module, Target};

/// `int3`, what a uprobe of somebody else has put there.
const BREAKPOINT: u8 = 0xcc;
/// Length of the call that recent kernels make of some instructions.
const CALL_LEN: usize = 5;

/// Compares file and process from the function's start to the end of the spot.
pub(super) fn unchanged(
    target: &Target,
    module: &Module,
    start: u64,
    spot: &Spot,
) -> Result<(), String> {
    let len = (spot.address + spot.len).saturating_sub(start);
    let Some(file) = module.image.bytes_at(start, len) else {
        return Err("its instruction lies outside of the file".to_owned());
    };
    let Some(address) = module.runtime_address(start) else {
        return Ok(());
    };
    let mut memory = vec![0; file.len()];
    if !target.read_live(address, &mut memory) {
        return Ok(());
    }
    match first_difference(file, &memory) {
        None => Ok(()),
        Some(at) => Err(format!(
            "the running code differs from the file at {:#x} ({:02x} instead of {:02x})",
            start + at as u64,
            memory[at],
            file[at]
        )),
    }
}

/// Where the running bytes differ, other than by probes.
fn first_difference(file: &[u8], memory: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < file.len() {
        if is_probed_as_call(&file[at..], &memory[at..]) {
            at += CALL_LEN;
        } else if file[at] == memory[at] || memory[at] == BREAKPOINT {
            at += 1;
        } else {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::first_difference;

    #[test]
    fn probes_of_others_are_no_difference() {
        assert_eq!(first_difference(&[0x55, 0x48], &[0x55, 0x48]), None);
        assert_eq!(first_difference(&[0x55, 0x48], &[0xcc, 0x48]), None);
        let nop = [0x0f, 0x1f, 0x44, 0x00, 0x00, 0x55];
        assert_eq!(first_difference(&nop, &[0xe8, 1, 2, 3, 4, 0x55]), None);
        assert_eq!(first_difference(&nop, &[0xe8, 1, 2, 3, 4, 0x56]), Some(5));
        assert_eq!(first_difference(&[0x55, 0x48], &[0x55, 0x49]), Some(1));
    }
}
