//! Go's `runtime.firstmoduledata`: where code and types begin.
//!
//! In: an image and its function table. Out: the addresses to which the table's,
//! the types' and the functions' data offsets are relative. Word numbers are those of
//! `runtime.moduledata` in `src/runtime/symtab.go`, Go 1.18 to 1.27.

use super::image::Image;
use super::pclntab::Place;

const WORD_FTAB: u64 = 16;
const WORD_FTAB_LEN: u64 = 17;
const WORD_MINPC: u64 = 20;
const WORD_MAXPC: u64 = 21;
const WORD_TEXT: u64 = 22;
/// Before `covctrs` and `ecovctrs` came with Go 1.20.
const WORD_TYPES_118: u64 = 35;
const WORD_TYPES: u64 = 37;
const WORD_GOFUNC_118: u64 = 38;
const WORD_GOFUNC_120: u64 = 40;
/// After `typedesclen`, `itaboffset` and `itabsize` came with Go 1.27.
const WORD_GOFUNC_127: u64 = 43;

/// What is wanted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ModuleData {
    /// `runtime.text`.
    pub(super) text: u64,
    /// Start of the type data.
    pub(super) types: u64,
    /// End of the type data; `None` where it was not recognised.
    pub(super) types_end: Option<u64>,
    /// Start of what the compiler noted of the functions (`gofunc`), such as the
    /// calls inlined into them; `None` where it was not recognised.
    pub(super) gofunc: Option<u64>,
}

/// The module whose first word is the table's address and whose other words agree
/// with the table.
pub(super) fn find(image: &Image, place: &Place) -> Option<ModuleData> {
    if let Some(section) = image.section(".go.module") {
        return check(image, place, section.address);
    }
    let relocated = image.relocations().iter().filter(|&&(_, value)| value == place.address);
    if let Some(found) = relocated.into_iter().find_map(|&(at, _)| check(image, place, at)) {
        return Some(found);
    }
    let writable = image.segments().iter().filter(|segment| segment.writable);
    writable.into_iter().find_map(|segment| {
        let data = image.bytes_at(segment.address, segment.file_size)?;
        let skip = segment.address.wrapping_neg() % 8;
        let words = data.get(usize::try_from(skip).ok()?..)?.chunks_exact(8).enumerate();
        words
            .filter(|(_, word)| *word == place.address.to_le_bytes())
            .find_map(|(index, _)| check(image, place, segment.address + skip + index as u64 * 8))
    })
}

fn check(image: &Image, place: &Place, address: u64) -> Option<ModuleData> {
    let word = |index: u64| image.word(address.checked_add(index * 8)?);
    let text = word(WORD_TEXT)?;
    let table_end = place.address.checked_add(place.size)?;
    let plausible = word(0)? == place.address
        && (place.address..table_end).contains(&word(WORD_FTAB)?)
        && word(WORD_FTAB_LEN)? == place.header.functions + 1
        && text <= word(WORD_MINPC)?
        && word(WORD_MINPC)? <= word(WORD_MAXPC)?
        && [0, text].contains(&place.header.text_start);
    let types = if place.header.since_120 { WORD_TYPES } else { WORD_TYPES_118 };
    let gofunc = find_gofunc(image, place, word);
    let types_end = find_types_end(types, word);
    plausible.then_some(ModuleData { text, types: word(types)?, types_end, gofunc })
}

/// `etypes` follows `types`; in Go 1.27 `typedesclen`, a length, came between. Up to
/// then the word after it is `rodata`, which lies before it or not far behind.
fn find_types_end(types: u64, word: impl Fn(u64) -> Option<u64>) -> Option<u64> {
    let (start, first, second) = (word(types)?, word(types + 1)?, word(types + 2)?);
    let end = if start.checked_add(first)? <= second { second } else { first };
    (end > start).then_some(end)
}

/// Its place is told by its neighbours, for a version may be unknown: the end of the
/// table follows it in Go 1.27, and up to Go 1.26 `rodata` is the word before.
fn find_gofunc(image: &Image, place: &Place, word: impl Fn(u64) -> Option<u64>) -> Option<u64> {
    let (first, second) = (word(WORD_GOFUNC_127)?, word(WORD_GOFUNC_127 + 1)?);
    if place.header.since_120 && place.address <= first && first <= second && image.holds(first) {
        return Some(first);
    }
    let index = if place.header.since_120 { WORD_GOFUNC_120 } else { WORD_GOFUNC_118 };
    word(index).filter(|&gofunc| word(index - 1) <= Some(gofunc) && image.holds(gofunc))
}
