//! From the catalog and a target to a plan.
//!
//! In: modules and entries. Out: the sites, and why each candidate that has none
//! was left out.

use std::collections::{BTreeMap, HashMap, HashSet};

use probe_ebpf::{MAX_SITES, Operand, key_kind, site_flags};

use super::walk::{Body, Spot};
use super::x86_64::RegSet;
use super::{LeftOut, Only, Plan, Program, Site, verify, walk};
use crate::catalog::{self, Entry, KeySource, Point, Role, Symbol, Task, Waits, glob};
use crate::outside::{Outside, Shown as _};
use crate::target::{FunctionKind, Module, Target};

/// Functions that one entry or one name can mean: more than there can be probes.
const MOST_OF_AN_ENTRY: usize = 2 * MAX_SITES;
/// Addresses that a sentence tells.
const PLACES: usize = 8;

/// A function that an entry means.
#[derive(Clone, Debug)]
struct Candidate {
    entry: usize,
    module: usize,
    name: Outside,
    start: u64,
    end: u64,
    kind: FunctionKind,
}

/// A candidate and what came of it.
#[derive(Debug)]
struct Placed {
    candidate: Candidate,
    spots: Result<Vec<(Program, Spot)>, String>,
}

/// What the functions of all modules were searched for.
#[derive(Debug, Default)]
struct Search {
    candidates: Vec<Candidate>,
    /// Addresses of functions that entries mention without probing them.
    named: HashMap<(usize, String), Vec<u64>>,
    /// Go's stack-growing functions.
    growth: HashSet<(usize, u64)>,
}

/// Decides where every wanted function is probed.
pub fn plan(target: &Target, entries: &[Entry], only: Only) -> Plan {
    let mut entries: Vec<&Entry> = entries.iter().filter(|entry| only.wants(entry.role)).collect();
    // What the user named goes before what mapprof knows.
    entries.sort_by_key(|entry| !entry.required);
    let search = search(target, &entries);
    let mut plan = Plan::default();
    report_absent(&mut plan, target, &entries, &search.candidates);
    let chosen = one_address_each(&mut plan, target, &entries, &search.candidates);
    let placed: Vec<Placed> = chosen
        .into_iter()
        .map(|candidate| {
            let spots = place(target, &search, entries[candidate.entry], &candidate);
            Placed { candidate, spots }
        })
        .collect();
    let wrappers = find_wrappers(target, &entries, &placed);
    for (index, Placed { candidate, spots }) in placed.iter().enumerate() {
        let entry = entries[candidate.entry];
        let module = &target.modules()[candidate.module];
        if let Some(callee) = wrappers.callee.get(&index) {
            let callee = &placed[*callee].candidate.name;
            let reason = format!("it calls {callee}, which is probed: it would count twice");
            plan.leave_out(&candidate.name, Some(module), reason, entry.required);
            continue;
        }
        match spots {
            Ok(spots) => {
                let wrapper = wrappers.range.get(&index).copied();
                for (program, spot) in spots {
                    add(&mut plan, entry, candidate, module, *program, spot, wrapper);
                }
            }
            Err(reason) => {
                plan.leave_out(&candidate.name, Some(module), reason.clone(), entry.required);
            }
        }
    }
    plan.rebase(target);
    plan
}

