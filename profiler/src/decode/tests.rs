//! Records made by hand through the whole decoder.

use std::collections::HashMap;

use probe_ebpf::{
    CALLER_NOT_SAMPLED, LongOp, MAX_FRAMES, MadeAt, Op, OpHead, OpOfWait, OpStack, Operand, Reg,
    Release, ShortOp, Wait, key_kind, record_kind,
};

use super::{records::frames, *};
use crate::{
    catalog::{KeyFormat, Role, Waits},
    placement::{Cost, Program, Site},
    target::{Frame, KeyShape},
};

/// Code in which every address of a hundred belongs to one function.
struct Code(HashMap<u64, &'static str>);

impl Resolver for Code {
    fn map_type(&mut self, address: u64) -> Option<TypeText> {
        let name = match address {
            0x7000 => "map[string]int",
            0x7100 => "map[string]bool",
            0x7200 => "map[go.shape.string]go.shape.int",
            0x7300 => "map[interface {}]*sync.entry",
            _ => return None,
        };
        let key = Some("string".into());
        Some(TypeText { name: Some(name.into()), key, key_at: None, format: KeyFormat::Str })
    }

    fn frames(&mut self, return_address: u64) -> Vec<Frame> {
        let function = self.0.get(&((return_address - 1) / 100)).copied().unwrap_or("?");
        let functions = match return_address {
            1120 => "sync.(*Mutex).Lock in main.main",
            1145 => "sync.(*Mutex).Unlock in main.main",
            _ => function,
        };
        let frame =
            |name: &str| Frame { function: name.into(), file: None, line: None, module: None };
        functions.split(" in ").map(frame).collect()
    }

    fn key_type(&mut self, _: u64) -> Option<KeyShape> {
        None
    }

    fn read(&self, _: u64, _: &mut [u8]) -> bool {
        false
    }

    fn read_constant(&self, _: u64, _: &mut [u8]) -> bool {
        false
    }

    /// Of main.main, which takes the lock before 1120 and releases it before 1145, where it
    /// goes on to what comes back to 1150. It calls a map before 1110 and 1130, and main.get
    /// before 1135.
    fn code(&mut self, return_address: u64) -> Option<(u64, Vec<u8>)> {
        let start = (return_address - 1) / 100 * 100;
        let mut bytes = vec![0x90; 100];
        let mut call = |from: u64, target: u64| {
            let at = (from - start) as usize;
            bytes[at - 5] = 0xe8;
            bytes[at - 4..at].copy_from_slice(&(target.wrapping_sub(from) as u32).to_le_bytes());
        };
        match start {
            400 => call(450, 800),
            1100 => {
                for (from, target) in [(1110, 800), (1130, 800), (1135, 400), (1150, 1200)] {
                    call(from, target);
                }
                // lock xadd [rax], ecx
                bytes[16..20].copy_from_slice(&[0xf0, 0x0f, 0xc1, 0x08]);
                bytes[41..45].copy_from_slice(&[0xf0, 0x0f, 0xc1, 0x08]);
            }
            _ => {}
        }
        Some((start, bytes))
    }
}

#[derive(Default)]
struct Seen {
    ops: Vec<(MapId, Op, Option<Vec<u8>>, u64)>,
    counts: Vec<u64>,
    unreadable: Vec<Option<Unreadable>>,
    waits: Vec<(LockId, StackId, u64)>,
    modes: Vec<Option<Mode>>,
    op_stacks: Vec<StackId>,
    open: Vec<(LockId, u64)>,
    key_waits: Vec<(LockId, Vec<u8>, u64)>,
    blames: Vec<(ActorId, ActorId, u64)>,
    holder_modes: Vec<Option<Mode>>,
    holds: Vec<u64>,
}

impl Sink for Seen {
    fn operation(
        &mut self,
        map: MapId,
        op: Op,
        key: Option<(&[u8], u64)>,
        unreadable: Option<Unreadable>,
        caller: u64,
        count: u64,
    ) {
        self.counts.push(count);
        self.unreadable.push(unreadable);
        self.ops.push((map, op, key.map(|(bytes, _)| bytes.to_vec()), caller));
    }
    fn op_stack(&mut self, _: MapId, _: Op, stack: StackId) {
        self.op_stacks.push(stack);
    }
    fn wait(&mut self, wait: &WaitEvent) {
        self.waits.push((wait.lock, wait.stack, wait.ns));
        self.modes.push(wait.mode);
    }
    fn key_wait(&mut self, lock: LockId, key: &MapKey, ns: u64) {
        self.key_waits.push((lock, key.key.bytes.to_vec(), ns));
    }
    fn blame(&mut self, part: &BlameEvent) {
        self.blames.push((part.holder, part.waiter, part.ns));
        self.holder_modes.push(part.holder_mode);
    }
    fn hold(&mut self, _: LockId, ns: u64) {
        self.holds.push(ns);
    }
    fn open_wait(&mut self, wait: &WaitEvent) {
        self.open.push((wait.lock, wait.ns));
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
        mode: None,
        waits: Waits::default(),
    }
}

fn decoder() -> Decoder<Code> {
    let plan = Plan {
        sites: vec![
            Site {
                function: "runtime.mapassign".into(),
                ..site(Role::Map(Op::Lookup), "go.map", "go")
            },
            site(Role::WaitBegin, "go.sema", "go"),
            site(Role::Acquire, "pthread_mutex", "custom"),
            site(Role::Release, "sync.Mutex", "go"),
            site(Role::Map(Op::Grow), "go.map", "go"),
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
        (8, "runtime.mapassign"),
        (9, "internal/sync.(*HashTrieMap[...]).Swap"),
        (11, "main.main"),
        (12, "sync.(*Mutex).unlockSlow"),
        (13, "unicode.init"),
        (22, "internal/poll.runtime_Semacquire"),
        (23, "internal/poll.(*fdMutex).rwlock"),
        (26, "sync.runtime_SemacquireRWMutex"),
        (24, "internal/poll.(*FD).writeLock in internal/poll.(*FD).Write"),
        (27, "sync.(*RWMutex).TryLock"),
    ];
    Decoder::new(&plan, Code(code.into()))
}

/// The operation's key could not be read, and is nowhere.
fn unreadable(mut op: Vec<u8>, flags: u8) -> Vec<u8> {
    op[2] = flags;
    op
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
    let mut bytes = vec![head.kind, head.key_kind, head.flags, key.len() as u8];
    bytes.extend(head.site.to_le_bytes());
    for word in [head.task, head.caller, head.object, head.aux, head.key_len] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(key);
    bytes.resize(size_of::<ShortOp>(), 0);
    bytes
}

/// The same operation with another caller.
fn op_from(caller: u64, op: &[u8]) -> Vec<u8> {
    [&op[..16], &caller.to_le_bytes(), &op[24..]].concat()
}

/// The stack of an operation on the map at 0xc000.
fn op_stack_bytes(site: u32, caller: u64, stack: &[u64]) -> Vec<u8> {
    let mut bytes = vec![record_kind::OP_STACK, 0, 0, 0];
    bytes.extend(site.to_le_bytes());
    for word in [0xc000, 0x7000, 7, caller] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend((stack.len() as u32).to_le_bytes());
    bytes.extend(5_u32.to_le_bytes());
    stack_bytes(&mut bytes, stack);
    assert_eq!(bytes.len(), size_of::<OpStack>());
    bytes
}

fn wait_bytes(site: u32, object: u64, stack: &[u64], start_ns: u64, end_ns: u64) -> Vec<u8> {
    let mut bytes = vec![record_kind::WAIT, 0, 0, 0];
    bytes.extend(site.to_le_bytes());
    let caller = stack.get(1).copied().unwrap_or(0);
    for word in [start_ns, end_ns, 77, 7, object, start_ns, caller] {
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

/// Combined operations are events, one by one, with a map and a key like any other.
#[test]
fn combined_operations_count_for_what_they_are() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    let one = op_bytes(0xc000, 0x7000, b"hot");
    let mut many = op_from(CALLER_NOT_SAMPLED, &one);
    many[0] = record_kind::COMBINED_OP;
    many.extend(500_u64.to_le_bytes());
    decoder.record(&one, &mut seen);
    decoder.record(&many, &mut seen);
    assert_eq!(seen.counts, [1, 500]);
    assert_eq!((seen.ops[0].0, &seen.ops[0].2), (seen.ops[1].0, &seen.ops[1].2));
    assert_eq!(seen.ops[1].3, CALLER_NOT_SAMPLED);
    let heard = decoder.take_seen();
    assert_eq!((heard.records, heard.events, heard.hits), (2, 501, 501));
    assert_eq!(decoder.malformed, 0);
    decoder.record(&many[..many.len() - 1], &mut seen);
    assert_eq!(decoder.malformed, 1);
}

/// Those with long keys as well.
#[test]
fn combined_operations_on_a_long_key_count_for_what_they_are() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    let text = [b'x'; 100];
    let mut one = op_bytes(0xc000, 0x7000, &text);
    one.resize(size_of::<LongOp>(), 0);
    one[0] = record_kind::LONG_OP;
    let mut many = op_from(CALLER_NOT_SAMPLED, &one);
    many[0] = record_kind::COMBINED_LONG_OP;
    many.extend(500_u64.to_le_bytes());
    decoder.record(&one, &mut seen);
    decoder.record(&many, &mut seen);
    assert_eq!(seen.counts, [1, 500]);
    assert_eq!((seen.ops[0].0, &seen.ops[0].2), (seen.ops[1].0, &seen.ops[1].2));
    assert_eq!(seen.ops[1].2.as_ref().map(Vec::len), Some(100));
    decoder.record(&many[..many.len() - 1], &mut seen);
    assert_eq!(decoder.malformed, 1);
}

#[test]
fn operations_whose_key_could_not_be_read_count() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    for flags in [op_flags::KEY_UNREADABLE, op_flags::TYPE_UNREADABLE] {
        decoder.record(&unreadable(op_bytes(0xc000, 0x7000, b""), flags), &mut seen);
        decoder.record(&unreadable(op_bytes(0xc000, 0x7000, &[7; 16]), flags), &mut seen);
    }
    let (memory, its_type) = (Some(Unreadable::Memory), Some(Unreadable::Type));
    assert_eq!(seen.unreadable, [memory, memory, its_type, its_type]);
    assert!(seen.ops.iter().all(|op| op.2.is_none()));
}

#[test]
fn the_inside_of_another_map_is_no_map() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    decoder.record(&op_bytes(0xc000, 0x7300, b"inner"), &mut seen);
    decoder.record(&op_bytes(0xd000, 0x7000, b"hot"), &mut seen);
    // Its place may have been another map's before.
    decoder.record(&op_bytes(0xd000, 0x7300, b"inner"), &mut seen);
    assert_eq!(seen.ops.iter().map(|op| op.0).collect::<Vec<_>>(), [0]);
    assert_eq!(decoder.definitions().maps.len(), 1);
    let seen = decoder.take_seen();
    assert_eq!((seen.events, seen.hits), (1, 3), "it costs the target all the same");
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
    let unsampled = op_bytes(0xc000, 0x7000, b"hot");
    let unsampled = op_from(probe_ebpf::CALLER_NOT_SAMPLED, &unsampled);
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
    assert_eq!((info.address, info.label.as_deref()), (None, Some(MANY)));
    assert_eq!(seen.ops.iter().filter(|op| op.0 == *shared).count(), 2 * (1000 - 64));
    // Those that were told apart still are.
    decoder.record(&op_bytes(0xc000 + 64 * 5, 0x7000, b"hot"), &mut seen);
    assert_eq!(seen.ops.last().unwrap().0, 5);
}

