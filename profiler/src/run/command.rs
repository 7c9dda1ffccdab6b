//! Following a command: the program that it executes, and those that it starts.
//!
//! In: the processes of a command. Out: probes in one of them at a time, and what there is to
//! say of the others. Watched is the first in which there is something to probe; when it ends,
//! or another uses far more of the CPU, that one's turn has come.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::UnboundedSender;

use super::{
    Update,
    collector::{CHECK, Collector, Haste, NAP, drain_while},
    follow::Wanted,
    resolver::TargetResolver,
};
use crate::{
    model::TargetInfo,
    placement::Plan,
    target::{Account, Family, Identity, Member, Module, Target, TargetError, mapped_files},
    units::{clean, time},
};

/// Least time from one look to the next while nothing is watched.
const SEEKING: Duration = Duration::from_millis(1);
/// … and while what is expected may begin at any moment: where it lies in memory is to be known
/// before it ends, which may be soon.
const AWAITING: Duration = Duration::from_micros(200);
/// How long after its release a command may begin at any moment.
const BEGINNING: Duration = Duration::from_millis(200);
/// A look takes this part of the time, at most.
const LOOKING: u32 = 20;
/// Most time from one look to the next.
const LONGEST: Duration = Duration::from_millis(200);
/// Over how long processes are compared.
const SPAN: Duration = Duration::from_millis(250);
/// What a process must use of a span, to be compared at all: several of the scheduler's ticks.
const BUSY: Duration = Duration::from_millis(40);
/// … and how many times what the one uses that is watched.
const BUSIER: u64 = 2;
/// Less CPU time than this, in whole ticks of the scheduler, may be next to none.
const LITTLE: Duration = Duration::from_millis(20);
/// Most time from one look at what a process has loaded to the next.
const RARELY: Duration = Duration::from_secs(1);
/// Programs whose beginning is told as it happens.
const MOST_NOTICES: usize = 12;
/// Names of processes that are told in the end.
const MOST_NAMES: usize = 8;

/// What is watched of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watching {
    /// Nothing yet, or nothing any more.
    Nobody,
    /// Probes are in place for a program that the first process has yet to execute.
    Expected,
    /// A process.
    Now,
}

/// A command.
pub(super) struct Command {
    family: Family,
    pub(super) watching: Watching,
    /// Files in which there is nothing to probe.
    barren: HashSet<Identity>,
    /// When processes are to be looked into again, and how long after that.
    examined: BTreeMap<i32, Examined>,
    began: Instant,
    next_look: Instant,
    /// Since when processes are compared, and what they were then.
    span: (Instant, BTreeMap<i32, Member>),
    /// What has been watched.
    programs: Vec<TargetInfo>,
}

#[derive(Clone, Copy, Debug)]
struct Examined {
    /// As [`Member::since`], which tells programs apart.
    since: Instant,
    next: Instant,
    pause: Duration,
}

impl Command {
    /// Of this first process, which is held; what is to be probed in what it will execute
    /// has its probes by the time that it does.
    pub(super) fn new(root: i32, target: &Target, plan: &Plan) -> Self {
        let now = Instant::now();
        // What holds the command until it is released is mapprof itself.
        let mut barren: HashSet<_> = mapped_files(std::process::id() as i32).into_iter().collect();
        let is_expected = !plan.sites.is_empty();
        if !is_expected {
            barren.extend(target.modules().iter().map(Module::identity));
        }
        Self {
            family: Family::of(root),
            watching: if is_expected { Watching::Expected } else { Watching::Nobody },
            barren,
            examined: BTreeMap::new(),
            began: now,
            next_look: now,
            span: (now, BTreeMap::new()),
            programs: Vec::new(),
        }
    }

