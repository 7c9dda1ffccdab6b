//! Go's function table (`pclntab`), present in stripped binaries too.
//!
//! In: an image's bytes. Out: every Go function with name, bounds, file and line, and
//! the calls that were inlined into it. The layout is `runtime.pcHeader`,
//! `runtime.functab` and `runtime._func` in `src/runtime/symtab.go` and `runtime2.go`
//! of Go 1.18 to 1.27; of inlined calls `runtime.inlinedCall` in `symtab.go` of Go 1.19
//! and `symtabinl.go` of Go 1.21 to 1.27, where `inlineUnwinder` walks them.

use std::borrow::Cow;

use super::bytes;
use super::image::Image;
use crate::outside::Shown as _;

/// `abi.Go118PCLnTabMagic`: Go 1.18 and 1.19.
const MAGIC_118: u32 = 0xffff_fff0;
/// `abi.Go120PCLnTabMagic`: since Go 1.20.
const MAGIC_120: u32 = 0xffff_fff1;
/// `go12magic` and `go116magic` of `debug/gosym`.
const MAGICS_OLD: [u32; 2] = [0xffff_fffb, 0xffff_fffa];
/// Size of `runtime.pcHeader` on 64-bit machines.
const HEADER_SIZE: u64 = 72;
/// Most functions believed: a hundred times the largest known program.
const FUNCTIONS_LIMIT: u64 = 1 << 26;
/// Longest function or file name read, in bytes.
const NAME_LIMIT: usize = 16 << 10;

/// Steps of a pc-value table after which it is given up: each is a change of line or
/// file in one function.
const PC_STEPS_LIMIT: usize = 1 << 20;
/// `PCDATA_InlTreeIndex` and `FUNCDATA_InlTree` of `internal/abi/symtab.go`.
const PCDATA_INLINE_INDEX: u64 = 2;
const FUNCDATA_INLINE_TREE: u64 = 3;
/// Inlined calls within each other at one address, at most.
const INLINE_DEPTH_LIMIT: usize = 64;

/// Where a Go version keeps what leads to inlined calls; in bytes.
#[derive(Debug)]
struct InlineLayout {
    /// Size of `_func` without the arrays behind it.
    record: u64,
    /// Size of `inlinedCall`.
    call: u64,
    /// In it: the called function's name.
    name: u64,
    /// In it: an instruction at the line of the call.
    parent_pc: u64,
}

const INLINE_118: InlineLayout = InlineLayout { record: 40, call: 20, name: 12, parent_pc: 16 };
const INLINE_120: InlineLayout = InlineLayout { record: 44, call: 16, name: 4, parent_pc: 8 };

/// Why a table cannot be used.
#[derive(Debug)]
pub(super) enum Problem {
    /// Built by a Go that is too old; a sentence for the user.
    Old(String),
    /// It contradicts itself at this file offset.
    Bad { offset: u64, what: String },
}

/// Where an image has its table.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) address: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) header: Header,
}

/// The checked header.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// Built by Go 1.20 or later.
    pub(super) since_120: bool,
    pub(super) functions: u64,
    /// 0 where only moduledata knows it (Go 1.26 and later).
    pub(super) text_start: u64,
    names: u64,
    units: u64,
    files: u64,
    pc_values: u64,
    table: u64,
    text_size: u32,
}