#[test]
fn maps_that_are_not_told_apart_are_counted_together_wherever_they_are_used() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    for request in 0..1000_u64 {
        let caller = [450, 1150, probe_ebpf::CALLER_NOT_SAMPLED][request as usize % 3];
        // Generic code passes a shape now and then.
        for aux in [0x7000, 0x7200, 0x7000] {
            let op = op_from(caller, &op_bytes(0xc000 + 64 * request, aux, b"hot"));
            decoder.record(&op, &mut seen);
        }
    }
    let definitions = decoder.definitions();
    assert_eq!(definitions.maps.len(), 65);
    assert_eq!(seen.ops.iter().filter(|op| op.0 == 64).count(), 3 * (1000 - 64));
    decoder.record(&op_bytes(0xe0000, 0x7100, b"hot"), &mut seen);
    assert_eq!(decoder.definitions().maps[&65].label.as_deref(), Some("main.get"));
}

#[test]
fn the_label_of_the_many_counts_those_that_are_told_apart() {
    assert!(MANY.contains(&format!(" {} ", names::TOLD_APART)));
}

#[test]
fn growth_does_not_tell_where_a_map_is_used_and_its_stack_begins_in_the_program() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    let mut growth = op_from(850, &op_bytes(0xc000, 0, b""));
    growth[4..8].copy_from_slice(&4_u32.to_le_bytes());
    decoder.record(&growth, &mut seen);
    assert_eq!(seen.ops[0].1, Op::Grow);
    assert_eq!(decoder.definitions().maps[&0].label, None);
    decoder.record(&op_bytes(0xc000, 0x7000, b"hot"), &mut seen);
    assert_eq!(decoder.definitions().maps[&0].label.as_deref(), Some("main.get"));
    for (site, stack) in [(4_u32, [880, 850, 450, 1150]), (0, [880, 850, 450, 1150])] {
        decoder.record(&op_stack_bytes(site, 850, &stack), &mut seen);
    }
    let definitions = decoder.definitions();
    let stacks: Vec<_> =
        seen.op_stacks.iter().map(|stack| &definitions.stacks[stack][..]).collect();
    assert_eq!(stacks, [&[450, 1150][..], &[850, 450, 1150]]);
}

