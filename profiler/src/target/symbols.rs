//! Functions from `.symtab` and `.dynsym`.
//!
//! In: an image's symbol tables. Out: functions sorted by address, names read
//! from the file when asked for.

use std::borrow::Cow;

use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader as _, SectionHeader as _, SectionTable, Sym as _};

use super::bytes;
use super::error::ImageError;
use super::image::{Function, FunctionKind, Image};
use crate::outside::Outside;

/// Longest symbol name read, in bytes. Longer ones exist in C++ and are not wanted.
const NAME_LIMIT: usize = 4096;
/// Most symbols of a file, ten times those of a large program.
pub(super) const MOST: usize = 1_500_000;
/// Tables of symbols that a file may have: linkers write one of each kind.
const MOST_TABLES: usize = 4;
/// `VERSYM_HIDDEN` of the gABI's symbol versioning: not the default version.
const HIDDEN: u16 = 0x8000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Symbol {
    address: u64,
    size: u64,
    /// File offset of the name.
    name: u64,
    ifunc: bool,
    /// An old version of a symbol, kept for programs linked long ago.
    compat: bool,
}

/// The symbols of one image.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    sorted: Vec<Symbol>,
}

/// The versions of dynamic symbols, by index; empty where there are none.
fn versions<'data>(
    kind: elf::SectionType,
    sections: &SectionTable<'data, elf::FileHeader64<Endianness>>,
    data: &'data [u8],
) -> &'data [elf::Versym<Endianness>] {
    match sections.gnu_versym(Endianness::Little, data) {
        Ok(Some((versions, _))) if kind == elf::SHT_DYNSYM => versions,
        _ => &[],
    }
}

/// Whether there is a `.symtab`, which stripping takes away.
pub(super) fn has_table(image: &Image) -> bool {
    let endian = Endianness::Little;
    let data = image.data();
    let header = elf::FileHeader64::<Endianness>::parse(data).ok();
    let sections = header.and_then(|header| header.sections(endian, data).ok());
    sections.is_some_and(|it| it.iter().any(|section| section.sh_type(endian) == elf::SHT_SYMTAB))
}

/// The name of the variable that an address belongs to.
pub(super) fn variable_at(image: &Image, address: u64) -> Option<String> {
    let endian = Endianness::Little;
    let data = image.data();
    let header = elf::FileHeader64::<Endianness>::parse(data).ok()?;
    let sections = header.sections(endian, data).ok()?;
    let tables = sections.iter().filter_map(|section| {
        let kind = section.sh_type(endian);
        let wanted = matches!(kind, elf::SHT_SYMTAB | elf::SHT_DYNSYM);
        let symbols = section.data_as_array(endian, data).ok().filter(|_| wanted)?;
        let link = object::SectionIndex(section.sh_link(endian) as usize);
        Some((symbols, sections.section(link).ok()?.sh_offset(endian)))
    });
    let name = |(symbols, strings): (&[elf::Sym64<Endianness>], u64)| {
        let symbol = symbols.iter().find(|symbol| {
            let at = address.checked_sub(symbol.st_value(endian));
            symbol.st_type() == elf::STT_OBJECT
                && symbol.st_shndx(endian) != elf::SHN_UNDEF
                && at.is_some_and(|at| at < symbol.st_size(endian))
        })?;
        let name = strings.checked_add(u64::from(symbol.st_name(endian)))?;
        let name = bytes::c_str(data, name, NAME_LIMIT)?;
        Some(String::from_utf8_lossy(name).into_owned())
    };
    tables.filter_map(name).find(|name| !name.is_empty())
}