/// One pass over all functions of all modules.
fn search(target: &Target, entries: &[&Entry]) -> Search {
    let mut exact: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut globs: Vec<(usize, &str)> = Vec::new();
    let mut mentioned: HashSet<&str> = HashSet::new();
    for (index, entry) in entries.iter().enumerate() {
        match &entry.symbol {
            Symbol::Exact(name) => exact.entry(name).or_default().push(index),
            Symbol::Glob(pattern) => globs.push((index, pattern)),
        }
        if let Point::CallTo(name) | Point::After(name) = &entry.point {
            mentioned.insert(name);
        }
    }
    let mut search = Search::default();
    let mut found: HashSet<usize> = HashSet::new();
    let mut counts: HashMap<usize, usize> = HashMap::new();
    for (index, module) in target.modules().iter().enumerate() {
        let first = search.candidates.len();
        for function in module.image.functions() {
            let by_name = exact.get(function.name.raw());
            let by_raw = exact.get(function.raw.raw()).filter(|_| by_name.is_none());
            let by_glob = globs.iter().filter(|(_, pattern)| {
                glob(pattern, function.name.raw()) || glob(pattern, function.raw.raw())
            });
            let hits = by_name.into_iter().chain(by_raw).flatten().copied();
            for entry in hits.chain(by_glob.map(|&(entry, _)| entry)) {
                let elsewhere =
                    entries[entry].module.as_ref().is_some_and(|wanted| module.name != **wanted);
                if elsewhere || found.contains(&entry) {
                    continue;
                }
                let same = counts.entry(entry).or_default();
                *same += 1;
                if *same > MOST_OF_AN_ENTRY {
                    continue;
                }
                search.candidates.push(Candidate {
                    entry,
                    module: index,
                    name: function.name.to_owned(),
                    start: function.start,
                    end: function.end,
                    kind: function.kind,
                });
            }
            if mentioned.contains(function.name.raw()) {
                let key = (index, function.name.raw().to_owned());
                let named = search.named.entry(key).or_default();
                if named.len() < MOST_OF_AN_ENTRY {
                    named.push(function.start);
                }
            }
            if function.name.raw().starts_with("runtime.morestack")
                && search.growth.len() < MOST_OF_AN_ENTRY
            {
                search.growth.insert((index, function.start));
            }
        }
        // A name found in the executable is not looked for in its libraries, but a Go
        // plugin calls copies of its own.
        let exactly = search.candidates[first..].iter().filter(|candidate| {
            candidate.kind != FunctionKind::Go
                && matches!(entries[candidate.entry].symbol, Symbol::Exact(_))
        });
        found.extend(exactly.map(|candidate| candidate.entry));
    }
    search.candidates.sort_by_key(|candidate| (candidate.entry, candidate.module, candidate.start));
    search
}

/// One line for what each runtime lacks, and one for each function the user named.
fn report_absent(plan: &mut Plan, target: &Target, entries: &[&Entry], found: &[Candidate]) {
    let present: HashSet<usize> = found.iter().map(|candidate| candidate.entry).collect();
    let mut absent: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut runtimes_present: HashSet<&str> = HashSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let (Symbol::Exact(name) | Symbol::Glob(name)) = &entry.symbol;
        if present.contains(&index) {
            runtimes_present.insert(entry.runtime);
        } else if entry.required {
            let place = entry.module.as_ref().map_or_else(
                || format!("{} or its libraries", target.name()),
                |module| format!("a module {}", module.shown()),
            );
            plan.left_out.push(LeftOut {
                function: name.as_ref().into(),
                module: None,
                reason: format!("no function of this name is in {place}"),
                required: true,
            });
        } else if entry.runtime != "demo" {
            let names = absent.entry(entry.runtime).or_default();
            if !names.contains(&name.as_ref()) {
                names.push(name);
            }
        }
    }
    for (runtime, names) in absent {
        let reason = if runtimes_present.contains(runtime) {
            format!("not in this program: {}", names.join(", "))
        } else if runtime == "go" {
            "the program holds no Go function table: it is not Go, or older than Go 1.18".to_owned()
        } else {
            "the program has none of these functions, or its symbols are stripped".to_owned()
        };
        let plural = if names.len() == 1 { "" } else { "s" };
        let function = format!("{runtime}: {} function{plural}", names.len());
        plan.left_out.push(LeftOut {
            function: function.into(),
            module: None,
            reason,
            required: false,
        });
    }
}

