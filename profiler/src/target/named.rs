//! Finds a Go type by its name.
//!
//! In: a module and the name. Out: where the type's description lies in the process.
//! Layouts are those of `gotypes`; neither kind nor name is subject to relocation, so
//! the file tells.

use super::image::Image;
use super::process::Target;

const TFLAG: usize = 20;
const TFLAG_EXTRA_STAR: u8 = 1 << 1;
const KIND: usize = 23;
const KIND_MASK: u8 = 0x1f;
const KIND_MAP: u8 = 21;
const NAME: usize = 40;
/// Bytes of a description up to the end of its name's offset.
const HEAD: usize = 44;

impl Target {
    /// Address of the map type of this name in a module, by its number in
    /// [`Target::modules`]; `None` if there is none or the module is not loaded.
    pub fn go_map_type_named(&self, module: usize, name: &str) -> Option<u64> {
        let module = self.modules().get(module)?;
        module.runtime_address(find(&module.image, name)?)
    }
}

fn find(image: &Image, name: &str) -> Option<u64> {
    let base = image.go_types()?;
    let left = image.segments().iter().find_map(|it| {
        let before = base.checked_sub(it.address)?;
        it.file_size.checked_sub(before).filter(|&left| left > 0)
    })?;
    let types = image.bytes_at(base, left)?;
    // Addresses of descriptions are multiples of 8.
    let skip = base.wrapping_neg() as usize % 8;
    let places = (skip..types.len().saturating_sub(HEAD)).step_by(8);
    let found = places.into_iter().find(|&at| is_named(types, at, name))?;
    Some(base + found as u64)
}

/// Whether the description at `at` is that of a map type of this name.
fn is_named(types: &[u8], at: usize, name: &str) -> bool {
    let head = &types[at..at + HEAD];
    if head[KIND] & KIND_MASK != KIND_MAP {
        return false;
    }
    let Some(Ok(offset)) = head.get(NAME..).map(<[u8; 4]>::try_from) else { return false };
    // A name is a byte of flags, its length in one or two bytes, and its text.
    let text = types.get(u32::from_le_bytes(offset) as usize..).and_then(|name| match name {
        [_, len, text @ ..] if *len < 0x80 => text.get(..usize::from(*len)),
        [_, low, high, text @ ..] => text.get(..usize::from(low & 0x7f) | usize::from(*high) << 7),
        _ => None,
    });
    let star = head[TFLAG] & TFLAG_EXTRA_STAR != 0;
    text.is_some_and(|text| match text.strip_prefix(b"*") {
        Some(rest) if star => rest == name.as_bytes(),
        _ => text == name.as_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_type_is_known_by_kind_and_name() {
        let mut types = vec![0; 0x100];
        let mut put = |at: usize, with: &[u8]| types[at..at + with.len()].copy_from_slice(with);
        put(0x40 + KIND, &[0x20 | KIND_MAP]);
        put(0x40 + TFLAG, &[TFLAG_EXTRA_STAR]);
        put(0x40 + NAME, &0xa0_u32.to_le_bytes());
        put(0xa0, b"\x01\x0d*map[int]bool");
        assert!(is_named(&types, 0x40, "map[int]bool"));
        assert!(!is_named(&types, 0x40, "map[int]boo") && !is_named(&types, 0x40, "*map[int]bool"));
        assert!(!is_named(&types, 0x48, "map[int]bool"));
        types[0x40 + KIND] = 22;
        assert!(!is_named(&types, 0x40, "map[int]bool"));
        types[0x40 + KIND] = KIND_MAP;
        types[0x40 + NAME + 3] = 0x7f;
        assert!(!is_named(&types, 0x40, "map[int]bool"), "beyond the end");
    }
}
