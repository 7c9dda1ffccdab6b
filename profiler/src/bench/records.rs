//! Records made by hand, and what decodes and counts them.

use probe_ebpf::{
    LONG_KEY, LongOp, MAX_FRAMES, Op, Operand, Reg, Release, SHORT_KEY, ShortOp, Wait, key_kind,
    record_kind,
};

use crate::{
    catalog::{KeyFormat, Role, Waits},
    decode::{Decoder, Resolver, TypeText},
    model::{Limits, Slice, SliceMeta},
    placement::{Cost, Plan, Program, Site},
    run::Tally,
    target::{Field, Frame, KeyShape, Kind, Node},
};

const LOOKUP: u32 = 0;
const WAIT: u32 = 1;
const RELEASE: u32 = 2;

/// Address of the type `map[string]int`.
const STRINGS: u64 = 0x7000;
/// Address of a map type whose key is a struct with a string in it.
const STRUCTS: u64 = 0x7100;
/// Address of that struct's type.
const STRUCT: u64 = 0x7200;

/// A target in which every address of a hundred belongs to one function.
pub(crate) struct Code;

impl Resolver for Code {
    fn map_type(&mut self, address: u64) -> Option<TypeText> {
        let (name, key, key_at, format) = match address {
            STRINGS => ("map[string]int", "string", None, KeyFormat::Str),
            STRUCTS => ("map[main.Key]int", "main.Key", Some(STRUCT), KeyFormat::Bytes),
            _ => return None,
        };
        Some(TypeText { name: Some(name.into()), key: Some(key.into()), key_at, format })
    }

    fn frames(&mut self, return_address: u64) -> Vec<Frame> {
        let function = match return_address / 100 {
            1 => "runtime.semacquire1".to_owned(),
            2 => "sync.runtime_SemacquireMutex".to_owned(),
            3 => "sync.(*Mutex).lockSlow".to_owned(),
            other => format!("main.f{other}"),
        };
        vec![Frame { function, file: None, line: None, module: None }]
    }

    fn key_type(&mut self, address: u64) -> Option<KeyShape> {
        let node = |name: Option<&str>, size, kind| Node {
            name: name.map(Into::into),
            size,
            pointer_shaped: false,
            kind,
        };
        let field = |name: &str, offset, node| Field { name: name.into(), offset, node };
        (address == STRUCT).then(|| {
            KeyShape::new(vec![
                node(Some("main.Key"), 24, Kind::Struct(vec![field("N", 0, 1), field("S", 8, 2)])),
                node(None, 8, Kind::Int),
                node(None, 16, Kind::String),
            ])
        })
    }

    fn read(&self, _: u64, _: &mut [u8]) -> bool {
        false
    }

    fn read_constant(&self, _: u64, _: &mut [u8]) -> bool {
        false
    }
}

fn site(role: Role, kind: &str) -> Site {
    Site {
        module: 0,
        function: "f".into(),
        address: 0,
        function_address: 0,
        file_offset: 0,
        instruction: "push rbp".into(),
        cost: Cost::Emulated,
        role,
        program: Program::MapOp,
        wrapper: None,
        descriptor: probe_ebpf::Site {
            object: Operand::reg(Reg::Rbx),
            key_kind: key_kind::STR,
            ..probe_ebpf::Site::default()
        },
        runtime: "go",
        kind: kind.into(),
        format: KeyFormat::Str,
        mode: None,
        waits: Waits::default(),
    }
}

/// Decodes and counts, as the collecting thread does.
pub struct Input {
    decoder: Decoder<Code>,
    tally: Tally,
}

impl Default for Input {
    fn default() -> Self {
        let sites = vec![
            site(Role::Map(Op::Lookup), "go.map"),
            site(Role::WaitBegin, "go.sema"),
            site(Role::Release, "sync.Mutex"),
        ];
        let plan = Plan { sites, ..Plan::default() };
        let tally = Tally::new(Limits::default());
        Self { decoder: Decoder::new(&plan, Code), tally }
    }
}

impl Input {
    /// What decodes, and what counts.
    pub(crate) fn parts(&mut self) -> (&mut Decoder<Code>, &mut Tally) {
        (&mut self.decoder, &mut self.tally)
    }