/// Drops resolvers, aliases at one address, and names that mean several functions.
fn one_address_each(
    plan: &mut Plan,
    target: &Target,
    entries: &[&Entry],
    candidates: &[Candidate],
) -> Vec<Candidate> {
    let mut chosen: Vec<Candidate> = Vec::new();
    let mut off = Vec::new();
    for group in candidates.chunk_by(|a, b| (a.entry, a.module) == (b.entry, b.module)) {
        let entry = entries[group[0].entry];
        let module = &target.modules()[group[0].module];
        let mut leave = |name: &Outside, reason: String| {
            plan.leave_out(name, Some(module), reason, entry.required);
        };
        let mut functions: Vec<&Candidate> = Vec::new();
        for candidate in group {
            let is_alias = functions.last().is_some_and(|last| last.start == candidate.start);
            if candidate.kind == FunctionKind::Ifunc {
                let reason = "its symbol is a resolver (IFUNC) that picks the function when the \
                              program is loaded: name the function it picks";
                leave(&candidate.name, reason.to_owned());
            } else if !is_alias {
                functions.push(candidate);
            }
        }
        if let (Symbol::Exact(name), [_, _, ..]) = (&entry.symbol, functions.as_slice()) {
            let places = functions.iter().map(|function| format!("{:#x}", function.start));
            let more = if functions.len() > PLACES { ", …" } else { "" };
            let reason = format!(
                "{} functions have this name (at {}{more}): end the name with * to mean all of them",
                functions.len(),
                places.take(PLACES).collect::<Vec<_>>().join(", ")
            );
            leave(&name.as_ref().into(), reason);
            continue;
        }
        for candidate in functions {
            if let Some(switch) = entry.off {
                off.push(switch);
                leave(&candidate.name, format!("off; --with {} turns it on", switch.name()));
                continue;
            }
            if entry.role == Role::Acquire && candidate.kind == FunctionKind::Go {
                let reason = "Go functions cannot be timed to their return: Go moves its stacks, \
                              and a return probe would crash the program";
                leave(&candidate.name, reason.to_owned());
                continue;
            }
            chosen.push(candidate.clone());
        }
    }
    off.sort_unstable();
    off.dedup();
    plan.off = off;
    chosen
}

/// Functions that merely call another one that is probed, by index.
#[derive(Debug, Default)]
struct Wrappers {
    /// The function that a wrapper calls.
    callee: HashMap<usize, usize>,
    /// The addresses of the wrappers of a function.
    range: HashMap<usize, (u64, u64)>,
}

fn find_wrappers(target: &Target, entries: &[&Entry], placed: &[Placed]) -> Wrappers {
    let mut wrappers = Wrappers::default();
    for (index, Placed { candidate, .. }) in placed.iter().enumerate() {
        let forwards_to = entries[candidate.entry].forwards_to;
        let module = &target.modules()[candidate.module];
        let Some(body) = (!forwards_to.is_empty()).then(|| body(module, candidate)).flatten()
        else {
            continue;
        };
        let callee = placed.iter().position(|other| {
            other.spots.is_ok()
                && other.candidate.module == candidate.module
                && forwards_to.contains(&other.candidate.name.raw())
                && body.leads_to(other.candidate.start)
        });
        if let Some(callee) = callee {
            wrappers.callee.insert(index, callee);
        }
    }
    for callee in wrappers.callee.values().copied().collect::<HashSet<_>>() {
        let callers = wrappers.callee.iter().filter(|&(_, called)| *called == callee);
        let mut callers: Vec<_> = callers.map(|(&index, _)| &placed[index].candidate).collect();
        callers.sort_by_key(|caller| caller.start);
        let module = &target.modules()[placed[callee].candidate.module];
        if let Some(range) = wrapper_range(module, &callers, placed[callee].candidate.start) {
            wrappers.range.insert(callee, range);
        }
    }
    wrappers
}

/// The one range the kernel side compares callers with: around all wrappers if
/// nothing else in between calls the function, else the first wrapper's own.
fn wrapper_range(module: &Module, callers: &[&Candidate], callee: u64) -> Option<(u64, u64)> {
    let (first, last) = (callers.first()?, callers.last()?);
    let between = module.image.bytes_at(first.start, last.end.checked_sub(first.start)?)?;
    let stranger = walk::relative_calls(between, first.start, callee)
        .any(|call| !callers.iter().any(|caller| (caller.start..caller.end).contains(&call)));
    Some((first.start, if stranger { first.end } else { last.end }))
}

