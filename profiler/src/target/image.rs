//! An ELF file as the other stages want it: addresses, bytes, functions.
//!
//! In: a path. Out: an [`Image`]; a file that lies about itself is an error that
//! names the file and the offset.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use memmap2::Mmap;
use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _};

use super::error::ImageError;
use super::moduledata::ModuleData;
use super::pclntab::{GoFrame, GoTable, Header};
use super::symbols::{self, Symbols};
use super::{buildinfo, bytes, mmap, moduledata, pclntab};
use crate::outside::{Outside, Shown as _};

/// Longest path (`PATH_MAX`), with the zero behind it.
const PATH_LIMIT: usize = 4097;
/// Sections that are looked at; programs have some forty.
const SECTIONS_LIMIT: usize = 4096;
/// Bytes of their names.
const SECTION_NAME_LIMIT: usize = 64;
/// Relocations by the load address that are read, ten times those of a large program.
const RELOCATIONS_LIMIT: usize = 4_000_000;

type FileHeader = elf::FileHeader64<Endianness>;

/// Where a function comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    /// Go's own function table.
    Go,
    /// `.symtab` or `.dynsym`.
    Native,
    /// A symbol whose value is a resolver, not the function.
    Ifunc,
}

/// A function of an image; addresses are the file's virtual ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function<'a> {
    /// Its name, demangled where it was mangled.
    pub name: Outside<Cow<'a, str>>,
    /// Its name as the symbol table has it.
    pub raw: Outside<Cow<'a, str>>,
    /// First byte.
    pub start: u64,
    /// First byte after it.
    pub end: u64,
    /// Where it comes from.
    pub kind: FunctionKind,
}

/// A loaded range of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) address: u64,
    pub(super) file_size: u64,
    pub(super) memory_size: u64,
    pub(super) offset: u64,
    pub(super) writable: bool,
    pub(super) executable: bool,
}

impl Segment {
    fn file_range(self, address: u64, len: u64) -> Option<u64> {
        let inside = address.checked_sub(self.address)?;
        (inside.checked_add(len)? <= self.file_size).then(|| self.offset + inside)
    }
}

/// A named range of the file.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) address: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
}

#[derive(Debug)]
struct Go {
    /// Place of the function table in the file.
    offset: u64,
    size: u64,
    header: Header,
    module: ModuleData,
    version: Option<String>,
}

/// An ELF executable or library.
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
    map: Mmap,
    position_independent: bool,
    interpreter: Option<String>,
    segments: Vec<Segment>,
    sections: Vec<Section>,
    dynamic: Option<(u64, u64)>,
    symbols: Symbols,
    relocations: OnceLock<Vec<(u64, u64)>>,
    go: Option<Go>,
    notes: Vec<String>,
}