    /// Whether it is time to look again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.next_look
    }

    /// How long to sleep at most.
    pub(super) fn nap(&self) -> Duration {
        match self.watching {
            Watching::Now => NAP,
            _ if self.may_begin() => AWAITING,
            _ => SEEKING,
        }
    }

    /// Whether what is expected may begin at any moment.
    fn may_begin(&self) -> bool {
        self.watching == Watching::Expected && self.began.elapsed() < BEGINNING
    }

    /// Says when to look again, where a look took so long.
    fn rest(&mut self, took: Duration) {
        let pause = match self.watching {
            _ if self.may_begin() => AWAITING,
            Watching::Now => (took * LOOKING).clamp(CHECK, LONGEST),
            _ => (took * LOOKING).clamp(SEEKING, LONGEST),
        };
        self.next_look = Instant::now() + pause;
    }

    /// Processes that may be looked into: those first that have used most since something was
    /// watched last, then the youngest. One that was there before and has hardly done anything
    /// since only waits for another.
    fn candidates(&mut self) -> Vec<i32> {
        let now = Instant::now();
        let Self { family, examined, span, .. } = self;
        examined.retain(|pid, _| family.member(*pid).is_some());
        let is_due = |member: &&Member| {
            let known = examined.get(&member.pid);
            known.is_none_or(|known| known.since != member.since || now >= known.next)
        };
        let may_do = |member: &Member| {
            let before = span.1.get(&member.pid).filter(|before| before.since == member.since);
            let used = member.cpu_ns.saturating_sub(before.map_or(0, |before| before.cpu_ns));
            let is_idle = before.is_some() && used < LITTLE.as_nanos() as u64;
            (!is_idle).then_some((Reverse((used, member.since)), member.pid, member.since))
        };
        let mut due: Vec<_> = family.members().filter(is_due).filter_map(may_do).collect();
        due.sort_unstable();
        for &(_, pid, since) in &due {
            let known = examined.get(&pid).filter(|known| known.since == since);
            let pause = known.map_or(SEEKING, |known| (known.pause * 2).min(RARELY));
            examined.insert(pid, Examined { since, next: now + pause, pause });
        }
        due.into_iter().map(|(_, pid, _)| pid).collect()
    }

    /// What is to be probed in a process, if anything. A file in which there is nothing is
    /// read once.
    fn examine(&mut self, pid: i32, wanted: &Wanted) -> Option<(Target, Plan)> {
        let files = mapped_files(pid);
        if files.iter().all(|file| self.barren.contains(file)) {
            return None;
        }
        match Target::of_process(pid) {
            Ok(target) => {
                let plan = wanted.plan(&target);
                if !plan.sites.is_empty() {
                    return Some((target, plan));
                }
                self.barren.extend(files);
            }
            // It may be read no better next time.
            Err(TargetError::Image(_) | TargetError::Forbidden { .. }) => {
                self.barren.extend(files);
            }
            // It has ended; another may run the same.
            Err(_) => {}
        }
        None
    }

    /// Another process than this one that uses far more of the CPU, once a span is over.
    fn busier(&mut self, than: i32) -> Option<i32> {
        let (since, before) = &self.span;
        if since.elapsed() < SPAN {
            return None;
        }
        let used = |member: &Member| {
            let before = before.get(&member.pid).map_or(0, |before| before.cpu_ns);
            member.cpu_ns.saturating_sub(before)
        };
        let mine = self.family.member(than).map_or(0, used);
        let others = self.family.members().filter(|member| member.pid != than);
        let most = others.map(|member| (used(member), member.pid)).max();
        self.begin_span();
        let least = (mine * BUSIER).max(BUSY.as_nanos() as u64);
        most.filter(|&(used, _)| used >= least).map(|(_, pid)| pid)
    }

    fn begin_span(&mut self) {
        let members = self.family.members().map(|member| (member.pid, member.clone()));
        self.span = (Instant::now(), members.collect());
    }

    /// Notes that a program is watched; whether it should be announced.
    fn note(&mut self, info: TargetInfo) -> bool {
        self.watching = Watching::Now;
        self.family.watch(info.pid as i32);
        self.programs.push(info);
        self.begin_span();
        self.programs.len() <= MOST_NOTICES
    }
}

impl Collector {
    /// Sees what has become of the command; whether it is over.
    pub(super) fn look_after(&mut self, updates: &UnboundedSender<Update>) -> Result<bool, ()> {
        let Some(mut command) = self.command.take() else { return Ok(false) };
        let began = Instant::now();
        let is_over = self.look_at(&mut command, updates);
        command.rest(began.elapsed());
        self.command = Some(command);
        is_over
    }