fn body(module: &Module, candidate: &Candidate) -> Option<Body> {
    let len = candidate.end.checked_sub(candidate.start)?;
    module.image.probe_offset(candidate.start, len)?;
    // What GCC and LLVM split off a function is jumped to from its middle.
    let is_entered = !candidate.name.raw().split('.').any(|part| part == "cold");
    Some(Body::new(module.image.bytes_at(candidate.start, len)?, candidate.start, is_entered))
}

/// Registers that must still hold what they held at the function's entry.
fn needed(entry: &Entry) -> RegSet {
    let site = descriptor(entry);
    let operands = [site.object, site.key, site.key_len, site.aux];
    let mut needed = RegSet::default();
    for operand in operands.iter().filter(|operand| operand.is_present()) {
        needed = needed.with(operand.reg);
    }
    if entry.task == Task::Goroutine { needed.with_goroutine() } else { needed }
}

/// The instructions for one function, each with the program that interprets it.
fn place(
    target: &Target,
    search: &Search,
    entry: &Entry,
    candidate: &Candidate,
) -> Result<Vec<(Program, Spot)>, String> {
    let module = &target.modules()[candidate.module];
    let body = body(module, candidate)
        .ok_or("its symbol says it reaches beyond the executable part of the file")?;
    let spots = match &entry.point {
        Point::Start => {
            let is_growth = |address| search.growth.contains(&(candidate.module, address));
            vec![body.start_spot(needed(entry), is_growth)?]
        }
        Point::CallTo(name) | Point::After(name) => {
            let key = (candidate.module, name.to_string());
            let targets = search.named.get(&key).map_or(&[][..], Vec::as_slice);
            if targets.is_empty() {
                return Err(format!("there is no {name} whose calls could be probed"));
            }
            let mut calls = body.calls_to(targets);
            if calls.is_empty() {
                return Err(format!("it has no direct call to {name}"));
            }
            if matches!(entry.point, Point::After(_)) {
                body.after_calls_to(targets)
                    .ok_or_else(|| format!("nothing behind its call to {name} can be probed"))?
            } else {
                for call in &mut calls {
                    call.text = format!("call {name}");
                }
                calls
            }
        }
    };
    for spot in &spots {
        verify::unchanged(target, module, candidate.start, spot)?;
    }
    let programs: &[Program] = match entry.role {
        Role::Map(_) if matches!(entry.key, KeySource::Go { .. } | KeySource::GoIface { .. }) => {
            &[Program::TypedMapOp]
        }
        Role::Map(_) => &[Program::MapOp],
        Role::WaitBegin => &[Program::WaitBegin],
        Role::WaitPark => &[Program::WaitPark],
        Role::WaitEnd => &[Program::WaitEnd],
        Role::SpinBegin => &[Program::SpinBegin],
        Role::Release => &[Program::Release],
        Role::Acquire => &[Program::AcquireEnter, Program::AcquireReturn],
    };
    Ok(spots
        .iter()
        .flat_map(|spot| programs.iter().map(|&program| (program, spot.clone())))
        .collect())
}

fn flags(entry: &Entry) -> u16 {
    // A native lock's function is only entered to wait, as far as is known.
    let begins_asleep = entry.role == Role::Acquire
        || entry.role == Role::WaitBegin && matches!(entry.point, Point::CallTo(_));
    let by_itself = matches!(entry.role, Role::Map(op) if !op.is_asked_for());
    // A writer lets each reader in that waits, one after another.
    let wakes_many = entry.mode == Some(catalog::Mode::Write);
    let flags = [
        (entry.task == Task::Goroutine, site_flags::TASK_IS_R14),
        (entry.may_wait, site_flags::MAY_WAIT),
        (begins_asleep, site_flags::IS_PARK),
        (entry.point != Point::Start, site_flags::IS_INSIDE),
        (by_itself, site_flags::BY_ITSELF),
        (entry.role == Role::Release && !wakes_many, site_flags::ENDS_HOLD),
        (entry.waits == Waits::Always, site_flags::ONLY_WAITS),
        (entry.waits == Waits::Asleep, site_flags::WAITS_ASLEEP),
    ];
    flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum()
}

