//! Locks: waits and holds, who waited, who made them wait, and for which keys.

use std::fmt::Write as _;

use super::{
    MOST_OBJECTS, MOST_PLACES, Page, SMALL, part, place, short_key, some, summed, times_text, title,
};
use crate::catalog;
use crate::model::Frame;
use crate::model::names::{bound, has_several_maps, key_of, lock_name, own_frame, short};
use crate::model::summary::{
    Attribution, KeyPart, Lock, LockFunction, Mode, Open, Pair, Party, Summary, Window,
};
use crate::units::{count, time, width};

/// Callers of a waiting function.
const MOST_FRAMES: usize = 8;
/// Keys of a stack.
const MOST_KEYS: usize = 3;

pub(super) fn write(page: &mut Page, summary: &Summary) {
    let locks = &summary.locks;
    page.gap();
    if locks.is_empty() {
        page.line("LOCKS  none: nobody waited for a lock");
        functions(page, &summary.lock_functions);
        return;
    }
    page.line("LOCKS");
    functions(page, &summary.lock_functions);
    // Without any, the runtime tells neither keys nor holders.
    let is_told = |all: &Attribution| all.attributed_ns > 0 || all.blamed_ns > 0;
    let told = summary.window.attribution.as_ref().is_some_and(is_told);
    let task = task_name(summary);
    let all = locks.iter().fold(0, |sum: u64, lock| sum.saturating_add(lock.wait.sum_ns));
    for lock in locks.iter().take(MOST_OBJECTS) {
        page.line(&format!("{:<4} {}", lock.id, title(&lock_name(lock), lock.address.as_deref())));
        figures(page, lock, &summary.window, told);
        open(page, lock, task);
        if lock.wait.sum_ns >= all / SMALL {
            waiters(page, lock, task);
            holders(page, lock, task);
            pairs(page, lock);
        }
    }
    page.more("", locks.len() as u64, MOST_OBJECTS, "locks");
}

/// `lock_it: 80.0k calls, 412 of them waits: in 400 the thread slept, …`
fn functions(page: &mut Page, functions: &[LockFunction]) {
    for function in functions.iter().take(MOST_PLACES) {
        let name = short(&function.function);
        let calls = some(function.calls, "call", "calls");
        let waits = some(function.waits, "was a wait", "were waits");
        page.paragraph(
            "     ",
            &format!("{name}: {calls}, of which {waits}: {}", told_by(function)),
        );
    }
    page.more("     ", functions.len() as u64, MOST_PLACES, "lock functions");
}

/// How the calls that waited are told from those that did not.
fn told_by(function: &LockFunction) -> String {
    let Some(lasting_ns) = function.lasting_ns else {
        return "those in which the thread slept".to_owned();
    };
    let lasting = time(lasting_ns);
    if !function.sees_sleep {
        return format!(
            "those that lasted over {lasting} beside their probes (this kernel does not tell who \
             slept, so that some may have been interrupted instead)"
        );
    }
    let mut text = format!(
        "in {} the thread slept, {} lasted over {lasting} beside their probes without a break",
        count(function.slept),
        count(function.lasted)
    );
    if function.preempted > 0 {
        let many = count(function.preempted);
        let _ = write!(text, "; {many} more were interrupted for another task, and may be waits");
    }
    text
}

/// What a task is called.
fn task_name(summary: &Summary) -> &'static str {
    let is_go = summary.target.runtimes.iter().any(|runtime| runtime.name == "go");
    if is_go { "goroutine" } else { "thread" }
}

fn figures(page: &mut Page, lock: &Lock, window: &Window, told: bool) {
    let wait = &lock.wait;
    let waits = match wait.count {
        0 => "no wait has ended".to_owned(),
        _ => times_text(wait, "wait", "waits"),
    };
    let most = if lock.estimate_ns.is_some() { "at most " } else { "" };
    page.line(&format!("     {most}{waits}"));
    if let Some(bound) = bound(lock, window) {
        page.paragraph("     ", &bound);
    }
    let modes = [(lock.read, "to read"), (lock.write, "to write")];
    let modes = modes.into_iter().filter_map(|(sum, mode)| Some((sum?, mode)));
    let modes = modes.map(|(sum, mode)| {
        let (time, waits) = summed(sum.count, sum.wait_ns, &sum.margins);
        format!("{waits} {mode}, {time}")
    });
    let modes: Vec<String> = modes.collect();
    if !modes.is_empty() {
        page.line(&format!("     {}", modes.join("; ")));
    }
    if let Some(hold) = &lock.hold {
        page.line(&format!("     {}", times_text(hold, "hold", "holds")));
    }
    if told && wait.sum_ns > 0 {
        let none = wait.sum_ns.saturating_sub(lock.attributed_ns);
        page.line(&format!(
            "     {} of the wait belongs to keys, {} is unattributed; {} is charged to a holder",
            part(lock.attributed_ns, wait.sum_ns),
            part(none, wait.sum_ns),
            part(lock.blamed_ns, wait.sum_ns),
        ));
    }
}

/// `goroutine 17 to write in main.f (f.go:7)`
fn open(page: &mut Page, lock: &Lock, task: &str) {
    if lock.open_waits == 0 {
        return;
    }
    let (open, longest) = (count(lock.open_waits), time(lock.open_max_ns));
    page.line(&format!("     {open} still waiting at the end, the oldest for {longest}"));
    for open in lock.open.iter().take(MOST_PLACES) {
        let Open { stack, mode, goroutine, waited_ns } = open;
        let task = goroutine.map(|goroutine| format!("{task} {goroutine}"));
        let who = [task.as_deref(), mode.map(wanted)];
        let who: Vec<&str> = who.into_iter().flatten().collect();
        let who = if who.is_empty() { String::new() } else { format!("{} in ", who.join(" ")) };
        page.paragraph(
            &format!("             {:>7} ", time(*waited_ns)),
            &format!("{who}{}", stack_text(stack)),
        );
    }
}