impl Image {
    /// Maps and checks the file.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let file =
            File::open(path).map_err(|source| ImageError::Io { path: path.to_owned(), source })?;
        Self::read(&file, path)
    }

    /// The same of a file that is open; `path` is what errors call it.
    pub(super) fn read(mut file: &File, path: &Path) -> Result<Self, ImageError> {
        let io = |source| ImageError::Io { path: path.to_owned(), source };
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(io(std::io::Error::other("not a regular file")));
        }
        let mut magic = Vec::with_capacity(256);
        file.by_ref().take(256).read_to_end(&mut magic).map_err(io)?;
        if let Some(line) = magic.strip_prefix(b"#!") {
            let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let interpreter = String::from_utf8_lossy(line).trim().into();
            return Err(ImageError::Script { path: path.to_owned(), interpreter });
        }
        if !magic.starts_with(&elf::ELFMAG) {
            return Err(ImageError::NotElf { path: path.to_owned() });
        }
        Self::parse(path, mmap::map(file).map_err(io)?)
    }

    fn parse(path: &Path, map: Mmap) -> Result<Self, ImageError> {
        let data: &[u8] = &map;
        let bad = |offset: u64, what: String| ImageError::Malformed {
            path: path.to_owned(),
            offset,
            what,
        };
        let unsupported = |what: String| ImageError::Unsupported { path: path.to_owned(), what };
        match (bytes::u8(data, 4), bytes::u8(data, 5)) {
            (Some(2), Some(1)) => {} // ELFCLASS64, ELFDATA2LSB
            (Some(class), Some(order)) => {
                return Err(unsupported(format!("ELF class {class}, byte order {order}")));
            }
            _ => {
                return Err(bad(data.len() as u64, "the file ends inside the ELF header".into()));
            }
        }
        let header = FileHeader::parse(data)
            .map_err(|error| bad(0, format!("the ELF header does not parse: {error}")))?;
        let endian = Endianness::Little;
        if header.e_machine.get(endian) != elf::EM_X86_64 {
            return Err(unsupported(format!("for machine {}", header.e_machine.get(endian).0)));
        }
        let position_independent = match header.e_type.get(endian) {
            elf::ET_EXEC => false,
            elf::ET_DYN => true,
            other => return Err(unsupported(format!("an ELF file of type {}", other.0))),
        };

        let mut image = Self {
            path: path.to_owned(),
            position_independent,
            interpreter: None,
            segments: Vec::new(),
            sections: Vec::new(),
            dynamic: None,
            symbols: Symbols::default(),
            relocations: OnceLock::new(),
            go: None,
            notes: Vec::new(),
            map,
        };
        image.read_segments()?;
        image.read_sections()?;
        image.go = image.find_go()?;
        image.symbols = Symbols::read(&image)?;
        if image.symbols.len() == symbols::MOST {
            let path = path.shown();
            image.notes.push(format!("{path} has more symbols than are read: some are missing"));
        }
        Ok(image)
    }

    fn read_segments(&mut self) -> Result<(), ImageError> {
        let data: &[u8] = &self.map;
        let endian = Endianness::Little;
        let header = FileHeader::parse(data)
            .map_err(|error| self.bad(0, format!("the ELF header does not parse: {error}")))?;
        let table = header.e_phoff.get(endian);
        let headers = header
            .program_headers(endian, data)
            .map_err(|error| self.bad(table, format!("program headers: {error}")))?;
        let mut segments = Vec::new();
        let mut interpreter = None;
        let mut dynamic = None;
        for (index, header) in headers.iter().enumerate() {
            let place = table + index as u64 * size_of_val(header) as u64;
            let kind = header.p_type(endian);
            if !matches!(kind, elf::PT_LOAD | elf::PT_INTERP | elf::PT_DYNAMIC) {
                continue;
            }
            let segment = Segment {
                address: header.p_vaddr(endian),
                file_size: header.p_filesz(endian),
                memory_size: header.p_memsz(endian),
                offset: header.p_offset(endian),
                writable: header.p_flags(endian).contains(elf::PF_W),
                executable: header.p_flags(endian).contains(elf::PF_X),
            };
            let Some(contents) = bytes::slice(data, segment.offset, segment.file_size) else {
                let what = format!(
                    "a program header asks for {:#x} bytes at {:#x}, the file has {:#x} (truncated?)",
                    segment.file_size,
                    segment.offset,
                    data.len()
                );
                return Err(self.bad(place, what));
            };
            if segment.address.checked_add(segment.memory_size).is_none() {
                return Err(self.bad(place, "a segment wraps around the address space".into()));
            }
            match kind {
                elf::PT_LOAD => segments.push(segment),
                elf::PT_INTERP if contents.len() > PATH_LIMIT => {
                    return Err(self.bad(place, "its interpreter has no path's length".into()));
                }
                elf::PT_INTERP => {
                    let text = contents.strip_suffix(&[0]).unwrap_or(contents);
                    interpreter = Some(String::from_utf8_lossy(text).into_owned());
                }
                _ => dynamic = Some((segment.offset, segment.file_size)),
            }
        }
        if segments.is_empty() {
            return Err(self.bad(table, "it has no loadable segment".into()));
        }
        (self.segments, self.interpreter, self.dynamic) = (segments, interpreter, dynamic);
        Ok(())
    }

    fn read_sections(&mut self) -> Result<(), ImageError> {
        let data: &[u8] = &self.map;
        let endian = Endianness::Little;
        let header = FileHeader::parse(data)
            .map_err(|error| self.bad(0, format!("the ELF header does not parse: {error}")))?;
        let table = header.e_shoff.get(endian);
        let bad = |error| self.bad(table, format!("section headers: {error}"));
        let sections = header.sections(endian, data).map_err(bad)?;
        self.sections = sections
            .iter()
            .take(SECTIONS_LIMIT)
            .filter(|section| section.sh_type(endian) == elf::SHT_PROGBITS)
            .filter(|section| section.sh_flags(endian).contains(elf::SHF_ALLOC))
            .map(|section| {
                let name = sections.section_name(endian, section).unwrap_or_default();
                let name = &name[..name.len().min(SECTION_NAME_LIMIT)];
                Section {
                    name: String::from_utf8_lossy(name).into_owned(),
                    address: section.sh_addr(endian),
                    offset: section.sh_offset(endian),
                    size: section.sh_size(endian),
                }
            })
            .collect();
        Ok(())
    }

    fn find_go(&mut self) -> Result<Option<Go>, ImageError> {
        let place = match pclntab::locate(self) {
            Ok(Some(place)) => place,
            Ok(None) => return Ok(None),
            Err(pclntab::Problem::Old(note)) => {
                self.notes.push(note);
                return Ok(None);
            }
            Err(pclntab::Problem::Bad { offset, what }) => return Err(self.bad(offset, what)),
        };
        let Some(module) = moduledata::find(self, &place) else {
            let what =
                "no moduledata belongs to this Go function table, so its addresses are unknown";
            return Err(self.bad(place.offset, what.into()));
        };
        let text_size = u64::from(place.header.text_size());
        let executable = self.probe_offset(module.text, text_size).is_some();
        if !executable {
            let what = format!(
                "the Go function table claims code at {:#x} that no executable segment holds",
                module.text
            );
            return Err(self.bad(place.offset, what));
        }
        Ok(Some(Go {
            offset: place.offset,
            size: place.size,
            header: place.header,
            module,
            version: buildinfo::go_version(self),
        }))
    }

    pub(super) fn bad(&self, offset: u64, what: String) -> ImageError {
        ImageError::Malformed { path: self.path.clone(), offset, what }
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its addresses get a bias when it is loaded.
    pub fn is_position_independent(&self) -> bool {
        self.position_independent
    }

    /// The dynamic linker it asks for.
    pub fn interpreter(&self) -> Option<Outside<&str>> {
        self.interpreter.as_deref().map(Outside::new)
    }

    /// The Go version that built it, `go1.24.11`; `None` for a program without Go,
    /// `unknown` where the build information is missing.
    pub fn go_version(&self) -> Option<Outside<&str>> {
        self.go.as_ref().map(|go| Outside::new(go.version.as_deref().unwrap_or("unknown")))
    }

    /// What was noticed and left aside when it was opened.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Address of Go's type data, to which name offsets are relative.
    pub(super) fn go_types(&self) -> Option<u64> {
        self.go.as_ref().map(|go| go.module.types)
    }

    /// Where Go's type data begins and ends.
    pub(super) fn go_types_range(&self) -> Option<(u64, u64)> {
        self.go.as_ref().and_then(|go| Some((go.module.types, go.module.types_end?)))
    }

    /// Go's function table.
    pub(super) fn go(&self) -> Option<GoTable<'_>> {
        let go = self.go.as_ref()?;
        let data = bytes::slice(&self.map, go.offset, go.size)?;
        let gofunc = go.module.gofunc.and_then(|address| self.bytes_from(address));
        Some(GoTable::new(data, &go.header, go.module.text, gofunc.unwrap_or_default()))
    }

    pub(super) fn data(&self) -> &[u8] {
        &self.map
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(super) fn sections(&self) -> &[Section] {
        &self.sections
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The `len` bytes that the file has for a virtual address.
    pub fn bytes_at(&self, address: u64, len: u64) -> Option<&[u8]> {
        let offset = self.segments.iter().find_map(|segment| segment.file_range(address, len))?;
        bytes::slice(&self.map, offset, len)
    }

    /// What the file has from a virtual address to the end of its segment.
    fn bytes_from(&self, address: u64) -> Option<&[u8]> {
        let inside = |segment: &&Segment| segment.file_range(address, 1).is_some();
        let segment = self.segments.iter().find(inside)?;
        self.bytes_at(address, segment.file_size - (address - segment.address))
    }

    /// Whether these bytes belong to a segment that no program writes to.
    pub(super) fn is_constant(&self, address: u64, len: u64) -> bool {
        let mut segments = self.segments.iter();
        segments.any(|it| !it.writable && it.file_range(address, len).is_some())
    }

    /// Whether a virtual address belongs to a loaded segment.
    pub(super) fn holds(&self, address: u64) -> bool {
        let inside = |segment: &Segment| {
            address.checked_sub(segment.address).is_some_and(|at| at < segment.memory_size)
        };
        self.segments.iter().any(inside)
    }

    /// File offset of `len` executable bytes at a virtual address, what a uprobe
    /// is attached by.
    pub fn probe_offset(&self, address: u64, len: u64) -> Option<u64> {
        let mut executable = self.segments.iter().filter(|segment| segment.executable);
        executable.find_map(|segment| segment.file_range(address, len))
    }

    /// Virtual address at which an executable segment holds a file offset.
    pub fn address_of_offset(&self, offset: u64) -> Option<u64> {
        self.segments.iter().filter(|segment| segment.executable).find_map(|segment| {
            // The kernel maps whole pages: an offset may lie before the segment's first byte.
            let page = segment.offset & !0xfff;
            let inside = offset.checked_sub(page)?;
            (inside < segment.file_size + (segment.offset - page))
                .then(|| segment.address.wrapping_sub(segment.offset - page).wrapping_add(inside))
        })
    }

    /// Eight bytes at a virtual address as they are once relocations by the load
    /// address (with bias 0) are applied.
    pub fn word(&self, address: u64) -> Option<u64> {
        let relocations = self.relocations();
        if let Ok(index) = relocations.binary_search_by_key(&address, |&(place, _)| place) {
            return Some(relocations[index].1);
        }
        bytes::u64(self.bytes_at(address, 8)?, 0)
    }

    /// `R_X86_64_RELATIVE` relocations as (address, value with bias 0), sorted.
    pub(super) fn relocations(&self) -> &[(u64, u64)] {
        self.relocations.get_or_init(|| self.read_relocations().unwrap_or_default())
    }

    /// Those that touch a range of addresses.
    pub(super) fn relocations_in(&self, start: u64, end: u64) -> &[(u64, u64)] {
        let all = self.relocations();
        let first = all.partition_point(|&(place, _)| place.saturating_add(8) <= start);
        let last = all.partition_point(|&(place, _)| place < end);
        all.get(first..last).unwrap_or_default()
    }

    fn read_relocations(&self) -> Option<Vec<(u64, u64)>> {
        let (offset, size) = self.dynamic?;
        let dynamic = bytes::slice(&self.map, offset, size)?;
        let (mut table, mut table_size) = (None, None);
        for entry in dynamic.chunks_exact(16) {
            match elf::DynamicTag(bytes::u64(entry, 0)? as i64) {
                elf::DT_NULL => break,
                elf::DT_RELA => table = bytes::u64(entry, 8),
                elf::DT_RELASZ => table_size = bytes::u64(entry, 8),
                _ => {}
            }
        }
        let entries = self.bytes_at(table?, table_size?)?.chunks_exact(24);
        let mut relocations: Vec<_> = entries
            .filter(|entry| bytes::u64(entry, 8) == Some(u64::from(elf::R_X86_64_RELATIVE.0)))
            .filter_map(|entry| Some((bytes::u64(entry, 0)?, bytes::u64(entry, 16)?)))
            .take(RELOCATIONS_LIMIT)
            .collect();
        relocations.sort_unstable();
        Some(relocations)
    }

    /// How many symbols are kept in memory.
    pub(super) fn symbols_kept(&self) -> usize {
        self.symbols.len()
    }

    /// Every function: Go's first, then the symbols at other addresses.
    pub fn functions(&self) -> impl Iterator<Item = Function<'_>> {
        let go = self.go().into_iter().flat_map(GoTable::functions).map(|function| Function {
            raw: Outside::new(function.name.clone()),
            name: Outside::new(function.name),
            start: function.start,
            end: function.end,
            kind: FunctionKind::Go,
        });
        go.chain(self.symbols.iter(self))
    }

    /// The function whose code holds an address.
    pub fn function_at(&self, address: u64) -> Option<Function<'_>> {
        if let Some(function) = self.go().and_then(|go| go.function_at(address)) {
            return Some(Function {
                raw: Outside::new(function.name.clone()),
                name: Outside::new(function.name),
                start: function.start,
                end: function.end,
                kind: FunctionKind::Go,
            });
        }
        self.symbols.at(self, address)
    }

    /// Where the symbol table says that a variable lies.
    pub fn variable(&self, symbol: &str) -> Option<u64> {
        use object::{Endianness, Object as _, ObjectSymbol as _, read::elf::ElfFile64};
        let file = ElfFile64::<Endianness>::parse(self.data()).ok()?;
        let found = file.symbol_by_name(symbol)?;
        Some(found.address()).filter(|&address| address > 0)
    }

    /// Whether a call can return to an address: it is executable and stands behind the
    /// bytes of a call (Intel SDM, CALL: `E8` and four bytes, or `FF /2` and its operand).
    pub fn follows_a_call(&self, address: u64) -> bool {
        /// Longest `FF /2`: with a scale byte and four bytes of displacement.
        const LONGEST: u64 = 7;
        if self.go().is_some_and(|go| go.function_at(address).is_some()) {
            // The outermost frame of a goroutine returns behind a nop.
            return true;
        }
        let is_code = |len| self.probe_offset(address.checked_sub(len)?, len);
        let Some(len) = (2..=LONGEST).rev().find(|&len| is_code(len).is_some()) else {
            return false;
        };
        let before = self.bytes_at(address - len, len).unwrap_or_default();
        let ends_with = |call: &dyn Fn(&[u8]) -> bool, len: usize| {
            before.len().checked_sub(len).is_some_and(|at| call(&before[at..]))
        };
        ends_with(&|call| call[0] == 0xe8, 5)
            || [2, 3, 4, 6, 7]
                .into_iter()
                .any(|len| ends_with(&|call| call[0] == 0xff && call[1] >> 3 & 7 == 2, len))
    }

    /// Whether it has a symbol table beside that of the dynamic linker.
    pub fn has_symbol_table(&self) -> bool {
        symbols::has_table(self)
    }

    /// The variable that an address belongs to, by the symbol tables.
    pub fn variable_at(&self, address: u64) -> Option<String> {
        symbols::variable_at(self, address)
    }

    /// The Go functions that an address belongs to, inlined ones first, with file and
    /// line; never empty. `None` outside of Go code.
    pub(super) fn go_frames(&self, address: u64) -> Option<Vec<GoFrame<'_>>> {
        self.go()?.frames(address)
    }
}

#[cfg(test)]
mod tests;