    fn look_at(
        &mut self,
        command: &mut Command,
        updates: &UnboundedSender<Update>,
    ) -> Result<bool, ()> {
        if command.watching == Watching::Expected {
            self.decoder.resolver().refresh();
            if !self.decoder.resolver().target.is_pending() {
                self.look_for_modules(updates);
                command.note(self.info());
            }
        }
        command.family.look();
        let target = &self.decoder.resolver().target;
        let is_gone = !target.is_alive();
        if !command.family.root_is_alive() && (is_gone || command.watching != Watching::Now) {
            return Ok(true);
        }
        if command.watching == Watching::Now && (is_gone || target.has_executed_again()) {
            self.leave_program(updates)?;
            command.watching = Watching::Nobody;
        }
        if !command.family.root_is_alive() {
            // What it leaves behind is no part of it.
            return Ok(true);
        }
        let watched = self.decoder.resolver().target.pid().unwrap_or(0);
        let is_watching = command.watching == Watching::Now;
        let chosen = if is_watching {
            command.busier(watched).into_iter().collect()
        } else {
            command.candidates()
        };
        for pid in chosen {
            let Self { wanted, rings, decoder, tally, .. } = self;
            let mut examine = || command.examine(pid, wanted);
            let found = if is_watching {
                drain_while(rings, decoder, tally, Haste::None, examine, || {})
            } else {
                examine()
            };
            let Some((target, plan)) = found else { continue };
            // What is expected has just begun, and has its probes.
            if command.watching == Watching::Expected
                && pid == command.family.root()
                && target.is_same_file(&self.decoder.resolver().target)
            {
                continue;
            }
            self.turn_to(command, target, plan, updates)?;
            break;
        }
        Ok(false)
    }

    /// Watches this process instead of what was watched before.
    fn turn_to(
        &mut self,
        command: &mut Command,
        target: Target,
        plan: Plan,
        updates: &UnboundedSender<Update>,
    ) -> Result<(), ()> {
        if command.watching == Watching::Now {
            self.leave_program(updates)?;
        } else {
            self.leave_unused();
        }
        command.watching = Watching::Nobody;
        let (pid, name) = (target.pid().unwrap_or(0), target.name().to_owned());
        let untested = target.untested().fold(String::new(), |all, text| all + "; " + &text);
        let files = mapped_files(pid);
        if !command.programs.is_empty() {
            self.era.next();
        }
        self.take_up(target, plan);
        let attached = match self.attach() {
            Ok(attached) if attached.count > 0 => attached.count,
            other => {
                if !self.decoder.resolver().target.is_alive() {
                    return Ok(());
                }
                // It would end like that each time.
                command.barren.extend(files);
                let why = other.err().map_or_else(String::new, |error| format!(": {error}"));
                let notice = format!("{name} (pid {pid}) cannot be probed{why}");
                return updates.send(Update::Notice(clean(&notice).into_owned())).map_err(drop);
            }
        };
        let how = if pid == command.family.root() { "executed" } else { "started" };
        let since = command.family.member(pid).map_or_else(Instant::now, |member| member.since);
        let missed = since.elapsed();
        let unseen = if missed < RARELY {
            format!("what it did in its first {} ms is not counted", missed.as_millis().max(1))
        } else {
            "what it did before is not counted".to_owned()
        };
        let is_told = command.note(self.info());
        let info = TargetInfo {
            hit_ns: self.costs.emulated_ns,
            max_overhead_ppm: self.options.max_overhead_ppm(),
            ..TargetInfo::common(&command.programs)
        };
        let plan = Plan { sites: self.plan.sites.clone(), ..Plan::default() };
        updates.send(Update::Program { info, plan: Box::new(plan) }).map_err(drop)?;
        if is_told {
            let notice = format!(
                "attached {attached} probes to {name} (pid {pid}), which the command {how}: {unseen}{untested}"
            );
            updates.send(Update::Notice(clean(&notice).into_owned())).map_err(drop)?;
        }
        Ok(())
    }

    /// The decoder and all else go on with another program.
    pub(super) fn take_up(&mut self, target: Target, plan: Plan) {
        self.planned = target.modules().len();
        (self.task_count, self.map_layout) = (None, None);
        self.cpu_ns = target.cpu_ns();
        self.decoder.go_on(&plan, TargetResolver::new(target));
        self.plan = plan;
    }

    /// What is watched now, by itself.
    fn info(&mut self) -> TargetInfo {
        super::describe(&self.decoder.resolver().target, &self.plan)
    }

    /// Notes that what was expected has been executed, since it was hit.
    pub(super) fn note_expected(&mut self) {
        let info = self.info();
        if let Some(command) = self.command.as_mut().filter(|it| it.watching == Watching::Expected)
        {
            command.note(info);
        }
    }

