//! Records made by hand through the whole decoder.

use std::collections::HashMap;

use probe_ebpf::{MAX_FRAMES, Op, OpHead, Operand, Reg, ShortOp, Wait, key_kind, record_kind};

use super::*;
use crate::{
    catalog::{KeyFormat, Role},
    placement::{Cost, Program, Site},
    target::Frame,
};

/// Code in which every address of a hundred belongs to one function.
struct Code(HashMap<u64, &'static str>);

impl Resolver for Code {
    fn map_type(&mut self, address: u64) -> Option<TypeText> {
        let name = match address {
            0x7000 => "map[string]int",
            0x7100 => "map[string]bool",
            0x7200 => "map[go.shape.string]go.shape.int",
            _ => return None,
        };
        let key = Some("string".into());
        Some(TypeText { name: Some(name.into()), key, format: KeyFormat::Str })
    }

    fn frames(&mut self, return_address: u64) -> Vec<Frame> {
        let functions = self.0.get(&((return_address - 1) / 100)).copied().unwrap_or("?");
        let frame =
            |name: &str| Frame { function: name.into(), file: None, line: None, module: None };
        functions.split(" in ").map(frame).collect()
    }
}

#[derive(Default)]
struct Seen {
    ops: Vec<(MapId, Op, Option<Vec<u8>>, u64)>,
    waits: Vec<(LockId, StackId, u64)>,
    open: Vec<(LockId, u64)>,
}

impl Sink for Seen {
    fn operation(&mut self, map: MapId, op: Op, key: Option<(&[u8], u64)>, _: bool, caller: u64) {
        self.ops.push((map, op, key.map(|(bytes, _)| bytes.to_vec()), caller));
    }
    fn wait(&mut self, lock: LockId, stack: StackId, duration_ns: u64) {
        self.waits.push((lock, stack, duration_ns));
    }
    fn open_wait(&mut self, lock: LockId, waited_ns: u64) {
        self.open.push((lock, waited_ns));
    }
}

fn site(role: Role, kind: &str, runtime: &'static str) -> Site {
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
        descriptor: probe_ebpf::Site { object: Operand::reg(Reg::Rbx), ..Default::default() },
        runtime,
        kind: kind.into(),
        format: KeyFormat::Uint,
    }
}

fn decoder() -> Decoder<Code> {
    let plan = Plan {
        sites: vec![
            site(Role::Map(Op::Lookup), "go.map", "go"),
            site(Role::WaitBegin, "go.sema", "go"),
            site(Role::Acquire, "pthread_mutex", "custom"),
        ],
        ..Plan::default()
    };
    let code = [
        (1, "runtime.semacquire1"),
        (2, "sync.runtime_SemacquireMutex"),
        (3, "sync.(*Mutex).lockSlow"),
        (4, "main.get"),
        (5, "sync.(*Mutex).Lock in sync.(*RWMutex).Lock"),
        (6, "sync.runtime_SemacquireRWMutexR"),
        (7, "sync.runtime_Semacquire"),
    ];
    Decoder::new(&plan, Code(code.into()))
}

fn op_bytes(object: u64, aux: u64, key: &[u8]) -> Vec<u8> {
    let head = OpHead {
        kind: record_kind::SHORT_OP,
        key_kind: key_kind::STR,
        object,
        aux,
        caller: 450,
        key_len: key.len() as u64,
        ..OpHead::default()
    };
    let mut bytes = vec![head.kind, head.key_kind, head.flags, 0];
    bytes.extend(head.site.to_le_bytes());
    for word in [head.task, head.caller, head.object, head.aux, head.key_len] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(key);
    bytes.resize(size_of::<ShortOp>(), 0);
    bytes
}

fn wait_bytes(site: u32, object: u64, stack: &[u64], start_ns: u64, end_ns: u64) -> Vec<u8> {
    let mut bytes = vec![record_kind::WAIT, 0, 0, 0];
    bytes.extend(site.to_le_bytes());
    let caller = stack.get(1).copied().unwrap_or(0);
    for word in [start_ns, end_ns, 77, object, 0, caller] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend((stack.len() as u32).to_le_bytes());
    bytes.extend(5_u32.to_le_bytes());
    for index in 0..MAX_FRAMES {
        bytes.extend(stack.get(index).copied().unwrap_or(0).to_le_bytes());
    }
    assert_eq!(bytes.len(), size_of::<Wait>());
    bytes
}

#[test]
fn operations_name_their_map_once() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    decoder.record(&op_bytes(0xc000, 0x7000, b"hot"), &mut seen);
    decoder.record(&op_bytes(0xc000, 0x7000, b"cold"), &mut seen);
    decoder.record(&op_bytes(0xd000, 0x7000, b"hot"), &mut seen);
    let maps: Vec<_> = seen.ops.iter().map(|op| op.0).collect();
    assert_eq!(maps, [0, 0, 1]);
    assert_eq!(seen.ops[1].2.as_deref(), Some(&b"cold"[..]));
    let definitions = decoder.definitions();
    assert_eq!(definitions.maps.len(), 2);
    let info = &definitions.maps[&0];
    assert_eq!(info.type_name.as_deref(), Some("map[string]int"));
    assert_eq!((info.address, info.key_format), (Some(0xc000), KeyFormat::Str));
    assert_eq!(info.label.as_deref(), Some("main.get"));
    assert!(decoder.definitions().maps.is_empty(), "each name is given once");
}