#[test]
fn semaphores_become_locks() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    let mutex = [150, 250, 350, 450];
    let writer = [150, 250, 350, 550, 450];
    let reader = [150, 650, 450];
    let in_trie = [150, 250, 350, 950, 450];
    decoder.record(&wait_bytes(1, 0x9004, &mutex, 10, 40), &mut seen);
    decoder.finish(&mut seen);
    decoder.record(&wait_bytes(1, 0xa004, &writer, 10, 50), &mut seen);
    decoder.finish(&mut seen);
    decoder.record(&wait_bytes(1, 0xa00c, &reader, 10, 60), &mut seen);
    decoder.finish(&mut seen);
    decoder.record(&wait_bytes(1, 0xb004, &in_trie, 10, 70), &mut seen);
    decoder.finish(&mut seen);
    assert_eq!(
        seen.waits.iter().map(|wait| (wait.0, wait.2)).collect::<Vec<_>>(),
        [(0, 30), (1, 40), (1, 50), (2, 60)]
    );
    let definitions = decoder.definitions();
    let locks: Vec<_> = definitions
        .locks
        .values()
        .map(|lock| (lock.kind.as_str(), lock.address.unwrap()))
        .collect();
    let expected = [("sync.Mutex", 0x9000), ("sync.RWMutex", 0xa000), ("sync.Map.node", 0xb000)];
    assert_eq!(locks, expected);
    assert_eq!(definitions.stacks[&0], [350, 450], "the runtime's inside is left out");
    assert_eq!(definitions.locks[&0].label.as_deref(), Some("main.get"));
}