impl Header {
    /// Checks the header and that the function table is inside the data and in
    /// order; on failure the offset in `data` and what is wrong there.
    fn parse(data: &[u8]) -> Result<Self, (u64, String)> {
        let word = |at| bytes::u64(data, at).ok_or((at, "it ends in its header".to_owned()));
        let magic = bytes::u32(data, 0).ok_or((0, "it is empty".to_owned()))?;
        let since_120 = match magic {
            MAGIC_118 => false,
            MAGIC_120 => true,
            other => return Err((0, format!("its magic number {other:#x} is not known"))),
        };
        // Two zero bytes, instruction quantum 1, pointer size 8.
        if bytes::slice(data, 4, 4) != Some(&[0, 0, 1, 8]) {
            return Err((4, "it is not for a 64-bit x86 machine".to_owned()));
        }
        let functions = word(8)?;
        let mut tables = [0; 5];
        for (table, at) in tables.iter_mut().zip([32, 40, 48, 56, 64]) {
            *table = word(at)?;
            if *table < HEADER_SIZE || *table > data.len() as u64 {
                return Err((at, format!("it places a table at {table:#x}, outside of itself")));
            }
        }
        let [names, units, files, pc_values, table] = tables;
        if functions > FUNCTIONS_LIMIT {
            return Err((8, format!("it claims {functions} functions")));
        }
        let mut header = Self {
            since_120,
            functions,
            text_start: word(24)?,
            names,
            units,
            files,
            pc_values,
            table,
            text_size: 0,
        };
        header.text_size = header.check_order(data)?;
        Ok(header)
    }

    /// The functions must be in the order of their addresses; returns the end of the last.
    fn check_order(&self, data: &[u8]) -> Result<u32, (u64, String)> {
        let entries = bytes::slice(data, self.table, self.functions * 8 + 4)
            .ok_or((8, format!("it claims {} functions and ends before them", self.functions)))?;
        let mut last = 0;
        for (index, entry) in entries.chunks(8).enumerate() {
            let start = bytes::u32(entry, 0).unwrap_or(0);
            if start < last {
                let at = self.table + index as u64 * 8;
                return Err((at, format!("function {index} lies before its predecessor")));
            }
            last = start;
        }
        Ok(last)
    }

    /// Bytes of code from the first function's base to the end of the last one.
    pub(super) fn text_size(&self) -> u32 {
        self.text_size
    }
}

/// Finds the table by its section, or where there is none (stripped of sections,
/// cgo PIE) by its magic number in the data.
pub(super) fn locate(image: &Image) -> Result<Option<Place>, Problem> {
    for name in [".gopclntab", ".data.rel.ro.gopclntab"] {
        if let Some(section) = image.section(name) {
            return in_section(image, section.address, section.offset, section.size).map(Some);
        }
    }
    let data_sections = image.sections().iter().filter(|section| section.name == ".data.rel.ro");
    let mut ranges: Vec<_> =
        data_sections.map(|section| (section.address, section.offset, section.size)).collect();
    if image.sections().is_empty() {
        let segments = image.segments().iter();
        ranges = segments.map(|part| (part.address, part.offset, part.file_size)).collect();
    }
    Ok(ranges.into_iter().find_map(|(address, offset, size)| scan(image, address, offset, size)))
}

fn in_section(image: &Image, address: u64, offset: u64, size: u64) -> Result<Place, Problem> {
    let bad = |at: u64, what: &str| Problem::Bad {
        offset: offset.saturating_add(at),
        what: format!("the Go function table (pclntab): {what}"),
    };
    let data = bytes::slice(image.data(), offset, size)
        .ok_or_else(|| bad(0, "its section reaches past the end of the file"))?;
    if bytes::u32(data, 0).is_some_and(|magic| MAGICS_OLD.contains(&magic)) {
        let path = image.path().shown();
        return Err(Problem::Old(format!(
            "{path} was built by a Go older than 1.18, whose functions mapprof cannot read"
        )));
    }
    let header = Header::parse(data).map_err(|(at, what)| bad(at, &what))?;
    Ok(Place { address, offset, size, header })
}

fn scan(image: &Image, address: u64, offset: u64, size: u64) -> Option<Place> {
    let data = bytes::slice(image.data(), offset, size)?;
    for (index, chunk) in data.chunks_exact(8).enumerate() {
        // Magic, two zero bytes, quantum 1, pointer size 8.
        if matches!(chunk, [0xf0 | 0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]) {
            let at = index as u64 * 8;
            if let Ok(header) = Header::parse(&data[index * 8..]) {
                let place = Place {
                    address: address.wrapping_add(at),
                    offset: offset + at,
                    size: size - at,
                    header,
                };
                return Some(place);
            }
        }
    }
    None
}