/// What the kernel side is told of an entry; wrapper addresses come later.
fn descriptor(entry: &Entry) -> probe_ebpf::Site {
    let (kind, key_size, key, key_len) = match entry.key {
        KeySource::None => (key_kind::NONE, 0, Operand::NONE, Operand::NONE),
        KeySource::Int { value, size } => (key_kind::INT, size, value, Operand::NONE),
        KeySource::Str { pointer, len } => (key_kind::STR, 0, pointer, len),
        KeySource::CStr { pointer } => (key_kind::CSTR, 0, pointer, Operand::NONE),
        KeySource::Bytes { pointer, size } => (key_kind::BYTES, size, pointer, Operand::NONE),
        KeySource::GoIface { type_word, data } => (key_kind::IFACE, 0, type_word, data),
        KeySource::Go { pointer } => (key_kind::GO, 0, pointer, Operand::NONE),
    };
    probe_ebpf::Site {
        key_kind: kind,
        flags: flags(entry),
        key_size,
        object: entry.object,
        key,
        key_len,
        aux: entry.aux,
        ..Default::default()
    }
}

fn add(
    plan: &mut Plan,
    entry: &Entry,
    candidate: &Candidate,
    module: &Module,
    program: Program,
    spot: &Spot,
    wrapper: Option<(u64, u64)>,
) {
    let leave = |plan: &mut Plan, reason: String| {
        plan.leave_out(&candidate.name, Some(module), reason, entry.required);
    };
    let Some(file_offset) = module.image.probe_offset(spot.address, spot.len) else {
        leave(plan, "its instruction lies outside of the executable part of the file".into());
        return;
    };
    let same = |site: &&Site| {
        (site.module, site.address, site.program) == (candidate.module, spot.address, program)
    };
    if let Some(other) = plan.sites.iter().find(same) {
        let reason = format!("the same instruction is probed as {}", other.function);
        leave(plan, reason);
        return;
    }
    if plan.sites.len() >= MAX_SITES {
        leave(plan, format!("there are more than {MAX_SITES} sites: name fewer functions"));
        return;
    }
    let mut descriptor = descriptor(entry);
    if spot.skip_if_guard_taken {
        descriptor.flags |= site_flags::SKIP_IF_GUARD_TAKEN;
    }
    // In a Go function the goroutine is in R14, whatever the user says.
    if candidate.kind == FunctionKind::Go && entry.required {
        descriptor.flags |= site_flags::TASK_IS_R14;
    }
    if descriptor.flags & site_flags::TASK_IS_R14 != 0 {
        descriptor.goid_offset = goid_offset(plan, module);
    }
    plan.sites.push(Site {
        module: candidate.module,
        function: candidate.name.clone(),
        address: spot.address,
        function_address: candidate.start,
        file_offset,
        instruction: spot.text.clone(),
        cost: spot.cost,
        role: entry.role,
        program,
        descriptor,
        wrapper,
        runtime: entry.runtime,
        kind: entry.kind.to_string(),
        format: entry.format,
        mode: entry.mode,
        waits: entry.waits,
    });
}

/// Where the module's goroutines keep their number.
fn goid_offset(plan: &mut Plan, module: &Module) -> u32 {
    let version = module.image.go_version().unwrap_or(Outside::new("unknown"));
    let goid = catalog::goid(version.raw());
    if !goid.is_certain {
        let note = format!(
            "the Go version of {} is {version}, with which mapprof was never tried: goroutine \
             numbers are read as in the newest it knows, and may be wrong",
            module.name
        );
        if !plan.notes.contains(&note) {
            plan.notes.push(note);
        }
    }
    goid.offset
}

#[cfg(test)]
mod tests;