    /// Takes one record in.
    #[inline]
    pub fn record(&mut self, bytes: &[u8]) {
        self.decoder.record(bytes, &mut self.tally);
    }

    /// Takes one after another in.
    pub fn records(&mut self, records: &[Vec<u8>]) {
        for record in records {
            self.record(record);
        }
    }

    /// Hands on the waits that were over by then.
    pub fn settle(&mut self, now_ns: u64) {
        self.decoder.settle(now_ns, &mut self.tally);
    }

    /// Ends the interval. Panics if a record was not understood.
    pub fn close(&mut self) -> Slice {
        assert_eq!(self.decoder.malformed, 0, "the records are made as the ABI says");
        self.tally.builder.close(SliceMeta::default())
    }
}

/// The key with this number, of `len` bytes or what the number needs.
pub fn text_key(number: u64, len: usize) -> Vec<u8> {
    let mut text = format!("s:{number:08}").into_bytes();
    text.resize(len.max(text.len()), b'.');
    text
}

/// A lookup of a string in the map with this number. `caller`: 1 where it was not read.
pub fn operation(map: u64, key: &[u8], caller: u64) -> Vec<u8> {
    let is_short = key.len() <= SHORT_KEY;
    let (kind, size) = if is_short {
        (record_kind::SHORT_OP, size_of::<ShortOp>())
    } else {
        (record_kind::LONG_OP, size_of::<LongOp>())
    };
    let head = [kind, key_kind::STR, 0, key.len().min(LONG_KEY) as u8];
    head_and_key(head, map, STRINGS, caller, key, size)
}

/// A lookup of a struct that holds a number and a string.
pub fn pieces(map: u64, number: u64, text: &[u8]) -> Vec<u8> {
    let value = [number, 0, text.len() as u64].map(u64::to_le_bytes).concat();
    let key = [&value, text].concat();
    let head = [record_kind::LONG_OP, key_kind::BYTES, 0, key.len().min(LONG_KEY) as u8];
    head_and_key(head, map, STRUCTS, probe_ebpf::CALLER_NOT_SAMPLED, &key, size_of::<LongOp>())
}

fn head_and_key(
    head: [u8; 4],
    map: u64,
    map_type: u64,
    caller: u64,
    key: &[u8],
    size: usize,
) -> Vec<u8> {
    let mut bytes = head.to_vec();
    bytes.extend(LOOKUP.to_le_bytes());
    words(&mut bytes, &[77, caller, 0xc000_0000 + map * 48, map_type, key.len() as u64]);
    bytes.extend(key);
    bytes.resize(size, 0);
    bytes
}

/// One lock that goes from hand to hand: a release, and the wait of `task` that it ends.
/// Waits end every microsecond.
pub fn hand_over(number: u64, task: u64) -> [Vec<u8>; 2] {
    // A Mutex waits in the semaphore that is its second word.
    let (lock, semaphore, end_ns) = (0x9000, 0x9004, 1_000_000 + 1000 * number);
    let mut release = vec![record_kind::RELEASE, 0, 0, 0];
    release.extend(RELEASE.to_le_bytes());
    words(&mut release, &[end_ns - 100, task + 1, task + 1, lock, 901]);
    release.extend(3_u32.to_le_bytes());
    release.extend(5_u32.to_le_bytes());
    release.resize(size_of::<Release>() - 8 * MAX_FRAMES, 0);
    stack(&mut release, &[899, 901, 1001]);
    let frames = [100, 250, 350, 450 + 100 * (task % 4), 1150];
    let mut wait = vec![record_kind::WAIT, 0, 0, 0];
    wait.extend(WAIT.to_le_bytes());
    words(&mut wait, &[end_ns - 50_000, end_ns, task, task, semaphore, end_ns - 50_000, 250]);
    wait.extend((frames.len() as u32).to_le_bytes());
    wait.extend(5_u32.to_le_bytes());
    stack(&mut wait, &frames);
    debug_assert_eq!((release.len(), wait.len()), (size_of::<Release>(), size_of::<Wait>()));
    [release, wait]
}

fn words(bytes: &mut Vec<u8>, words: &[u64]) {
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}

fn stack(bytes: &mut Vec<u8>, frames: &[u64]) {
    words(bytes, frames);
    bytes.resize(bytes.len() + 8 * (MAX_FRAMES - frames.len()), 0);
}