#[test]
fn who_queues_for_a_file_descriptor_waits_for_whoever_has_it() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    let stack = [150, 2250, 2350, 2450, 450, 1150];
    decoder.record(&wait_bytes(1, 0x900c, &stack, 10, 50), &mut seen);
    decoder.record(&release_bytes_from([2349, 2450], 8, 0x900c, 48, b"X"), &mut seen);
    decoder.finish(&mut seen);
    assert_eq!((seen.waits.len(), decoder.other_waits), (1, 0));
    let definitions = decoder.definitions();
    let lock = &definitions.locks[&0];
    assert_eq!((&*lock.kind, lock.address), ("internal/poll.fdMutex", Some(0x900c)));
    assert_eq!(lock.label.as_deref(), Some("main.get"));
    assert_eq!(seen.modes, [Some(Mode::Write)]);
    assert_eq!(seen.holder_modes, [Some(Mode::Write)]);
}

/// A writer's wait for other writers and the one for readers, made by one call.
#[test]
fn a_writers_two_waits_are_one_with_one_key() {
    for order in [[0, 1], [1, 0]] {
        let (mut decoder, mut seen) = (decoder(), Seen::default());
        let mut parts = [
            wait_bytes(1, 0xa004, &[150, 250, 350, 550, 450, 1150], 10, 50),
            wait_bytes(1, 0xa008, &[150, 2650, 560, 450, 1150], 52, 90),
        ];
        parts[1][1] = 1;
        parts[1][48..56].copy_from_slice(&10_u64.to_le_bytes());
        for at in order {
            decoder.record(&parts[at], &mut seen);
        }
        decoder.record(&after_wait_bytes(77, 90, b"Y", &[850, 455, 1150]), &mut seen);
        decoder.finish(&mut seen);
        assert_eq!(seen.waits.iter().map(|it| it.2).collect::<Vec<_>>(), [80]);
        assert_eq!(seen.modes, [Some(Mode::Write)]);
        assert_eq!(seen.key_waits, [(0, b"Y".to_vec(), 80)]);
        // The same of another call's.
        let mut other = wait_bytes(1, 0xa008, &[150, 2650, 560, 460, 1150], 152, 190);
        other[1] = 1;
        other[48..56].copy_from_slice(&110_u64.to_le_bytes());
        let first = wait_bytes(1, 0xa004, &[150, 250, 350, 550, 450, 1150], 110, 150);
        for it in [&first, &other] {
            decoder.record(it, &mut seen);
        }
        decoder.finish(&mut seen);
        assert_eq!(seen.waits.iter().map(|it| it.2).collect::<Vec<_>>(), [80, 40, 38]);
    }
}

