//! The thread that reads the rings, closes slices, and knows when it is over.
//!
//! In: everything a run has. Out: [`Update`]s.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    time::{Duration, Instant},
};

use nix::time::{ClockId, clock_gettime};
use probe_ebpf::{Loss, Op};
use tokio::sync::mpsc::UnboundedSender;

use super::{
    End, Options, Reason, Update,
    bill::{Bill, Spent},
    calls::Calls,
    clock::Clock,
    command::{Command, Watching},
    follow::{Era, Wanted},
    lengths::{HEADER, Layout, Lengths},
    readers::Intake,
    resolver::TargetResolver,
    stopped::StopSignal,
    watch::Watch,
    windows::{self, Attached},
};
use crate::{
    catalog::{Role, Waits},
    decode::{BlameEvent, Decoder, MapKey, Open, Seen, Sink, Unreadable, WaitEvent},
    kernel::{Combined, Counters, Counts, HitCosts, Kernel, KernelError, Shared},
    model::{Builder, Limits, LockId, MapId, Slice, SliceMeta, StackId, Watched},
    placement::Plan,
    target::{Target, TaskCount},
};

/// Pause between two looks at the rings.
pub(super) const NAP: Duration = Duration::from_millis(3);
/// How long an interval waits for waits that were watched to begin: what they are scaled by
/// is told with the interval in which they end.
const GRACE: Duration = Duration::from_millis(250);
/// Nice value of the collecting thread.
const NICE: libc::c_int = -15;
/// How often the target's life and mappings are looked at.
pub(super) const CHECK: Duration = Duration::from_millis(20);
/// How often what was combined in the kernel is taken from there.
const FLUSH: Duration = Duration::from_millis(250);
/// How long to wait at the end for programs that are still at it.
const LAST: Duration = Duration::from_millis(100);

pub(super) struct Collector {
    pub(super) kernel: Kernel,
    pub(super) rings: Intake,
    combined: Arc<Combined>,
    counters: Counters,
    pub(super) watch: Watch,
    pub(super) shared: Arc<Shared>,
    pub(super) decoder: Decoder<TargetResolver>,
    pub(super) tally: Tally,
    lengths: Lengths,
    /// How its maps lie in memory; asked for with the first slice.
    pub(super) map_layout: Option<Layout>,
    /// Where the program's tasks are counted; asked for with the first slice.
    pub(super) task_count: Option<TaskCount>,
    /// How many there were last.
    tasks: Option<u64>,
    pub(super) plan: Plan,
    pub(super) wanted: Wanted,
    pub(super) era: Era,
    /// Modules that the plan knows.
    pub(super) planned: usize,
    pub(super) bill: Bill,
    pub(super) costs: HitCosts,
    pub(super) calls: Calls,
    spent: Spent,
    pub(super) options: Options,
    /// Where the target is a command.
    pub(super) command: Option<Command>,
    stop: Arc<AtomicBool>,
    /// `None`: it stops this process at once.
    pub(super) stop_signal: Option<StopSignal>,
    logger: Option<aya_log::EbpfLogger<&'static dyn log::Log>>,
    counts: Counts,
    /// All that came.
    heard: Seen,
    pub(super) cpu_ns: Option<u64>,
    began: Instant,
    /// When the target was last seen alive, CLOCK_MONOTONIC ns.
    pub(super) alive_ns: u64,
    slice_began: Instant,
    clock: Clock,
    malformed: u64,
}

/// The model's builder.
pub(crate) struct Tally {
    pub(crate) builder: Builder,
}

impl Tally {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { builder: Builder::new(limits) }
    }

    /// Takes in the operations that another has counted.
    pub(crate) fn absorb(&mut self, other: &mut Self) {
        self.builder.absorb(&mut other.builder);
    }

    pub(super) fn window(&mut self, watched: Watched) {
        self.builder.window(watched);
    }

    pub(super) fn lock_window(&mut self, watched: Watched) {
        self.builder.lock_window(watched);
    }
}

impl Sink for Tally {
    #[inline]
    fn operation(
        &mut self,
        map: MapId,
        op: Op,
        key: Option<(&[u8], u64)>,
        unreadable: Option<Unreadable>,
        caller: u64,
        count: u64,
    ) {
        self.builder.operation(map, op, key, unreadable, caller, count);
    }