impl Symbols {
    pub(super) fn read(image: &Image) -> Result<Self, ImageError> {
        let data = image.data();
        let endian = Endianness::Little;
        let parsed = elf::FileHeader64::<Endianness>::parse(data);
        let header = parsed.map_err(|error| image.bad(0, format!("ELF header: {error}")))?;
        let place = header.e_shoff.get(endian);
        let sections = header
            .sections(endian, data)
            .map_err(|error| image.bad(place, format!("section headers: {error}")))?;
        let mut sorted = Vec::new();
        let is_table = |section: &&elf::SectionHeader64<Endianness>| {
            matches!(section.sh_type(endian), elf::SHT_SYMTAB | elf::SHT_DYNSYM)
        };
        for section in sections.iter().filter(is_table).take(MOST_TABLES) {
            let kind = section.sh_type(endian);
            let offset = section.sh_offset(endian);
            let bad = |error| image.bad(offset, format!("symbol table: {error}"));
            let symbols: &[elf::Sym64<Endianness>] =
                section.data_as_array(endian, data).map_err(bad)?;
            let versions = versions(kind, &sections, data);
            let link = object::SectionIndex(section.sh_link(endian) as usize);
            let strings = sections.section(link).map_err(bad)?.sh_offset(endian);
            let room = MOST - sorted.len();
            sorted.extend(
                symbols
                    .iter()
                    .enumerate()
                    .filter_map(|(index, symbol)| {
                        let ifunc = symbol.st_type() == elf::STT_GNU_IFUNC;
                        let address = symbol.st_value(endian);
                        let wanted = (symbol.st_type() == elf::STT_FUNC || ifunc)
                            && symbol.st_shndx(endian) != elf::SHN_UNDEF
                            && image.probe_offset(address, 1).is_some()
                            && !image.go().is_some_and(|go| go.starts_at(address));
                        wanted.then_some(Symbol {
                            address,
                            size: symbol.st_size(endian),
                            name: strings.checked_add(u64::from(symbol.st_name(endian)))?,
                            ifunc,
                            compat: versions
                                .get(index)
                                .is_some_and(|version| version.0.get(endian).0 & HIDDEN != 0),
                        })
                    })
                    .take(room),
            );
        }
        sorted.sort_unstable();
        sorted.dedup();
        Ok(Self { sorted })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    pub(super) fn iter<'a>(&'a self, image: &'a Image) -> impl Iterator<Item = Function<'a>> {
        (0..self.sorted.len()).filter_map(|index| self.function(image, index))
    }

    pub(super) fn at<'a>(&'a self, image: &'a Image, address: u64) -> Option<Function<'a>> {
        let after = self.sorted.partition_point(|symbol| symbol.address <= address);
        // Symbols at one address are aliases; the last one has the greatest size.
        let function = self.function(image, after.checked_sub(1)?)?;
        (address < function.end).then_some(function)
    }

    fn function<'a>(&'a self, image: &'a Image, index: usize) -> Option<Function<'a>> {
        let symbol = *self.sorted.get(index)?;
        let raw = String::from_utf8_lossy(bytes::c_str(image.data(), symbol.name, NAME_LIMIT)?);
        // The default version goes by the plain name, in `.symtab` after `@@`.
        let raw = match raw.find("@@") {
            Some(at) if at > 0 => Cow::Owned(raw[..at].to_owned()),
            _ if symbol.compat => Cow::Owned(format!("{raw}@compat")),
            _ => raw,
        };
        let name = match rustc_demangle::try_demangle(&raw) {
            Ok(demangled) => Cow::Owned(format!("{demangled:#}")),
            Err(_) => raw.clone(),
        };
        let end = match symbol.size {
            0 => self.next_address(index, symbol.address),
            size => symbol.address.checked_add(size)?,
        };
        let kind = if symbol.ifunc { FunctionKind::Ifunc } else { FunctionKind::Native };
        let (name, raw) = (Outside::new(name), Outside::new(raw));
        Some(Function { name, raw, start: symbol.address, end, kind })
    }

    /// Where a function of unknown size must end: at the next symbol, or a page on.
    fn next_address(&self, index: usize, address: u64) -> u64 {
        let later = self.sorted[index..].iter().find(|symbol| symbol.address > address);
        later.map_or(address.saturating_add(4096), |symbol| symbol.address)
    }
}
