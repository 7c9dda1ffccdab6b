//! Plans over a tiny Go program.

use std::io::Write as _;

use probe_ebpf::{Op, site_flags};

use super::*;
use crate::catalog::{self, Mode, With, custom};
use crate::target::fixture::{STRIDE, TEXT, TinyGo};

#[test]
fn globs() {
    assert!(glob("a", "a") && !glob("a", "ab") && !glob("a", "b"));
    assert!(glob("*", "") && glob("*", "x") && glob("a*", "ab") && glob("*b", "ab"));
    assert!(glob("std::*::Mutex::lock", "std::sys::x::Mutex::lock"));
    assert!(!glob("std::*::Mutex::lock", "std::Mutex::lock"));
    assert!(!glob("std::*::Mutex::lock", "std::sys::Mutex::lock_slow"));
    assert!(glob("a*b*c", "a-b-b-c") && !glob("a*b*c", "acb"));
    assert!(!glob("ab*ba", "aba"));
    let get = "*std::sys::*::Mutex*::lock_contended";
    assert!(glob(get, "<std::sys::sync::mutex::futex::Mutex>::lock_contended"));
    assert!(glob(get, "std::sys::sync::mutex::futex::Mutex::lock_contended"));
}

/// `runtime.morestack_noctxt` comes first in every program here.
const MORESTACK: usize = 0;

/// A function at an index: stack guard, frame, calls, and the stack's growth.
fn function(index: usize, calls: &[usize]) -> Vec<u8> {
    let start = TinyGo::address(index);
    let mut code = vec![0x49, 0x3b, 0x66, 0x10, 0x76, 0]; // cmp rsp, [r14+0x10]; jbe
    code.extend([0x55, 0x48, 0x89, 0xe5]); // push rbp; mov rbp, rsp
    let relative = |code: &mut Vec<u8>, opcode: u8, target: u64| {
        code.push(opcode);
        let next = start + code.len() as u64 + 4;
        code.extend((target.wrapping_sub(next) as i32).to_le_bytes());
    };
    for &call in calls {
        relative(&mut code, 0xe8, TinyGo::address(call));
    }
    code.extend([0x5d, 0xc3]); // pop rbp; ret
    code[5] = code.len() as u8 - 6;
    relative(&mut code, 0xe8, TinyGo::address(MORESTACK));
    relative(&mut code, 0xe9, start);
    code
}