/// A Go function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GoFunction<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) start: u64,
    pub(super) end: u64,
    /// Where its `_func` lies in the table.
    record: u64,
}

/// A function that an address belongs to, and where in its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GoFrame<'a> {
    pub(super) function: Cow<'a, str>,
    /// File and line.
    pub(super) line: Option<(Cow<'a, str>, u32)>,
}

/// The table of one image, ready for lookups.
#[derive(Clone, Copy, Debug)]
pub(super) struct GoTable<'a> {
    data: &'a [u8],
    header: &'a Header,
    text: u64,
    gofunc: &'a [u8],
}

impl<'a> GoTable<'a> {
    /// `data` begins with the header; `text` is the address offsets are relative to;
    /// `gofunc` is what moduledata's word of that name points to, empty if unknown.
    pub(super) fn new(data: &'a [u8], header: &'a Header, text: u64, gofunc: &'a [u8]) -> Self {
        Self { data, header, text, gofunc }
    }

    fn start_offset(self, index: u64) -> Option<u32> {
        bytes::u32(self.data, self.header.table + index * 8)
    }

    fn function(self, index: u64) -> Option<GoFunction<'a>> {
        if index >= self.header.functions {
            return None;
        }
        let record = self.header.table
            + u64::from(bytes::u32(self.data, self.header.table + index * 8 + 4)?);
        Some(GoFunction {
            name: self.name(bytes::u32(self.data, record + 4)?)?,
            start: self.text + u64::from(self.start_offset(index)?),
            end: self.text + u64::from(self.start_offset(index + 1)?),
            record,
        })
    }

    fn name(self, offset: u32) -> Option<Cow<'a, str>> {
        let name = bytes::c_str(self.data, self.header.names + u64::from(offset), NAME_LIMIT)?;
        Some(String::from_utf8_lossy(name))
    }

    /// Index of the last function that starts at or before an address.
    fn index_at(self, address: u64) -> Option<u64> {
        let offset = u32::try_from(address.checked_sub(self.text)?).ok()?;
        if offset >= self.header.text_size {
            return None;
        }
        let (mut low, mut high) = (0, self.header.functions);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.start_offset(middle)? <= offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.checked_sub(1)
    }

    /// Every function in the order of addresses.
    pub(super) fn functions(self) -> impl Iterator<Item = GoFunction<'a>> {
        (0..self.header.functions).filter_map(move |index| self.function(index))
    }

    /// The function whose code holds an address.
    pub(super) fn function_at(self, address: u64) -> Option<GoFunction<'a>> {
        self.function(self.index_at(address)?)
    }

    /// Whether a function starts exactly there.
    pub(super) fn starts_at(self, address: u64) -> bool {
        let start = self.index_at(address).and_then(|index| self.start_offset(index));
        start.is_some_and(|offset| self.text + u64::from(offset) == address)
    }

    /// The functions that an address belongs to, innermost first, never empty: those
    /// inlined there, then the one whose code it is. Each but the first is at the line
    /// of its call to the one before it.
    pub(super) fn frames(self, address: u64) -> Option<Vec<GoFrame<'a>>> {
        let function = self.function_at(address)?;
        let frames = self.unwind(&function, address);
        Some(frames.unwrap_or_else(|| {
            let line = self.own_line(&function, address);
            vec![GoFrame { function: function.name, line }]
        }))
    }

    /// What `runtime.inlineUnwinder` walks; `None` where the table contradicts itself
    /// or cannot be read.
    fn unwind(self, function: &GoFunction<'a>, address: u64) -> Option<Vec<GoFrame<'a>>> {
        let mut frames = Vec::new();
        let mut pc = address;
        while frames.len() <= INLINE_DEPTH_LIMIT {
            let line = self.line(function, pc);
            let Ok(index) = u64::try_from(self.inline_index(function, pc)?) else {
                frames.push(GoFrame { function: function.name.clone(), line });
                return Some(frames);
            };
            let (name, parent_pc) = self.inlined_call(function, index)?;
            frames.push(GoFrame { function: name, line });
            pc = function.start.checked_add(u64::from(parent_pc))?;
            if pc >= function.end {
                return None;
            }
        }
        None
    }

    fn inline_layout(self) -> &'static InlineLayout {
        if self.header.since_120 { &INLINE_120 } else { &INLINE_118 }
    }

    /// Which inlined call an address belongs to; negative where it is in none.
    fn inline_index(self, function: &GoFunction<'a>, pc: u64) -> Option<i32> {
        let tables = function.record.checked_add(self.inline_layout().record)?;
        let count = bytes::u32(self.data, function.record + 28)?;
        if u64::from(count) <= PCDATA_INLINE_INDEX {
            return Some(-1);
        }
        match bytes::u32(self.data, tables + 4 * PCDATA_INLINE_INDEX)? {
            0 => Some(-1),
            table => self.pc_value(table.into(), function.start, pc),
        }
    }

    /// Name of the function that was inlined, and the offset of an instruction whose
    /// line is that of the call.
    fn inlined_call(self, function: &GoFunction<'a>, index: u64) -> Option<(Cow<'a, str>, u32)> {
        let layout = self.inline_layout();
        let tables = function.record.checked_add(layout.record)?;
        let pc_tables = u64::from(bytes::u32(self.data, function.record + 28)?);
        // The last byte of the record is the number of offsets.
        if u64::from(bytes::u8(self.data, tables - 1)?) <= FUNCDATA_INLINE_TREE {
            return None;
        }
        let tree = bytes::u32(self.data, tables + 4 * (pc_tables + FUNCDATA_INLINE_TREE))?;
        // An offset of all ones means that there is none, and lies outside.
        let call = u64::from(tree) + index * layout.call;
        let name = self.name(bytes::u32(self.gofunc, call + layout.name)?)?;
        (!name.is_empty()).then_some((name, bytes::u32(self.gofunc, call + layout.parent_pc)?))
    }

    /// File and line of an address, but not those of something inlined from another
    /// file: for where the inlined calls cannot be read.
    fn own_line(self, function: &GoFunction<'a>, address: u64) -> Option<(Cow<'a, str>, u32)> {
        let (own, _) = self.line(function, function.start)?;
        self.line(function, address).filter(|(file, _)| *file == own)
    }

    /// Source file and line of an address inside the function.
    fn line(self, function: &GoFunction<'a>, address: u64) -> Option<(Cow<'a, str>, u32)> {
        let field = |at| bytes::u32(self.data, function.record + at).map(u64::from);
        let file = self.pc_value(field(20)?, function.start, address)?;
        let line = self.pc_value(field(24)?, function.start, address)?;
        let slot = field(32)?.checked_add(u64::try_from(file).ok()?)?.checked_mul(4)?;
        let name = bytes::u32(self.data, self.header.units.checked_add(slot)?)?;
        let name = bytes::c_str(self.data, self.header.files + u64::from(name), NAME_LIMIT)?;
        Some((String::from_utf8_lossy(name), u32::try_from(line).ok()?))
    }

    /// A value of a pc-value table: pairs of value difference (zigzag) and length
    /// in bytes, as `runtime.pcvalue` reads them. Table 0 is none.
    fn pc_value(self, table: u64, start: u64, address: u64) -> Option<i32> {
        if table == 0 {
            return None;
        }
        let mut at = self.header.pc_values.checked_add(table)?;
        let mut pc = start;
        let mut value = -1i32;
        for _ in 0..PC_STEPS_LIMIT {
            let (difference, next) = bytes::varint(self.data, at)?;
            if difference == 0 && pc != start {
                return None;
            }
            let difference = difference as u32;
            let step = (difference >> 1) as i32 ^ -((difference & 1) as i32);
            value = value.wrapping_add(step);
            let (length, next) = bytes::varint(self.data, next)?;
            pc = pc.checked_add(length)?;
            at = next;
            if address < pc {
                return Some(value);
            }
        }
        None
    }
}