#[test]
fn another_type_at_the_same_address_is_another_map() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    decoder.record(&op_bytes(0xc000, 0x7000, b"hot"), &mut seen);
    decoder.record(&op_bytes(0xc000, 0x7100, b"hot"), &mut seen);
    assert_eq!(seen.ops.iter().map(|op| op.0).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn an_operation_that_does_not_know_the_type_is_on_the_map_that_lies_there() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    decoder.record(&op_bytes(0xc000, 0, b""), &mut seen);
    decoder.record(&op_bytes(0xc000, 0x7000, b"hot"), &mut seen);
    decoder.record(&op_bytes(0xc000, 0, b""), &mut seen);
    assert_eq!(seen.ops.iter().map(|op| op.0).collect::<Vec<_>>(), [0, 0, 0]);
    assert_eq!(decoder.definitions().maps[&0].type_name.as_deref(), Some("map[string]int"));
}

#[test]
fn generic_code_that_passes_a_shape_is_on_the_map_that_lies_there() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    for aux in [0x7200, 0x7000, 0x7200, 0x7000] {
        decoder.record(&op_bytes(0xc000, aux, b"hot"), &mut seen);
    }
    assert_eq!(seen.ops.iter().map(|op| op.0).collect::<Vec<_>>(), [0, 0, 0, 0]);
    assert_eq!(decoder.definitions().maps[&0].type_name.as_deref(), Some("map[string]int"));
}

#[test]
fn a_map_is_labelled_by_the_first_operation_that_tells_where_it_is() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    let mut unsampled = op_bytes(0xc000, 0x7000, b"hot");
    unsampled[16..24].copy_from_slice(&probe_ebpf::CALLER_NOT_SAMPLED.to_le_bytes());
    decoder.record(&unsampled, &mut seen);
    assert_eq!(decoder.definitions().maps[&0].label, None);
    decoder.record(&unsampled, &mut seen);
    assert!(decoder.definitions().maps.is_empty());
    decoder.record(&op_bytes(0xc000, 0x7000, b"hot"), &mut seen);
    assert_eq!(decoder.definitions().maps[&0].label.as_deref(), Some("main.get"));
    decoder.record(&op_bytes(0xc000, 0x7000, b"hot"), &mut seen);
    assert!(decoder.definitions().maps.is_empty(), "each name is given once");
    assert!(seen.ops.iter().all(|op| op.0 == 0));
}

#[test]
fn nil_maps_of_two_types_are_two_maps_however_they_alternate() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    for aux in [0x7000, 0x7100, 0x7000, 0x7100] {
        decoder.record(&op_bytes(0, aux, b"hot"), &mut seen);
    }
    assert_eq!(seen.ops.iter().map(|op| op.0).collect::<Vec<_>>(), [0, 1, 0, 1]);
}

#[test]
fn a_map_for_each_request_does_not_use_up_the_numbers() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    for request in 0..1000 {
        for _ in 0..2 {
            decoder.record(&op_bytes(0xc000 + 64 * request, 0x7000, b"hot"), &mut seen);
        }
    }
    let definitions = decoder.definitions();
    assert_eq!(definitions.maps.len(), 65);
    let (shared, info) = definitions.maps.last_key_value().unwrap();
    assert_eq!(info.address, None);
    assert!(info.label.as_deref().unwrap().contains("beyond the first 64"));
    assert_eq!(seen.ops.iter().filter(|op| op.0 == *shared).count(), 2 * (1000 - 64));
}

#[test]
fn semaphores_become_locks() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    let mutex = [150, 250, 350, 450];
    let writer = [150, 250, 350, 550, 450];
    let reader = [150, 650, 450];
    decoder.record(&wait_bytes(1, 0x9004, &mutex, 10, 40), &mut seen);
    decoder.finish(&mut seen);
    decoder.record(&wait_bytes(1, 0xa004, &writer, 10, 50), &mut seen);
    decoder.finish(&mut seen);
    decoder.record(&wait_bytes(1, 0xa00c, &reader, 10, 60), &mut seen);
    decoder.finish(&mut seen);
    assert_eq!(
        seen.waits.iter().map(|wait| (wait.0, wait.2)).collect::<Vec<_>>(),
        [(0, 30), (1, 40), (1, 50)]
    );
    let definitions = decoder.definitions();
    let locks: Vec<_> = definitions
        .locks
        .values()
        .map(|lock| (lock.kind.as_str(), lock.address.unwrap()))
        .collect();
    assert_eq!(locks, [("sync.Mutex", 0x9000), ("sync.RWMutex", 0xa000)]);
    assert_eq!(definitions.stacks[&0], [350, 450], "the runtime's inside is left out");
    assert_eq!(definitions.locks[&0].label.as_deref(), Some("main.get"));
}

#[test]
fn a_semaphore_that_is_no_lock_is_counted_apart() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    decoder.record(&wait_bytes(1, 0x9004, &[150, 750, 450], 10, 40), &mut seen);
    decoder.finish(&mut seen);
    assert!(seen.waits.is_empty());
    assert_eq!(decoder.other_waits, 1);
}

#[test]
fn native_waits_are_whole_at_once() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    decoder.record(&wait_bytes(2, 0x5000, &[949, 450], 10, 40), &mut seen);
    assert_eq!(seen.waits, [(0, 0, 30)]);
}

#[test]
fn a_caller_that_the_kernel_skipped_is_put_back() {
    assert_eq!(frames(&[100, 300], 2, 200), [101, 200, 300]);
    assert_eq!(frames(&[100, 200, 300], 3, 200), [101, 200, 300]);
    assert_eq!(frames(&[], 0, 200), [200]);
    assert_eq!(frames(&[100], 1, 0), [101]);
}

#[test]
fn garbage_is_counted() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    decoder.record(&[], &mut seen);
    let mut stray = op_bytes(0xc000, 0x7000, b"hot");
    stray[4] = 200;
    decoder.record(&stray, &mut seen);
    assert_eq!((decoder.malformed, seen.ops.len()), (2, 0));
}