    fn op_stack(&mut self, map: MapId, op: Op, stack: StackId) {
        self.builder.op_stack(map, op, stack);
    }

    fn wait(&mut self, wait: &WaitEvent) {
        self.builder.wait(wait);
    }

    fn key_wait(&mut self, lock: LockId, key: &MapKey, ns: u64) {
        self.builder.key_wait(lock, key, ns);
    }

    fn blame(&mut self, part: &BlameEvent) {
        self.builder.blame(part);
    }

    fn hold(&mut self, lock: LockId, ns: u64) {
        self.builder.hold(lock, ns);
    }

    fn open_wait(&mut self, wait: &WaitEvent) {
        self.builder.open_wait(wait);
    }
}

impl Collector {
    #[expect(clippy::too_many_arguments, reason = "the parts of one run, put together once")]
    pub(super) fn new(
        mut kernel: Kernel,
        rings: Intake,
        counters: Counters,
        target: Target,
        plan: Plan,
        wanted: Wanted,
        costs: HitCosts,
        options: Options,
        stop: Arc<AtomicBool>,
    ) -> Self {
        // Without its log the kernel side works as well.
        let logger = if options.debug { kernel.logger().ok() } else { None };
        let counts = counters.read().unwrap_or_default();
        let kernel_shared = kernel.shared();
        let mut bill = Bill::new(kernel.shared(), costs);
        bill.set(&plan);
        let calls = Calls::new(&kernel);
        let cpu_ns = target.cpu_ns();
        let root = target.pid().filter(|_| options.command);
        let command = root.map(|root| Command::new(root, &target, &plan));
        let planned = target.modules().len();
        let watch = windows::watch(&options, &plan, kernel.method());
        let decoder = Decoder::new(&plan, TargetResolver::new(target));
        let now = Instant::now();
        Self {
            combined: kernel.combined(),
            kernel,
            rings,
            counters,
            watch,
            shared: kernel_shared,
            decoder,
            tally: Tally::new(options.limits),
            lengths: Lengths::default(),
            map_layout: None,
            task_count: None,
            tasks: None,
            plan,
            wanted,
            era: Era::default(),
            planned,
            spent: bill.read(),
            bill,
            costs,
            calls,
            options,
            command,
            stop,
            stop_signal: StopSignal::register().ok(),
            logger,
            counts,
            heard: Seen::default(),
            cpu_ns,
            began: now,
            alive_ns: monotonic_ns(),
            slice_began: now,
            clock: Clock::set(),
            malformed: 0,
        }
    }

    /// What was spent and used until now is in no slice.
    pub(super) fn begin_bill(&mut self) {
        self.spent = self.bill.read();
        self.cpu_ns = self.decoder.resolver().target.cpu_ns().or(self.cpu_ns);
    }

    /// Begins a slice.
    pub(super) fn start_slice(&mut self, now: Instant) {
        self.slice_began = now;
    }

    /// When the slice that goes on began.
    pub(super) fn slice_began(&self) -> Instant {
        self.slice_began
    }

    /// Tells the kernel side of all types of keys that the program has, before it meets them.
    pub(super) fn teach_types(&mut self) {
        let target = &self.decoder.resolver().target;
        let layouts: Vec<_> = (0..target.modules().len())
            .flat_map(|module| {
                let types = target.go_module_types(module);
                types.maps.into_iter().map(|map| (map.key, map.layout)).chain(types.values)
            })
            .filter_map(|(address, layout)| Some((address, layout.to_abi()?)))
            .collect();
        // What it does not know it carries as it lies in memory, and the decoder asks.
        let _ = self.kernel.teach(layouts);
    }

    /// Tells the kernel side of types that it met without knowing them.
    fn teach_wanted(&mut self) {
        let wanted = self.decoder.take_layouts();
        if !wanted.is_empty() {
            let layouts =
                wanted.iter().filter_map(|(address, layout)| Some((*address, layout.to_abi()?)));
            let _ = self.kernel.teach(layouts);
        }
    }

    /// The modules' files, and the process.
    pub(super) fn attach_points(&mut self) -> (Vec<PathBuf>, u32) {
        let target = &self.decoder.resolver().target;
        let paths = target.modules().iter().map(|module| module.attach_path.clone());
        (paths.collect(), target.pid().unwrap_or(0) as u32)
    }

