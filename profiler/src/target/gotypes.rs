//! What Go's own type information says about a map.
//!
//! In: the address of a `*maptype` in the target. Out: the map's and the key's type
//! as the program writes them. The layout is `abi.Type` in `src/internal/abi/type.go`
//! and `abi.OldMapType`, `SwissMapType` or `MapType` there, Go 1.18 to 1.27.

use super::memory::ReadMemory;
use super::process::Target;

const SIZE: u64 = 0;
const TFLAG: u64 = 20;
const KIND: u64 = 23;
const NAME: u64 = 40;
/// `Key *Type`, the field after `abi.Type` in every map type.
const KEY: u64 = 48;
/// The rest of the byte has been flags.
const KIND_MASK: u8 = 0x1f;
const KIND_MAP: u8 = 21;
/// The name is stored with a `*` in front, shared with the pointer type.
const TFLAG_EXTRA_STAR: u8 = 1 << 1;
/// Longest type name read, in bytes.
const NAME_LIMIT: u64 = 4096;
/// Largest key believed, in bytes: larger ones are a sign of a wrong address.
const KEY_LIMIT: u64 = 1 << 24;

/// How a key is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum KeyFormat {
    /// Signed decimal of the key's bytes, little endian.
    Int,
    /// Unsigned decimal.
    Uint,
    /// `0x` and hexadecimal digits of the number.
    Hex,
    /// Quoted text.
    Str,
    /// Hexadecimal bytes in memory order.
    Bytes,
}

/// The type of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoMapType {
    /// `map[string]*main.Session`; `None` for types made at run time.
    pub name: Option<String>,
    /// `string`.
    pub key_name: Option<String>,
    /// Bytes.
    pub key_size: u64,
    /// `abi.Kind` of the key.
    pub key_kind: u8,
    /// How such keys are shown.
    pub format: KeyFormat,
}

impl Target {
    /// Reads the map type at an address of the process; `None` if there is none.
    pub fn go_map_type(&self, address: u64) -> Option<GoMapType> {
        map_type(self, address, |address| {
            let (module, _) = self.locate(address)?;
            let module = &self.modules()[module];
            module.runtime_address(module.image.go_types()?)
        })
    }
}

/// `base_of` gives what a type's name offset is relative to.
fn map_type(
    memory: &impl ReadMemory,
    address: u64,
    base_of: impl Fn(u64) -> Option<u64>,
) -> Option<GoMapType> {
    if kind(memory, address)? != KIND_MAP {
        return None;
    }
    let key = memory.u64(address.checked_add(KEY)?)?;
    let key_kind = kind(memory, key)?;
    let key_size = memory.u64(key.checked_add(SIZE)?)?;
    (key_size <= KEY_LIMIT).then(|| GoMapType {
        name: name(memory, address, &base_of),
        key_name: name(memory, key, &base_of),
        key_size,
        key_kind,
        format: format(key_kind),
    })
}

fn kind(memory: &impl ReadMemory, address: u64) -> Option<u8> {
    Some(memory.u8(address.checked_add(KIND)?)? & KIND_MASK)
}

fn name(
    memory: &impl ReadMemory,
    address: u64,
    base_of: impl Fn(u64) -> Option<u64>,
) -> Option<String> {
    let flags = memory.u8(address.checked_add(TFLAG)?)?;
    // Offsets of types made by reflect are negative and mean something else.
    let offset = memory.u32(address.checked_add(NAME)?)?;
    let offset = u64::from(i32::try_from(offset).ok().filter(|&offset| offset > 0)? as u32);
    let mut at = base_of(address)?.checked_add(offset)?.checked_add(1)?;
    let mut len = 0u64;
    for shift in (0..14).step_by(7) {
        let byte = memory.u8(at)?;
        at = at.checked_add(1)?;
        len |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let mut text = vec![0; Some(len).filter(|&len| len <= NAME_LIMIT)? as usize];
            let text = memory.read(at, &mut text).then_some(text)?;
            let text = String::from_utf8(text).ok()?;
            let star = flags & TFLAG_EXTRA_STAR != 0;
            return match text.strip_prefix('*') {
                Some(rest) if star => Some(rest.to_owned()),
                _ => Some(text),
            };
        }
    }
    None
}