    /// Says what of a command was not watched.
    pub(super) fn tell_unwatched(&mut self, updates: &UnboundedSender<Update>) {
        let Some(command) = &mut self.command else { return };
        command.family.look();
        let root_is_alive = command.family.root_is_alive();
        let others = command.family.members().filter(|it| it.pid != command.family.root());
        // Of one that goes on only what might be watched instead is of interest.
        let alive = others.filter(|member| !(root_is_alive && member.watched));
        let alive: Vec<_> =
            alive.map(|member| format!("{} (pid {})", member.name, member.pid)).collect();
        let nothing = command.programs.is_empty();
        if let Some(text) = unwatched(&command.family.account(), nothing, &alive) {
            let _ = updates.send(Update::Notice(clean(&text).into_owned()));
        }
    }
}

/// What of a command was not watched, in a sentence or two; `alive` are those of its processes
/// that go on.
fn unwatched(account: &Account, nothing: bool, alive: &[String]) -> Option<String> {
    let mut names: Vec<_> = account.unwatched.iter().collect();
    // What has used next to no time only waits for another, as a shell does.
    names.retain(|(_, used)| nothing || used.cpu_ns >= LITTLE.as_nanos() as u64);
    names.sort_by_key(|(_, used)| Reverse((used.cpu_ns, used.count)));
    let mut parts = Vec::new();
    if !names.is_empty() {
        let list = names.iter().take(MOST_NAMES).map(|(name, used)| {
            let count = if used.count == 1 { String::new() } else { format!("{} × ", used.count) };
            format!("{count}{name} ({})", time(used.cpu_ns))
        });
        let mut list = list.collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(MOST_NAMES);
        if more > 0 {
            let _ = write!(list, " and {more} more names");
        }
        if account.unseen_ns >= BUSY.as_nanos() as u64 {
            let _ = write!(list, "; {} more went unseen between looks", time(account.unseen_ns));
        }
        parts.push(if nothing {
            format!("nothing was watched: there is nothing to probe in what the command ran, or it ended too soon. It ran, by CPU time: {list}")
        } else {
            format!("the command also ran what was not watched, by CPU time: {list}")
        });
    }
    if !alive.is_empty() {
        let list: Vec<_> = alive.iter().take(MOST_NAMES).map(String::as_str).collect();
        parts.push(format!("still running: {}", list.join(", ")));
    }
    if parts.is_empty() {
        return None;
    }
    if !nothing {
        parts.push(
            "one process is watched at a time; watch another by its --pid, or start it by itself"
                .to_owned(),
        );
    }
    Some(parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Used;

    fn account(unwatched: &[(&str, u64, u64)], unseen_ms: u64) -> Account {
        let used = |&(name, count, ms): &(&str, u64, u64)| {
            (name.to_owned(), Used { count, cpu_ns: ms * 1_000_000 })
        };
        let unwatched = unwatched.iter().map(used).collect();
        Account { unwatched, watched: 1, unseen_ns: unseen_ms * 1_000_000 }
    }

    #[test]
    fn who_used_most_is_named_first_and_who_used_nothing_is_not() {
        let of = account(&[("as", 9, 80), ("cc1", 9, 3100), ("sh", 2, 10)], 0);
        let text = unwatched(&of, false, &[]).unwrap();
        assert!(text.contains("9 × cc1 (3.10s), 9 × as (80.0ms)"), "{text}");
        assert!(!text.contains("sh") && text.contains("--pid"), "{text}");
        assert_eq!(unwatched(&account(&[("sh", 1, 0)], 7), false, &[]), None);
        let text = unwatched(&of, false, &["redis (pid 7)".to_owned()]).unwrap();
        assert!(text.contains("still running: redis (pid 7)"), "{text}");
    }

    #[test]
    fn where_nothing_was_watched_all_are_named() {
        let text = unwatched(&account(&[("ls", 1, 0)], 500), true, &[]).unwrap();
        assert!(text.starts_with("nothing was watched") && text.contains("ls (0ns)"), "{text}");
        assert!(text.contains("500ms more went unseen"), "{text}");
        let names: Vec<String> = (0..30).map(|number| format!("p{number}")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), 1, 1)).collect();
        let text = unwatched(&account(&many, 0), true, &[]).unwrap();
        assert!(text.contains("and 22 more names"), "{text}");
    }
}