#[test]
fn a_wait_that_goes_on_is_told_as_a_whole_and_not_as_one_that_ended() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    let stack = [150, 250, 350, 450];
    let mut frames = [0; MAX_FRAMES];
    frames[..4].copy_from_slice(&[149, 250, 350, 450]);
    let again = probe_ebpf::OpenWait {
        site: 1,
        frame_count: 4,
        start_ns: 60,
        entered_ns: 60,
        wait_ns: 10,
        part: 1,
        window: 1,
        goid: 7,
        object: 0x9004,
        caller: 250,
        parks: 1,
        switches: probe_ebpf::Switches::default(),
        frames,
    };
    let nothing = probe_ebpf::OpenWait { parks: 0, ..again };
    let later = probe_ebpf::OpenWait { wait_ns: 101, ..again };
    decoder.record(&wait_bytes(1, 0x9004, &stack, 10, 50), &mut seen);
    let open = Open::new(100, [(77, again), (78, nothing), (79, later)].into_iter());
    decoder.settle_with(&open, u64::MAX, &mut seen);
    assert_eq!((seen.waits.len(), &seen.open[..]), (0, &[(0, 90)][..]));
    decoder.settle_with(&Open::default(), u64::MAX, &mut seen);
    assert_eq!(seen.waits.iter().map(|it| it.2).collect::<Vec<_>>(), [40]);
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
    decoder.finish(&mut seen);
    assert_eq!(seen.waits, [(0, 0, 30)]);
}

/// A record's operation, as it lies in others.
fn op_words(task: u64, key: &[u8]) -> Vec<u8> {
    let mut bytes = op_bytes(0xc000, 0x7000, key);
    bytes[8..16].copy_from_slice(&task.to_le_bytes());
    bytes.resize(size_of::<LongOp>(), 0);
    bytes
}

fn stack_bytes(bytes: &mut Vec<u8>, stack: &[u64]) {
    for index in 0..MAX_FRAMES {
        bytes.extend(stack.get(index).copied().unwrap_or(0).to_le_bytes());
    }
}

fn after_wait_bytes(task: u64, end_ns: u64, key: &[u8], stack: &[u64]) -> Vec<u8> {
    let mut bytes = vec![record_kind::AFTER_WAIT, 0, 0, 0];
    bytes.extend((stack.len() as u32).to_le_bytes());
    bytes.extend(end_ns.to_le_bytes());
    bytes.extend(op_words(task, key));
    stack_bytes(&mut bytes, stack);
    assert_eq!(bytes.len(), size_of::<OpOfWait>());
    bytes
}