fn wanted(mode: Mode) -> &'static str {
    match mode {
        Mode::Read => "to read",
        Mode::Write => "to write",
    }
}

fn waiters(page: &mut Page, lock: &Lock, task: &str) {
    let of_several = has_several_maps([lock]);
    for waiter in lock.waiters.iter().take(MOST_PLACES) {
        let (time, waits) = summed(waiter.count, waiter.wait_ns, &waiter.margins);
        let mode = waiter.mode.map(|mode| format!(" {}", wanted(mode))).unwrap_or_default();
        let text = format!("in {waits}{mode} of {}", stack_text(&waiter.stack));
        let who = Who { tasks: &waiter.goroutines, keys: &waiter.keys, of_several };
        stack(page, &time, &part(waiter.wait_ns, lock.wait.sum_ns), &text, &who, task);
    }
    page.more("       ", lock.waiters.len() as u64, MOST_PLACES, "stacks");
}

fn holders(page: &mut Page, lock: &Lock, task: &str) {
    if lock.holders.is_empty() {
        return;
    }
    page.line("     held meanwhile");
    let of_several = has_several_maps([lock]);
    for holder in lock.holders.iter().take(MOST_PLACES) {
        let (time, waits) = summed(holder.count, holder.blame_ns, &holder.margins);
        let mode = match holder.mode {
            Some(Mode::Read) => " by readers",
            Some(Mode::Write) => " by a writer",
            None => "",
        };
        let text = format!("in {waits}{mode} at {}", stack_text(&holder.stack));
        let who = Who { tasks: &holder.goroutines, keys: &holder.keys, of_several };
        stack(page, &time, &part(holder.blame_ns, lock.wait.sum_ns), &text, &who, task);
    }
    page.more("       ", lock.holders.len() as u64, MOST_PLACES, "holders");
}

/// Whom and what a stack stands for.
struct Who<'a> {
    tasks: &'a [u64],
    keys: &'a [KeyPart],
    /// The lock's keys are of several maps.
    of_several: bool,
}

/// A stack, its part of the lock's waits, and whose they are.
fn stack(page: &mut Page, ns: &str, part: &str, text: &str, who: &Who<'_>, task: &str) {
    let start = format!("      {part:>6} {ns:>7} ");
    page.paragraph(&start, text);
    let key = |KeyPart { map, key, wait_ns, .. }: &KeyPart| {
        format!(
            "{} {}",
            key_of(&short_key(key), Some(map.as_str()), who.of_several),
            time(*wait_ns)
        )
    };
    let keys: Vec<String> = who.keys.iter().take(MOST_KEYS).map(key).collect();
    let tasks: Vec<String> = who.tasks.iter().map(u64::to_string).collect();
    let many = if tasks.len() == 1 { "" } else { "s" };
    let facts = [
        (!keys.is_empty()).then(|| format!("for {}", keys.join(", "))),
        (!tasks.is_empty()).then(|| format!("{task}{many} {}", tasks.join(", "))),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    if !facts.is_empty() {
        page.paragraph(&" ".repeat(width(&start)), &facts.join("; "));
    }
}

fn pairs(page: &mut Page, lock: &Lock) {
    let of_several = has_several_maps([lock]);
    for pair in lock.pairs.iter().take(MOST_PLACES) {
        page.paragraph("     → ", &pair_text(pair, of_several));
    }
    page.more("       ", lock.pairs.len() as u64, MOST_PLACES, "pairs");
}

/// `"X", held at main.(*Cache).Refresh (cache.go:88), cost "Y" at main.(*Cache).Get
/// (cache.go:42) 1.80s in 320 waits`
fn pair_text(pair: &Pair, of_several: bool) -> String {
    let at = |party: &Party| own_frame(&party.stack).map_or("an unknown place".to_owned(), place);
    let key = |party: &Party| {
        let key = party.key.as_deref().map(short_key)?;
        Some(key_of(&key, party.map.as_deref(), of_several).into_owned())
    };
    let holder = match key(&pair.holder) {
        Some(key) => format!("{key}, held at {},", at(&pair.holder)),
        None => format!("The holder at {}", at(&pair.holder)),
    };
    let waiter = match key(&pair.waiter) {
        Some(key) => format!("{key} at {}", at(&pair.waiter)),
        None => format!("those at {}", at(&pair.waiter)),
    };
    let (time, waits) = summed(pair.count, pair.wait_ns, &pair.margins);
    format!("{holder} cost {waiter} {time} in {waits}")
}

/// `sync.(*Mutex).Lock ← main.f (f.go:7) ← main.g (g.go:9) ← …`: the program's own
/// code, and briefly what it called.
fn stack_text(stack: &[Frame]) -> String {
    let is_runtime = |frame: &Frame| catalog::is_runtime(&frame.function);
    let own = stack.iter().position(|frame| !is_runtime(frame)).unwrap_or_default();
    let end =
        stack.iter().rposition(|frame| !is_runtime(frame)).map_or(stack.len(), |last| last + 1);
    let inside = stack[..own].iter().map(|frame| short(&frame.function).into_owned());
    let mut places: Vec<String> =
        inside.chain(stack[own..end].iter().take(MOST_FRAMES).map(place)).collect();
    if end - own > MOST_FRAMES {
        places.push("…".to_owned());
    }
    if places.is_empty() { "an unknown place".to_owned() } else { places.join(" ← ") }
}