/// A program of functions and whom they call.
fn target(functions: &[(&'static str, &[usize])]) -> Target {
    let mut program = vec![("runtime.morestack_noctxt", vec![0xc3])];
    for (index, (name, calls)) in functions.iter().enumerate() {
        program.push((name, function(index + 1, calls)));
    }
    let mut file = tempfile::Builder::new().prefix("tiny").tempfile().unwrap();
    file.write_all(&TinyGo::new(program).build()).unwrap();
    Target::of_file(file.path()).unwrap()
}

fn builtin(functions: &[(&'static str, &[usize])]) -> Plan {
    plan(&target(functions), &catalog::builtin(&[]), Only::All)
}

fn sites(plan: &Plan) -> Vec<(&str, u64)> {
    plan.sites
        .iter()
        .map(|site| (site.function.raw(), site.address - site.function_address))
        .collect()
}

fn reason<'a>(plan: &'a Plan, function: &str) -> &'a str {
    let left = plan.left_out.iter().find(|left| left.function == function);
    left.map_or_else(|| panic!("{function} is not in {:?}", plan.left_out), |left| &left.reason)
}

#[test]
fn a_wrapper_is_left_out_for_the_function_it_calls() {
    let plan = builtin(&[
        ("runtime.mapaccess1_faststr", &[2]),
        ("runtime.mapaccess2_faststr", &[]),
        ("runtime.mapaccess1_fast64", &[]),
        ("main.main", &[1, 2]),
    ]);
    let expected = [("runtime.mapaccess1_fast64", 6), ("runtime.mapaccess2_faststr", 6)];
    assert_eq!(sites(&plan), expected);
    assert!(reason(&plan, "runtime.mapaccess1_faststr").contains("would count twice"));
    let [alone, wrapped] = &plan.sites[..] else { panic!("two sites") };
    let low = TEXT + STRIDE;
    assert_eq!((alone.wrapper, wrapped.wrapper), (None, Some((low, low + STRIDE))));
    assert_eq!(alone.descriptor.flags, site_flags::TASK_IS_R14);
    let both = site_flags::TASK_IS_R14 | site_flags::THROUGH_WRAPPER;
    assert_eq!(wrapped.descriptor.flags, both);
    assert_eq!(wrapped.descriptor.wrapper_lo, low);
    assert_eq!(wrapped.descriptor.wrapper_hi, low + STRIDE);
    assert_eq!(wrapped.file_offset, 0x1000 + 2 * STRIDE + 6);
}

#[test]
fn several_wrappers_share_a_range_unless_others_call_from_inside() {
    let between = |calls: &'static [usize]| {
        let plan = builtin(&[
            ("runtime.mapaccess1", &[4]),
            ("runtime.other", calls),
            ("runtime.mapaccess2_fat", &[4]),
            ("runtime.mapaccess2", &[]),
        ]);
        assert_eq!(sites(&plan), [("runtime.mapaccess2", 6)]);
        plan.sites[0].wrapper
    };
    assert_eq!(between(&[]), Some((TEXT + STRIDE, TEXT + 4 * STRIDE)));
    assert_eq!(between(&[4]), Some((TEXT + STRIDE, TEXT + 2 * STRIDE)));
}

#[test]
fn a_wait_ends_at_each_call_that_gives_the_sudog_back() {
    let plan =
        builtin(&[("runtime.semacquire1", &[2, 3, 2]), ("runtime.releaseSudog", &[]), ("f", &[])]);
    let ends: Vec<_> = plan.sites.iter().filter(|site| site.role == Role::WaitEnd).collect();
    let offsets: Vec<_> = ends.iter().map(|site| site.address - site.function_address).collect();
    assert_eq!(offsets, [10, 20]);
    assert!(ends.iter().all(|site| site.instruction == "call runtime.releaseSudog"));
    let without = builtin(&[("runtime.semacquire1", &[2]), ("f", &[])]);
    let roles: Vec<_> = without.sites.iter().map(|site| site.role).collect();
    assert!(!roles.contains(&Role::WaitEnd));
    assert!(reason(&without, "runtime.semacquire1").contains("whose calls could be probed"));
}

const SWAP: &str = "internal/sync.(*HashTrieMap[go.shape.interface {},go.shape.interface {}]).Swap";
const OTHER: &str = "internal/sync.(*HashTrieMap[go.shape.string,go.shape.struct { weak.u }]).Load";

#[test]
fn sync_map_is_probed_where_its_work_is_done() {
    // Up to 1.23 in the map itself.
    let plan = builtin(&[
        ("sync.(*Map).Load", &[4]),
        ("sync.(*Map).Store", &[3]),
        ("sync.(*Map).Swap", &[]),
        ("sync.(*Map).missLocked", &[]),
    ]);
    let expected =
        [("sync.(*Map).Load", 6), ("sync.(*Map).Swap", 6), ("sync.(*Map).missLocked", 6)];
    assert_eq!(sites(&plan), expected);
    assert!(reason(&plan, "sync.(*Map).Store").contains("would count twice"));
    let load = &plan.sites[0];
    assert_eq!((load.kind.as_str(), load.program), ("sync.Map", Program::TypedMapOp));
    assert_eq!(load.descriptor.key_kind, key_kind::IFACE);
    assert_eq!((load.descriptor.key.reg, load.descriptor.key_len.reg), (3, 1)); // rbx, rcx
    assert_eq!(load.descriptor.flags, site_flags::TASK_IS_R14 | site_flags::MAY_WAIT);
    assert_eq!(plan.sites[2].role, Role::Map(Op::Miss));
    let flags = plan.sites[2].descriptor.flags;
    assert_eq!(flags, site_flags::TASK_IS_R14 | site_flags::BY_ITSELF);

    // Since 1.24 in the trie, and not in those that the runtime has for itself.
    let plan = builtin(&[("sync.(*Map).Store", &[2]), (SWAP, &[]), (OTHER, &[])]);
    assert_eq!(sites(&plan), [(SWAP, 6)]);
    let swap = &plan.sites[0].descriptor;
    assert_eq!((swap.object.reg, swap.key.reg, swap.key_len.reg), (0, 1, 7)); // rax, rcx, rdi
    assert_eq!(plan.sites[0].wrapper, Some((TEXT + STRIDE, TEXT + 2 * STRIDE)));
}

#[test]
fn goroutines_have_numbers() {
    let plan = builtin(&[("runtime.mapassign", &[])]);
    assert_eq!((plan.sites[0].descriptor.goid_offset, plan.notes.len()), (152, 0)); // go1.27.3
}

#[test]
fn who_lets_a_lock_go_is_told_with_the_locks_own_address() {
    let plan = builtin(&[
        ("sync.(*Mutex).unlockSlow", &[5]),
        ("sync.(*RWMutex).rUnlockSlow", &[5]),
        ("sync.(*RWMutex).Unlock", &[5, 1]),
        ("internal/sync.runtime_Semrelease", &[]),
        ("sync.runtime_Semrelease", &[]),
    ]);
    let found: Vec<_> = plan
        .sites
        .iter()
        .map(|site| (site.kind.as_str(), site.mode, site.descriptor.object.offsets[0]))
        .collect();
    let expected = [
        ("sync.Mutex", None, -4),
        ("sync.RWMutex", Some(Mode::Read), -8),
        ("sync.RWMutex", Some(Mode::Write), -12),
    ];
    assert_eq!(found, expected);
    assert!(plan.sites.iter().all(|site| site.program == Program::Release));
    let has_caller = |site: &Site| site.descriptor.flags & site_flags::IS_INSIDE == 0;
    assert_eq!(plan.sites.iter().map(has_caller).collect::<Vec<_>>(), [false; 3]);
}

#[test]
fn what_is_off_says_how_to_turn_it_on() {
    let program = target(&[
        ("runtime.chansend", &[4, 5, 5]),
        ("runtime.lock2", &[3, 5]),
        ("runtime.semasleep", &[]),
        ("runtime.gopark", &[]),
        ("runtime.releaseSudog", &[]),
        ("internal/sync.(*Mutex).lockSlow", &[]),
        ("sync.(*WaitGroup).Wait", &[]),
    ]);
    let with = |with: &[With]| plan(&program, &catalog::builtin(with), Only::All);
    let off = with(&[]);
    assert_eq!(off.sites.len(), 0);
    assert_eq!(reason(&off, "runtime.chansend"), "off; --with chan turns it on");
    assert_eq!(reason(&off, "runtime.lock2"), "off; --with runtime turns it on");
    assert_eq!(reason(&off, "sync.(*WaitGroup).Wait"), "off; --with waitgroup turns it on");
    assert_eq!(off.off, [With::Waitgroup, With::Chan, With::Runtime, With::Spin]);
    let programs = |plan: &Plan| plan.sites.iter().map(|site| site.program).collect::<Vec<_>>();

    let chan = with(&[With::Chan]);
    assert_eq!(programs(&chan), [Program::WaitBegin, Program::WaitEnd, Program::WaitEnd]);
    let sleeping = site_flags::TASK_IS_R14 | site_flags::IS_PARK | site_flags::IS_INSIDE;
    assert_eq!(chan.sites[0].descriptor.flags, sleeping);

    // The runtime locks with whatever goroutine it runs on: the thread is the task.
    let runtime = with(&[With::Runtime]);
    assert_eq!(sites(&runtime), [("runtime.lock2", 10), ("runtime.lock2", 15)]);
    assert_eq!(programs(&runtime), [Program::WaitBegin, Program::WaitEnd]);
    let begin = &runtime.sites[0].descriptor;
    assert_eq!(begin.flags, site_flags::IS_PARK | site_flags::IS_INSIDE);
    assert_eq!((begin.goid_offset, begin.object.is_present()), (0, false));

    assert_eq!(programs(&with(&[With::Spin])), [Program::SpinBegin]);
}

#[test]
fn only_what_is_wanted() {
    let program = target(&[
        ("runtime.mapassign", &[]),
        ("runtime.semacquire1", &[3]),
        ("runtime.releaseSudog", &[]),
    ]);
    let is_map = |site: &Site| matches!(site.role, Role::Map(_));
    let maps = plan(&program, &catalog::builtin(&[]), Only::Maps);
    assert!(maps.sites.iter().all(is_map) && maps.sites.len() == 1);
    let locks = plan(&program, &catalog::builtin(&[]), Only::Locks);
    assert!(!locks.sites.iter().any(is_map) && locks.sites.len() >= 2);
}

#[test]
fn what_the_program_lacks_is_one_line() {
    let plan = builtin(&[("runtime.mapassign", &[])]);
    let go: Vec<_> =
        plan.left_out.iter().filter(|left| left.function.raw().starts_with("go:")).collect();
    assert_eq!(go.len(), 1);
    assert!(go[0].reason.contains("runtime.mapdelete") && !go[0].required);
    assert!(plan.require().is_ok());
}

fn with(probe: &str, functions: &[(&'static str, &[usize])]) -> Plan {
    let target = target(functions);
    let entries = custom::parse(probe).unwrap().entries(&target).unwrap();
    plan(&target, &entries, Only::All)
}

#[test]
fn what_the_user_named_must_be_there() {
    let functions: &[(&'static str, &[usize])] = &[("main.get", &[]), ("main.put", &[])];
    let found = with("lookup:main.get key=rbx map=rax", functions);
    assert_eq!(sites(&found), [("main.get", 6)]);
    // Nobody said so, but in Go functions R14 is the goroutine.
    let flags = site_flags::TASK_IS_R14 | site_flags::MAY_WAIT;
    assert_eq!(found.sites[0].descriptor.flags, flags);
    let target = target(functions);
    let wrong = |probe| custom::parse(probe).unwrap().entries(&target).unwrap_err().to_string();
    let missing = wrong("lookup:main.gett key=rbx");
    for part in ["no function of this name is in", "^", "near it are:", "main.get"] {
        assert!(missing.contains(part), "{missing}");
    }
    assert!(wrong("lookup:main.get@libc.so.6 key=rbx").contains("has no module of this name"));
}

#[test]
fn a_go_function_cannot_be_timed_to_its_return() {
    let plan = with("lock:main.lock lock=rax", &[("main.lock", &[])]);
    assert!(plan.sites.is_empty());
    assert!(reason(&plan, "main.lock").contains("would crash"));
}

#[test]
fn one_name_for_two_functions_needs_a_star() {
    let functions: &[(&'static str, &[usize])] = &[("f.get", &[]), ("f.get", &[])];
    let plan = with("lookup:f.get", functions);
    assert!(reason(&plan, "f.get").starts_with("2 functions have this name (at 0x401100, 0x4012"));
    assert_eq!(sites(&with("lookup:f.get*", functions)).len(), 2);
}

#[test]
fn one_instruction_is_probed_once() {
    let program = target(&[("main.get", &[])]);
    let probes = ["lookup:main.get key=rbx", "delete:main.get key=rbx"];
    let probes = probes.iter().map(|probe| custom::parse(probe).unwrap());
    let entries: Vec<_> = probes.flat_map(|probe| probe.entries(&program).unwrap()).collect();
    let plan = plan(&program, &entries, Only::All);
    assert_eq!(plan.sites.len(), 1);
    assert_eq!(plan.sites[0].role, Role::Map(Op::Lookup));
    assert!(reason(&plan, "main.get").contains("is probed as main.get"));
}

#[test]
fn there_is_a_bound_on_sites() {
    let many: Vec<_> = (0..=MAX_SITES).map(|_| ("main.get", [].as_slice())).collect();
    let plan = with("lookup:main.*", &many);
    assert_eq!(plan.sites.len(), MAX_SITES);
    assert!(reason(&plan, "main.get").contains("more than 1024 sites"));
}