fn release_bytes(task: u64, lock: u64, ts_ns: u64, key: &[u8]) -> Vec<u8> {
    release_bytes_from([1280, 1150], task, lock, ts_ns, key)
}

fn release_bytes_from(stack: [u64; 2], task: u64, lock: u64, ts_ns: u64, key: &[u8]) -> Vec<u8> {
    let op = op_from(1130, &op_words(task, key));
    release_bytes_with(&op, MadeAt { pointer: 0xb000, stack: 0xa008 }, stack, lock, ts_ns)
}

/// The release's frames lie at 0xa000 and 0xb000.
fn release_bytes_with(
    last: &[u8],
    last_at: MadeAt,
    stack: [u64; 2],
    lock: u64,
    ts_ns: u64,
) -> Vec<u8> {
    let task = u64::from_le_bytes(last[8..16].try_into().unwrap());
    let mut bytes = vec![record_kind::RELEASE, 1, 0, 0];
    bytes.extend(3_u32.to_le_bytes());
    for word in [ts_ns, task, task, lock, stack[1]] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend((stack.len() as u32).to_le_bytes());
    bytes.extend(5_u32.to_le_bytes());
    bytes.extend(last);
    bytes.extend(op_words(task, b"no outer one"));
    let live = [last_at.pointer, last_at.stack, 2, stack[0], 0xa000, stack[1], 0xb000];
    bytes.extend(live.map(u64::to_le_bytes).concat());
    bytes.resize(size_of::<Release>() - 8 * MAX_FRAMES, 0);
    stack_bytes(&mut bytes, &stack);
    assert_eq!(bytes.len(), size_of::<Release>());
    bytes
}

#[test]
fn a_wait_belongs_to_the_key_behind_it_and_is_blamed_on_the_holders() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    let waiting = [150, 250, 350, 450, 1150];
    decoder.record(&after_wait_bytes(77, 50, b"Y", &[850, 455, 1150]), &mut seen);
    decoder.record(&wait_bytes(1, 0x9004, &waiting, 10, 50), &mut seen);
    decoder.record(&release_bytes(8, 0x9000, 48, b"X"), &mut seen);
    decoder.finish(&mut seen);
    assert_eq!(seen.key_waits, [(0, b"Y".to_vec(), 40)]);
    let [(holder, waiter, 40)] = seen.blames[..] else { panic!("{:?}", seen.blames) };
    let definitions = decoder.definitions();
    let key = |actor: ActorId| definitions.actors[&actor].key.clone().unwrap().key.bytes;
    assert_eq!((&*key(holder), &*key(waiter)), (&b"X"[..], &b"Y"[..]));
    assert_eq!(definitions.stacks[&definitions.actors[&holder].stack], [1281, 1150]);
}

/// The key that the release is charged for, of an operation that comes back to `caller`.
fn blamed_for(caller: u64, last_at: MadeAt, releases_to: u64) -> Option<Vec<u8>> {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    let op = op_from(caller, &op_words(8, b"X"));
    let stack = [1280, releases_to];
    decoder.record(&release_bytes_with(&op, last_at, stack, 0x9000, 48), &mut seen);
    decoder.record(&wait_bytes(1, 0x9004, &[150, 250, 350, 450, 1150], 10, 50), &mut seen);
    decoder.finish(&mut seen);
    let actors = decoder.definitions().actors;
    actors[&seen.blames[0].0].key.as_ref().map(|key| key.key.bytes.to_vec())
}

