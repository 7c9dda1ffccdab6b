//! A tiny Go executable, made by hand, for the tests of this crate.
//!
//! In: functions as names and code. Out: the bytes of an ELF file with a function
//! table, moduledata and build information, and nothing that could run.

use std::ops::Range;

/// Address of the first function.
pub(crate) const TEXT: u64 = 0x40_1000;
/// Distance from one function to the next, in bytes.
pub(crate) const STRIDE: u64 = 0x100;
/// Address of the data segment, which begins with the function table.
pub(crate) const DATA: u64 = 0x50_0000;
const TEXT_OFFSET: usize = 0x1000;
/// Distance from one `_func` to the next, in bytes.
const RECORD_STRIDE: usize = 72;
/// Address that moduledata gives for the types.
pub(crate) const TYPES: u64 = DATA + 0x7_0000;

/// What the file is made of.
pub(crate) struct TinyGo {
    /// Names and code, in the order of addresses.
    pub(crate) functions: Vec<(&'static str, Vec<u8>)>,
    /// The layout of Go 1.18 and 1.19.
    pub(crate) old: bool,
    /// The table's header knows where the code begins, as up to Go 1.25.
    pub(crate) text_in_header: bool,
    /// Section headers are there.
    pub(crate) sections: bool,
    /// The same in every function, in the order of addresses.
    pub(crate) inlined: Vec<Inlined>,
}

/// A call that the compiler inlined.
pub(crate) struct Inlined {
    /// The function called.
    pub(crate) name: &'static str,
    /// Its code, from the function's start; less than 64 bytes of it.
    pub(crate) code: Range<u8>,
    /// An instruction of the caller at the line of the call, from the function's start.
    pub(crate) parent_pc: u32,
}

impl TinyGo {
    /// A file like those of Go 1.27.
    pub(crate) fn new(functions: Vec<(&'static str, Vec<u8>)>) -> Self {
        Self { functions, old: false, text_in_header: false, sections: true, inlined: Vec::new() }
    }

    /// Address of a function.
    pub(crate) fn address(index: usize) -> u64 {
        TEXT + index as u64 * STRIDE
    }

    /// The file.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (_, code) in &self.functions {
            let start = text.len();
            text.extend(code);
            text.resize(start + STRIDE as usize, 0xcc);
        }
        let table = self.table();
        let mut data = table.clone();
        align(&mut data, 16);
        let module = data.len();
        data.extend(self.module_data(table.len() as u64));
        align(&mut data, 16);
        let build_info = data.len();
        data.extend(b"\xff Go buildinf:\x08\x02");
        data.resize(build_info + 32, 0);
        data.extend(b"\x08go1.27.3");

        let data_offset = (TEXT_OFFSET + text.len()).next_multiple_of(0x1000);
        let mut file = header(2);
        program_header(&mut file, 5, TEXT_OFFSET as u64, TEXT, text.len() as u64);
        program_header(&mut file, 6, data_offset as u64, DATA, data.len() as u64);
        file.resize(TEXT_OFFSET, 0);
        file.extend(text);
        file.resize(data_offset, 0);
        let sections = [
            (".gopclntab", 0, table.len()),
            (".go.module", module, build_info - module),
            (".go.buildinfo", build_info, data.len() - build_info),
        ];
        file.extend(data);
        if self.sections {
            add_sections(&mut file, data_offset, &sections);
        }
        file
    }

    /// `runtime.pcHeader` and the tables behind it. Each function is on line 10,
    /// and from its eighth byte on line 11, of `/src/tiny.go`; where there are inlined
    /// calls, the code of the last is of `/src/deep.go`.
    fn table(&self) -> Vec<u8> {
        let mut names = vec![0];
        let mut name_offsets = Vec::new();
        for (name, _) in &self.functions {
            name_offsets.push(names.len() as u32);
            names.extend(name.as_bytes());
            names.push(0);
        }
        let mut tree = Vec::new();
        for call in &self.inlined {
            let name = names.len() as u32;
            names.extend(call.name.as_bytes());
            names.push(0);
            let old = [0, 0, 0, name, call.parent_pc];
            let new = [0, name, call.parent_pc, 9];
            let words = if self.old { &old[..] } else { &new };
            tree.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        }
        align(&mut names, 8);
        let units = (13u64 << 32).to_le_bytes();
        let files = b"/src/tiny.go\0/src/deep.go\0\0\0\0\0\0\0";
        // A leading 0: offset 0 means that there is no table.
        let mut pc_values = vec![0];
        let file_table = pc_values.len() as u32;
        let deep = self.inlined.last().map_or(0..0, |call| call.code.clone());
        extend_pc_values(&mut pc_values, 0, &[(deep, 1)]);
        let line_table = pc_values.len() as u32;
        pc_values.extend([22, 8, 2, 0xf8, 1, 0]);
        let index_table = pc_values.len() as u32;
        let indexes = self.inlined.iter().zip(0..).map(|(call, index)| (call.code.clone(), index));
        extend_pc_values(&mut pc_values, -1, &indexes.collect::<Vec<_>>());
        align(&mut pc_values, 8);

        let count = self.functions.len();
        let mut table = Vec::new();
        let records = 8 * count + 8;
        for index in 0..count {
            table.extend((index as u32 * STRIDE as u32).to_le_bytes());
            table.extend(((records + index * RECORD_STRIDE) as u32).to_le_bytes());
        }
        table.extend((count as u32 * STRIDE as u32).to_le_bytes());
        align(&mut table, 8);
        for (index, name) in name_offsets.into_iter().enumerate() {
            let entry = index as u32 * STRIDE as u32;
            let end = table.len() + RECORD_STRIDE;
            let (pc_tables, data) = if self.inlined.is_empty() { (0, 0) } else { (3, 4) };
            let fixed = [entry, name, 0, 0, 0, file_table, line_table, pc_tables, 0];
            let line = if self.old { &[][..] } else { &[9] };
            let flags = [data << 24];
            let arrays = [0, 0, index_table, u32::MAX, u32::MAX, u32::MAX, 0];
            for part in [&fixed[..], line, &flags, &arrays] {
                table.extend(part.iter().flat_map(|field| field.to_le_bytes()));
            }
            table.resize(end, 0);
        }

        let magic = if self.old { 0xffff_fff0u32 } else { 0xffff_fff1 };
        let mut out = magic.to_le_bytes().to_vec();
        out.extend([0, 0, 1, 8]);
        out.extend((count as u64).to_le_bytes());
        out.extend(1u64.to_le_bytes());
        out.extend(if self.text_in_header { TEXT } else { 0 }.to_le_bytes());
        let mut offset = 72u64;
        for part in [&names[..], &units, files, &pc_values, &table] {
            out.extend(offset.to_le_bytes());
            offset += part.len() as u64;
        }
        [out, names, units.to_vec(), files.to_vec(), pc_values, table, tree].concat()
    }