/// `abi.Kind`: Bool 1, Int… 2–6, Uint… 7–11, Uintptr 12, Chan 18, Pointer 22,
/// String 24, UnsafePointer 26.
fn format(kind: u8) -> KeyFormat {
    match kind {
        2..=6 => KeyFormat::Int,
        1 | 7..=11 => KeyFormat::Uint,
        12 | 18 | 22 | 26 => KeyFormat::Hex,
        24 => KeyFormat::Str,
        _ => KeyFormat::Bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0x1000;

    /// Memory that begins at [`BASE`].
    struct Bytes(Vec<u8>);

    impl ReadMemory for Bytes {
        fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
            let start = address.checked_sub(BASE).map(|start| start as usize);
            let bytes = start.and_then(|start| self.0.get(start..start.checked_add(buffer.len())?));
            bytes.is_some_and(|bytes| {
                buffer.copy_from_slice(bytes);
                true
            })
        }
    }

    /// A map type at +0, its key type at +0x100, names at +0x200 and +0x280.
    fn memory(map_name: &str, key_name: &str, key_kind: u8, key_size: u64) -> Bytes {
        let mut bytes = vec![0; 0x400];
        let mut put = |at: usize, with: &[u8]| bytes[at..at + with.len()].copy_from_slice(with);
        put(23, &[KIND_MAP]);
        put(20, &[TFLAG_EXTRA_STAR]);
        put(40, &0x200u32.to_le_bytes());
        put(48, &(BASE + 0x100).to_le_bytes());
        put(0x100, &key_size.to_le_bytes());
        put(0x100 + 23, &[key_kind | 0x20]);
        put(0x100 + 40, &0x280u32.to_le_bytes());
        for (at, name) in [(0x200, map_name), (0x280, key_name)] {
            put(at, &[1, name.len() as u8]);
            put(at + 2, name.as_bytes());
        }
        Bytes(bytes)
    }

    #[test]
    fn names_sizes_and_formats() {
        let memory = memory("*map[string]*main.Session", "string", 24, 16);
        let found = map_type(&memory, BASE, |_| Some(BASE)).unwrap();
        let expected = GoMapType {
            name: Some("map[string]*main.Session".to_owned()),
            key_name: Some("string".to_owned()),
            key_size: 16,
            key_kind: 24,
            format: KeyFormat::Str,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn types_made_at_run_time_have_no_names() {
        let mut memory = memory("*map[int]int", "int", 2, 8);
        memory.0[40..44].copy_from_slice(&(-3i32).to_le_bytes());
        let found = map_type(&memory, BASE, |_| Some(BASE)).unwrap();
        assert_eq!((found.name, found.format), (None, KeyFormat::Int));
        assert_eq!(found.key_name.as_deref(), Some("int"));
    }

    #[test]
    fn what_is_no_map_type_is_none() {
        let good = memory("*map[int]int", "int", 2, 8);
        assert_eq!(map_type(&good, BASE + 0x100, |_| Some(BASE)), None);
        assert_eq!(map_type(&good, BASE + 0x3f8, |_| Some(BASE)), None);
        assert_eq!(map_type(&good, u64::MAX, |_| Some(BASE)), None);
        assert_eq!(map_type(&memory("*m", "k", 25, u64::MAX), BASE, |_| Some(BASE)), None);
    }

    proptest::proptest! {
        #[test]
        fn random_memory_never_panics(bytes in proptest::collection::vec(0u8.., 0..200)) {
            let mut memory = memory("*map[string]int", "string", 24, 16);
            memory.0[..bytes.len()].copy_from_slice(&bytes);
            memory.0[23] = KIND_MAP;
            let found = map_type(&memory, BASE, |_| Some(BASE));
            proptest::prop_assert!(found.is_none_or(|found| found.key_size <= KEY_LIMIT));
        }
    }
}