#[test]
fn a_key_is_blamed_for_an_operation_made_while_the_lock_was_held_and_for_no_other() {
    let here = MadeAt { pointer: 0xb000, stack: 0xa008 };
    let below = MadeAt { pointer: 0xa000, stack: 0x9f08 };
    let x = Some(b"X".to_vec());
    assert_eq!(blamed_for(1130, here, 1150), x, "between the lock and its release");
    assert_eq!(blamed_for(1110, here, 1150), None, "before the lock");
    assert_eq!(blamed_for(450, here, 1150), None, "in a function that was there before");
    let elsewhere = MadeAt { pointer: 0xc000, ..here };
    assert_eq!(blamed_for(1130, elsewhere, 1150), None, "in a frame that is gone");
    let smaller = MadeAt { stack: 0xa018, ..here };
    assert_eq!(blamed_for(1130, smaller, 1150), None, "in a frame of another size");
    assert_eq!(blamed_for(450, below, 1150), x, "in a function called under the lock");
    assert_eq!(blamed_for(1350, below, 1150), None, "in a package's initialization");
    assert_eq!(blamed_for(850, below, 1150), None, "by the runtime");
    // Where the call was not read, all that may be it are asked.
    assert_eq!(blamed_for(CALLER_NOT_SAMPLED, here, 1150), None, "one is before the lock");
    assert_eq!(blamed_for(CALLER_NOT_SAMPLED, below, 1150), x);
    // Who releases has not taken it, and nobody is known to.
    assert_eq!(blamed_for(450, here, 455), None);
}

#[test]
fn who_holds_a_mutex_holds_it_in_no_mode_but_an_rwmutexs_is_its_writers() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    // Of the third one's stack only a frame could be read. The last one is a TryLock that
    // found readers, so that Lock and Unlock are not the only ones who let go of the Mutex.
    let cases = [(0x9000, 1150, 1150), (0xa000, 550, 550), (0xb000, 550, 349), (0xc000, 550, 2750)];
    for (lock, taker, releaser) in cases {
        let stack = [150, 250, 350, taker, 1150];
        decoder.record(&wait_bytes(1, lock + 4, &stack, 10, 50), &mut seen);
        let release = release_bytes_from([349, releaser], 8, lock, 48, b"X");
        decoder.record(&release, &mut seen);
        decoder.finish(&mut seen);
    }
    let write = Some(Mode::Write);
    assert_eq!(seen.holder_modes, [None, write, write, write]);
}

#[test]
fn an_operation_after_the_frame_is_gone_is_not_the_waits() {
    let (mut decoder, mut seen) = (decoder(), Seen::default());
    let waiting = [150, 250, 350, 450, 1150];
    decoder.record(&wait_bytes(1, 0x9004, &waiting, 10, 50), &mut seen);
    decoder.record(&after_wait_bytes(77, 50, b"Y", &[850, 1170]), &mut seen);
    decoder.finish(&mut seen);
    assert!(seen.key_waits.is_empty());
    assert_eq!((seen.waits.len(), seen.blames.len()), (1, 1));
    assert_eq!((seen.blames[0].0, seen.blames[0].2), (NO_ACTOR, 40));
}

#[test]
fn a_caller_that_the_kernel_skipped_is_put_back() {
    let of = |raw: &[u64], caller| frames(raw, caller).to_vec();
    assert_eq!(of(&[100, 300], 200), [101, 200, 300]);
    assert_eq!(of(&[100, 200, 300], 200), [101, 200, 300]);
    assert_eq!(of(&[100, 900, 200, 300], 200), [101, 900, 200, 300], "a wrapper between");
    assert_eq!(of(&[], 200), [200]);
    assert_eq!(of(&[100], 0), [101]);
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

#[test]
fn how_keys_are_shown_is_told_by_an_operation_that_has_one() {
    let mut keyed = site(Role::Map(Op::Lookup), "own", "custom");
    keyed.descriptor.key_kind = key_kind::INT;
    let keyless =
        Site { format: KeyFormat::Bytes, ..site(Role::Map(Op::Iterate), "own", "custom") };
    let plan = Plan { sites: vec![keyed, keyless], ..Plan::default() };
    let (mut decoder, mut seen) =
        (Decoder::new(&plan, Code([(4, "main.get")].into())), Seen::default());
    let mut first = op_bytes(0xc000, 0, b"");
    first[4] = 1;
    decoder.record(&first, &mut seen);
    assert_eq!(decoder.definitions().maps[&0].key_format, KeyFormat::Bytes);
    decoder.record(&op_bytes(0xc000, 0, &[7]), &mut seen);
    let info = decoder.definitions().maps[&0].clone();
    assert_eq!((info.key_format, info.label.as_deref()), (KeyFormat::Uint, Some("main.get")));
}