    /// The words of `runtime.moduledata` that are read.
    fn module_data(&self, table_len: u64) -> Vec<u8> {
        let count = self.functions.len() as u64;
        let mut words = [0u64; 45];
        words[0] = DATA;
        words[16] = DATA + table_len - 1;
        words[17] = count + 1;
        words[20] = TEXT;
        words[21] = TEXT + count * STRIDE;
        words[22] = TEXT;
        words[if self.old { 35 } else { 37 }] = TYPES;
        if !self.inlined.is_empty() {
            let call = if self.old { 20 } else { 16 };
            let tree = DATA + table_len - call * self.inlined.len() as u64;
            // `rodata` and `gofunc`; since Go 1.26 `epclntab` follows.
            let index = match (self.old, self.text_in_header) {
                (true, _) => 38,
                (false, true) => 40,
                (false, false) => 43,
            };
            words[index - 1..=index + 1].copy_from_slice(&[DATA, tree, DATA + table_len]);
        }
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// A pc-value table: these values, and another one everywhere else.
fn extend_pc_values(out: &mut Vec<u8>, elsewhere: i8, values: &[(Range<u8>, i8)]) {
    let (mut value, mut pc) = (-1, 0);
    let mut until = |end: u8, new: i8| {
        if end > pc {
            let step = new - value;
            out.extend([((step << 1) ^ (step >> 7)) as u8, end - pc]);
            (value, pc) = (new, end);
        }
    };
    for (code, value) in values {
        until(code.start, elsewhere);
        until(code.end, *value);
    }
    until(64, elsewhere);
    // The rest of the function, up to its stride, has the value of its last part.
    let last = out.pop().unwrap_or(0);
    let length = STRIDE as u32 - 64 + u32::from(last);
    out.extend([length as u8 & 0x7f | 0x80, (length >> 7) as u8, 0]);
}

fn align(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

/// `Elf64_Ehdr` of a fixed-address x86_64 executable.
fn header(program_headers: u16) -> Vec<u8> {
    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(16, 0);
    out.extend(2u16.to_le_bytes()); // ET_EXEC
    out.extend(62u16.to_le_bytes()); // EM_X86_64
    out.extend(1u32.to_le_bytes());
    for word in [TEXT, 64, 0] {
        out.extend(word.to_le_bytes());
    }
    out.extend(0u32.to_le_bytes());
    for half in [64, 56, program_headers, 64, 0, 0] {
        out.extend(half.to_le_bytes());
    }
    out
}

/// `Elf64_Phdr` of a `PT_LOAD`.
fn program_header(out: &mut Vec<u8>, flags: u32, offset: u64, address: u64, size: u64) {
    out.extend(1u32.to_le_bytes());
    out.extend(flags.to_le_bytes());
    for word in [offset, address, address, size, size, 0x1000] {
        out.extend(word.to_le_bytes());
    }
}

/// Appends names and section headers, and tells the ELF header of them.
fn add_sections(file: &mut Vec<u8>, data_offset: usize, sections: &[(&str, usize, usize)]) {
    let mut names = vec![0];
    let mut headers = vec![0; 64];
    for &(name, start, size) in sections {
        let address = DATA + start as u64;
        section_header(
            &mut headers,
            names.len(),
            1,
            2,
            [address, (data_offset + start) as u64, size as u64],
        );
        names.extend(name.as_bytes());
        names.push(0);
    }
    let name = names.len();
    names.extend(b".shstrtab\0");
    section_header(&mut headers, name, 3, 0, [0, file.len() as u64, names.len() as u64]);
    file.extend(&names);
    align(file, 8);
    let table = file.len() as u64;
    file.extend(&headers);
    file[40..48].copy_from_slice(&table.to_le_bytes());
    let count = sections.len() as u16 + 2;
    file[60..62].copy_from_slice(&count.to_le_bytes());
    file[62..64].copy_from_slice(&(count - 1).to_le_bytes());
}

/// `Elf64_Shdr`; `place` is address, offset, size.
fn section_header(out: &mut Vec<u8>, name: usize, kind: u32, flags: u64, place: [u64; 3]) {
    out.extend((name as u32).to_le_bytes());
    out.extend(kind.to_le_bytes());
    out.extend(flags.to_le_bytes());
    for word in place {
        out.extend(word.to_le_bytes());
    }
    out.resize(out.len() + 8, 0);
    for word in [8u64, 0] {
        out.extend(word.to_le_bytes());
    }
}