    /// Attaches, says how that went, and collects.
    pub(super) fn start(
        mut self,
        ready: &Sender<Result<Attached, KernelError>>,
        updates: &UnboundedSender<Update>,
    ) {
        hurry();
        match self.attach() {
            Ok(attached) => {
                // Who started this waits for it.
                let _ = ready.send(Ok(attached));
                self.run(updates);
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    }

    /// Collects until it is over.
    fn run(mut self, updates: &UnboundedSender<Update>) {
        self.began = Instant::now();
        // The first figures should not take a whole interval.
        let mut next = self.options.interval / 10;
        let mut next_check = Instant::now();
        let mut next_flush = next_check + FLUSH;
        let reason = loop {
            self.drain();
            self.teach_wanted();
            if self.stop.load(Ordering::Relaxed) {
                break Reason::Stopped;
            }
            if self.stop_if_asked(updates).is_err() {
                break Reason::Stopped;
            }
            let now = Instant::now();
            let is_due = self.command.as_ref().map_or(now >= next_check, |it| it.is_due(now));
            if is_due {
                next_check = now + CHECK;
                match self.check(updates) {
                    Ok(false) => {}
                    Ok(true) => break Reason::TargetEnded,
                    Err(()) => break Reason::Stopped,
                }
            }
            if now >= next_flush {
                next_flush = now + FLUSH;
                self.flush();
            }
            if self.options.duration.is_some_and(|duration| now - self.began >= duration) {
                break Reason::Duration;
            }
            let midway = self.watch.locks.is_midway();
            if now - self.slice_began >= if midway { next + GRACE } else { next } {
                next = self.options.interval;
                if !self.is_watching() {
                    self.discard();
                } else if self.close(updates).is_err() {
                    break Reason::Stopped;
                } else {
                    self.look_for_modules(updates);
                }
            }
            self.step(Instant::now());
            if !self.rings.is_behind() {
                let idle = self.watch.idle(Instant::now()).unwrap_or(NAP);
                std::thread::sleep(idle.min(self.command.as_ref().map_or(NAP, Command::nap)));
            }
        };
        self.end(reason, updates);
    }

    /// Looks after the target; whether it has ended.
    fn check(&mut self, updates: &UnboundedSender<Update>) -> Result<bool, ()> {
        let now_ns = monotonic_ns();
        if self.decoder.resolver().target.is_alive() {
            self.alive_ns = now_ns;
        }
        if self.command.is_some() {
            return self.look_after(updates);
        }
        let target = &self.decoder.resolver().target;
        if !target.is_alive() {
            return Ok(true);
        }
        if target.has_executed_again() {
            self.follow_exec(updates)?;
        }
        Ok(false)
    }

    /// Whether anything is watched: of a command there may be nothing to watch yet, or no more.
    fn is_watching(&mut self) -> bool {
        match self.command.as_ref().map(|command| command.watching) {
            None | Some(Watching::Now) => true,
            // What it was expected to execute may have ended before it was looked at.
            Some(Watching::Expected) => self.bill.read().since(self.spent).hits > 0,
            Some(Watching::Nobody) => false,
        }
    }

    /// Begins the slice that goes on anew.
    pub(super) fn discard(&mut self) {
        let meta = self.meta();
        drop(self.tally.builder.close(meta));
    }

    pub(super) fn drain(&mut self) -> usize {
        let began_ns = monotonic_ns();
        let taken = self.rings.drain(&mut self.decoder, &mut self.tally);
        if !self.rings.is_behind() {
            self.decoder.settle(began_ns, &mut self.tally);
        }
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
        taken
    }

    /// Takes in what other threads have read.
    pub(super) fn gather(&mut self) {
        self.rings.gather(&mut self.decoder, &mut self.tally);
    }

    /// Takes what was combined in the kernel; whether that was all.
    pub(super) fn flush(&mut self) -> bool {
        let Self { combined, decoder, tally, .. } = self;
        combined.flush(|record| decoder.record(record, tally))
    }

    /// Takes all that is left, once no probe is in place.
    pub(super) fn flush_last(&mut self) {
        let began = Instant::now();
        while !self.flush() && began.elapsed() < LAST {
            std::thread::sleep(NAP);
        }
    }

    /// Ends the slice that goes on and sends it.
    pub(super) fn close(&mut self, updates: &UnboundedSender<Update>) -> Result<(), ()> {
        let open = self.open_waits(monotonic_ns());
        // What had ended by then is in the rings, or was.
        let until_ns = monotonic_ns();
        self.drain();
        self.gather();
        self.flush();
        self.decoder.settle_with(&open, until_ns, &mut self.tally);
        let meta = self.meta();
        let mut slice = self.tally.builder.close(meta);
        self.decoder.define_addresses(addresses(&slice));
        let mut definitions = self.decoder.definitions();
        let stacks: Vec<u64> = definitions.stacks.values().flatten().copied().collect();
        self.decoder.define_addresses(stacks.into_iter());
        definitions.frames.extend(self.decoder.definitions().frames);
        self.lengths.define(&definitions);
        let target = &self.decoder.resolver().target;
        let layout = self.map_layout.get_or_insert_with(|| {
            let modules = target.modules().iter();
            let mut functions = modules.flat_map(|module| module.image.functions());
            Layout::of(|name| functions.any(|function| function.name == name))
        });
        self.lengths.fill(&mut slice, *layout, |address| {
            let mut header = [0; HEADER];
            target.read_live(address, &mut header).then_some(header)
        });
        self.era.mark(&mut definitions, &mut slice);
        let update =
            Update::Interval { definitions: Box::new(definitions), slice: Box::new(slice) };
        updates.send(update).map_err(drop)
    }

    /// The waits that went on at this moment.
    pub(super) fn open_waits(&mut self, at_ns: u64) -> Open {
        // What is left in the table where ends are not seen may be over.
        if !self.watch.locks.sees_ends() {
            return Open::default();
        }
        // Only a picture of the moment: where it cannot be had, the finished waits stand.
        let Ok(table) = self.kernel.open_waits() else { return Open::default() };
        let (sites, target) = (&self.plan.sites, &self.decoder.resolver().target);
        let waits = table.iter().filter(|(_, wait)| {
            // A call that goes on is a wait if its thread sleeps.
            let site = sites.get(wait.site as usize);
            let may_be_free =
                site.is_some_and(|it| it.role == Role::Acquire && it.waits != Waits::Always);
            !may_be_free || target.is_asleep(wait.goid)
        });
        Open::new(at_ns, waits)
    }

    /// What the slice says of itself, and the beginning of the next.
    fn meta(&mut self) -> SliceMeta {
        let now = self.watch.ended.take().unwrap_or_else(Instant::now);
        let duration_ns = (now - self.slice_began).as_nanos() as u64;
        let [observed_ns, locks_observed_ns] = self.cut(self.slice_began, now);
        let counts = self.counters.read().unwrap_or_else(|_| self.counts.clone());
        let mut lost = BTreeMap::new();
        for loss in Loss::ALL {
            let count = counts.lost[loss as usize] - self.counts.lost[loss as usize];
            if count > 0 {
                lost.insert(loss.name().to_owned(), count);
            }
        }
        let malformed =
            self.decoder.malformed - std::mem::replace(&mut self.malformed, self.decoder.malformed);
        if malformed > 0 {
            lost.insert("malformed".to_owned(), malformed);
        }
        let Seen { events, records, .. } = self.decoder.take_seen();
        self.heard.events = self.heard.events.saturating_add(events);
        self.heard.records = self.heard.records.saturating_add(records);
        let spent = self.bill.read();
        let Spent { hits, ns: probe_ns } = spent.since(std::mem::replace(&mut self.spent, spent));
        let cpu_ns = self.decoder.resolver().target.cpu_ns();
        let target = &self.decoder.resolver().target;
        let count = self.task_count.get_or_insert_with(|| TaskCount::of(target));
        self.tasks = count.read(target).or(self.tasks);
        let target_cpu_ns = cpu_ns.zip(self.cpu_ns).map(|(now, before)| now.saturating_sub(before));
        let meta = SliceMeta {
            start_unix_ns: self.clock.unix_ns(self.slice_began),
            duration_ns,
            observed_ns,
            locks_observed_ns,
            events,
            hits,
            probe_ns,
            target_cpu_ns,
            tasks: self.tasks,
            lost,
            calls: self.calls.take(),
        };
        self.counts = counts;
        self.cpu_ns = cpu_ns.or(self.cpu_ns);
        self.slice_began = now;
        meta
    }

    /// A launched program maps its libraries after its probes are in place; any
    /// program may load more.
    pub(super) fn look_for_modules(&mut self, updates: &UnboundedSender<Update>) {
        self.decoder.resolver().refresh();
        if self.decoder.resolver().take_changed() {
            self.plan.rebase(&self.decoder.resolver().target);
            // Where this fails call sites name a wrapper; counts are right.
            let _ = self.kernel.describe(&self.plan.sites);
            self.teach_types();
            self.follow_modules(updates);
        }
    }

    fn end(mut self, reason: Reason, updates: &UnboundedSender<Update>) {
        // A process that has ended takes its waits with it, and leaves them in the table.
        let has_ended = reason == Reason::TargetEnded;
        let open = self.open_waits(if has_ended { self.alive_ns } else { monotonic_ns() });
        if !has_ended && self.is_watching() {
            self.last_windows();
        }
        let detach = self.detach();
        while self.drain() > 0 {}
        self.gather();
        self.flush_last();
        self.decoder.finish_with(&open, &mut self.tally);
        // The receiver may have gone; then nobody wants to know.
        if self.is_watching() {
            self.note_expected();
            let _ = self.close(updates);
        }
        self.tell_unwatched(updates);
        log::info!("{} events came in {} records", self.heard.events, self.heard.records);
        let error: Option<KernelError> = self.counters.read().err();
        let _ = updates.send(Update::End(End { reason, detach, error }));
    }
}

/// How soon a thread has to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// When it is its turn.
    None,
    /// Before all others.
    Urgent,
}

/// Does something that takes long, on another thread, while this one drains and looks.
pub(super) fn drain_while<T: Send>(
    rings: &mut Intake,
    decoder: &mut Decoder<TargetResolver>,
    tally: &mut Tally,
    haste: Haste,
    work: impl FnOnce() -> T + Send,
    mut look: impl FnMut(),
) -> T {
    let (is_done, caller) = (AtomicBool::new(false), std::thread::current());
    std::thread::scope(|scope| {
        let work = || {
            let result = work();
            // While probes are in place and nothing is told yet, each moment costs.
            is_done.store(true, Ordering::Release);
            caller.unpark();
            result
        };
        let work = match haste {
            Haste::None => scope.spawn(work),
            Haste::Urgent => urgently(|| scope.spawn(work)),
        };
        while !is_done.load(Ordering::Acquire) && !work.is_finished() {
            look();
            rings.drain(decoder, tally);
            std::thread::park_timeout(NAP);
        }
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Lets this thread go before those it watches: on a saturated machine a ring fills
/// within a few of the scheduler's turns. Without the right to it, it goes as it is.
#[expect(unsafe_code, reason = "no library at hand sets a thread's nice value")]
pub(super) fn hurry() {
    // SAFETY: takes plain numbers; 0 is the calling thread (setpriority(2)).
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}

/// Starts a thread that goes before all others, as do those that it starts: where all CPUs
/// are at work, a new one may have to wait for some milliseconds until one of them has had
/// its turn, and a target that meets probes all the time has to bear that. Only for what
/// hardly needs a CPU. Without the right to it, it goes as this one does.
fn urgently<T>(start: impl FnOnce() -> T) -> T {
    let is_first = set_policy(libc::SCHED_FIFO, 1);
    let started = start();
    if is_first {
        set_policy(libc::SCHED_OTHER, 0);
    }
    started
}

#[expect(unsafe_code, reason = "no library at hand sets a thread's policy")]
fn set_policy(policy: i32, priority: i32) -> bool {
    let param = libc::sched_param { sched_priority: priority };
    // SAFETY: 0 is the calling thread, and `param` is read only (sched_setscheduler(2)).
    unsafe { libc::sched_setscheduler(0, policy, &raw const param) == 0 }
}

/// Code addresses that a slice mentions.
fn addresses(slice: &Slice) -> impl Iterator<Item = u64> + '_ {
    slice.maps.iter().flat_map(|map| map.callers.iter().map(|(address, _)| *address))
}

pub(super) fn monotonic_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}
