//! Opening and shutting: what of the target is watched, and when.
//!
//! In: a collector with a plan. Out: probes in place, gates that are open for exact times,
//! and windows told to the model. Where a budget bounds what probes may cost, operations
//! of maps are told in windows: probes go in, the gate opens, it shuts, probes go out. How
//! long the kernel takes for each does not matter, for only what falls between the gate's
//! two moments is told.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::{
    Options,
    bill::{Bill, Spent},
    budget::{Budget, Next, Pace, WindowCost},
    collector::{Collector, Haste, NAP, drain_while, monotonic_ns},
    emergency::Alarm,
    watch::{Ended, Kind, Opened, State, Watch},
};
use crate::{
    kernel::{Attachment, KernelError, Method, Shared},
    placement::{Plan, Site},
};

/// How often what is watched all the time is held against the budget.
const STRETCH: Duration = Duration::from_millis(100);
/// How long ends of waits are looked for after the last beginning, in windows, whatever
/// that costs.
const ENDING: u32 = 5;
/// How long they are where it costs little.
const LONGEST_ENDING: Duration = Duration::from_secs(10);
/// From probes in place to the opening of the gate. To put them in stops the target for some
/// tens of microseconds; what it makes up for afterwards is more than it does otherwise.
const SETTLING: Duration = Duration::from_micros(100);
/// A site is hot that takes this part of the budget.
const HOT: f64 = 0.03;
/// Cold sites together may take this part of it.
const COLD: f64 = 0.2;

/// Windows on operations of maps.
const MAPS: Pace = Pace { shortest: Duration::from_millis(1), period: Duration::from_millis(100) };
/// Windows on waits, which last longer than operations.
const LOCKS: Pace =
    Pace { shortest: Duration::from_millis(10), period: Duration::from_millis(500) };
/// Where taking a probe out takes a tenth of a second.
const SLOW: Pace = Pace { shortest: Duration::from_millis(50), period: Duration::from_secs(4) };

/// What was attached.
#[derive(Debug, Default)]
pub(super) struct Attached {
    /// Probes in place, or that will be.
    pub(super) count: usize,
    /// Probes that the kernel refused, by the function they are in.
    pub(super) refused: Vec<String>,
}

/// Budgets for a plan, where the target is not to bear everything.
pub(super) fn watch(options: &Options, plan: &Plan, method: Method) -> Watch {
    let Some(share) = options.max_overhead else { return Watch::new(None, None) };
    let [mut maps, locks] = match method {
        Method::Multi => [MAPS, LOCKS],
        Method::Perf => [SLOW, SLOW],
    };
    maps.period = options.window_period.unwrap_or(maps.period);
    // Locks are what it is about; but they must leave something for keys.
    let both = plan.sites.is_empty() || plan.sites.iter().any(Site::is_of_maps);
    let of_locks = if both { share / 2.0 } else { share };
    Watch::new(Some(Budget::new(share, maps)), Some(Budget::new(of_locks, locks)))
}

/// CPU time of this thread, ns.
fn thread_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// Does something, and says what CPU time that took on this thread, ns.
fn metered<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = thread_ns();
    let result = work();
    (result, thread_ns().saturating_sub(before))
}

/// The gate of a kind of sites.
fn set_gate(shared: &Shared, kind: Kind, window: u64) {
    match kind {
        Kind::Maps => shared.set_maps(window),
        Kind::Locks => shared.set_locks(window),
    }
}

impl Collector {
    /// Puts all probes in place for the first time and opens the gates. The first probes
    /// are hit while the last are not in yet, so the rings are drained meanwhile.
    pub(super) fn attach(&mut self) -> Result<Attached, KernelError> {
        self.teach_types();
        self.bill.set(&self.plan);
        self.calls.set(&self.plan);
        self.kernel.describe(&self.plan.sites)?;
        self.kernel.prepare(&self.plan)?;
        for kind in Kind::ALL {
            let of_maps = kind == Kind::Maps;
            let sites = self.plan.sites.iter().enumerate();
            let sites = sites.filter(|(_, site)| site.is_of_maps() == of_maps);
            let group = self.watch.group(kind);
            group.hot = sites.map(|(index, _)| index).collect();
            group.cold.clear();
            // What is hit while probes are put in is before the first slice.
            set_gate(&self.shared, kind, 0);
        }
        let mut attached = Attached::default();
        let mut first_error = None;
        for kind in Kind::ALL {
            let sites: Vec<usize> = self.watch.group(kind).hot.iter().copied().collect();
            let (mut probes, _) = self.put_in(&sites)?;
            attached.count += probes.attached;
            for refused in std::mem::take(&mut probes.refused) {
                self.watch.group(kind).hot.remove(&refused.site);
                let site = &self.plan.sites[refused.site];
                let (function, address) = (&site.function, site.address);
                attached.refused.push(format!("{function} at {address:#x}: {}", refused.error));
                first_error.get_or_insert(refused);
            }
            self.watch.group(kind).hot_probes = Some(probes);
        }
        if let Some(refused) = first_error.filter(|_| attached.count == 0) {
            let path = self.attach_points().0.swap_remove(self.plan.sites[refused.site].module);
            let method = self.kernel.method();
            return Err(refused.into_error(method, &path, attached.refused.len()));
        }
        self.begin();
        Ok(attached)
    }

    /// Opens the gates; the first slice begins.
    fn begin(&mut self) {
        let cpu_ns = self.cpu_ns();
        let spent = self.bill.read_both();
        let mut began = Instant::now();
        for kind in Kind::ALL {
            if !self.watch.group(kind).hot.is_empty() {
                began = self.open(kind);
            }
        }
        self.start_slice(began);
        let now = self.slice_began();
        self.watch.passed = (now, cpu_ns, spent);
        for kind in Kind::ALL {
            let spent = spent[kind.index()];
            let group = self.watch.group(kind);
            if group.hot.is_empty() {
                continue;
            }
            group.state = match &group.budget {
                Some(budget) if kind == Kind::Maps => {
                    State::Open { until: now + budget.length(), before: spent, cycle_ns: 0 }
                }
                _ => State::Always { since: now, spent },
            };
        }
    }

    /// What is to be done now, if anything.
    pub(super) fn step(&mut self, now: Instant) {
        if !self.watch.is_bounded() {
            return;
        }
        self.pass(now);
        for kind in Kind::ALL {
            match self.watch.group(kind).state {
                State::Out => {}
                State::Always { since, spent } => self.weigh(kind, now, since, spent),
                State::Open { until, before, cycle_ns } => {
                    let alarm = self.alarm(kind, before, None).filter(|_| !self.is_shortest(kind));
                    if now >= until || alarm.is_some() {
                        self.end_window(kind, before, cycle_ns, alarm);
                    }
                }
                State::Ending { look, before, cycle_ns } => {
                    if now >= look {
                        self.look_for_ends(kind, now, before, cycle_ns);
                    }
                }
                State::Shut { until, since, spent } => {
                    if now >= until {
                        self.begin_window(kind);
                    } else {
                        self.rest_on(kind, now, since, spent);
                    }
                }
            }
        }
    }

    /// Tells the budgets how time went by.
    fn pass(&mut self, now: Instant) {
        let (then, cpu_then, spent_then) = self.watch.passed;
        let time = now - then;
        if time < STRETCH / 4 {
            return;
        }
        let (cpu_ns, spent) = (self.cpu_ns(), self.bill.read_both());
        let used = cpu_ns.saturating_sub(cpu_then);
        let of_locks = spent[1].since(spent_then[1]).ns;
        if let Some(budget) = &mut self.watch.maps.budget {
            budget.pass(time, used, of_locks);
        }
        if let Some(budget) = &mut self.watch.locks.budget {
            budget.pass(time, used, 0);
        }
        self.watch.passed = (now, cpu_ns, spent);
    }

    /// Holds what is watched all the time against the budget.
    fn weigh(&mut self, kind: Kind, now: Instant, since: Instant, before: Spent) {
        let alarm = self.alarm(kind, before, Some(STRETCH));
        if now - since < STRETCH && alarm.is_none() {
            return;
        }
        let spent = self.spent(kind);
        let Some(budget) = &mut self.watch.group(kind).budget else { return };
        let mut next = budget.after_stretch(now - since, spent.since(before).ns);
        if alarm.is_some() {
            next = budget.after_emergency(next);
        }
        match next {
            Next::Always => self.watch.group(kind).state = State::Always { since: now, spent },
            Next::Window { pause, .. } => {
                self.shut(kind);
                if let Some(alarm) = alarm {
                    let shut_at = self.watch.group(kind).shut_at;
                    self.stop(kind, &alarm, shut_at);
                } else {
                    let probes = self.watch.group(kind).hot_probes.take();
                    self.take_out(probes);
                }
                if kind == Kind::Locks {
                    self.settle_waits();
                }
                self.settle_window(kind);
                self.rest(kind, Instant::now() + pause);
            }
        }
    }

    /// Ends a window on waits once all have ended, or were followed long enough: what is
    /// left is told as waits that go on. Thousands in a convoy wait longer than any window.
    fn look_for_ends(&mut self, kind: Kind, now: Instant, before: Spent, cycle_ns: u64) {
        let spent_ns = self.spent(kind).since(before).ns;
        let group = self.watch.group(kind);
        let time = now - group.shut_at;
        let is_enough = group.budget.as_ref().is_none_or(|budget| {
            let length = budget.length();
            time >= LONGEST_ENDING
                || time >= length * ENDING && spent_ns > budget.planned_ns(length)
        });
        if is_enough || !self.waits_go_on() {
            return self.finish_window(kind, before, cycle_ns, None);
        }
        // To look takes time, too.
        let look = now + NAP.max(time / 8);
        self.watch.group(kind).state = State::Ending { look, before, cycle_ns };
    }

    fn is_shortest(&mut self, kind: Kind) -> bool {
        self.watch.group(kind).budget.as_ref().is_some_and(Budget::is_shortest)
    }

    /// Nothing is told until then.
    fn rest(&mut self, kind: Kind, until: Instant) {
        let (since, spent) = (Instant::now(), self.spent(kind));
        let group = self.watch.group(kind);
        group.fine = since;
        group.state = State::Shut { until, since, spent };
    }

    /// Sites that were hardly ever hit are in place all the time, and may come to be hit.
    fn rest_on(&mut self, kind: Kind, now: Instant, since: Instant, before: Spent) {
        if let Some(alarm) = self.alarm(kind, before, Some(STRETCH)) {
            self.stop(kind, &alarm, now);
        } else if now - since < STRETCH {
            return;
        }
        let spent = self.spent(kind);
        if let State::Shut { since, spent: before, .. } = &mut self.watch.group(kind).state {
            (*since, *before) = (now, spent);
        }
    }

    fn begin_window(&mut self, kind: Kind) {
        let before = self.spent(kind);
        let hot: Vec<usize> = self.watch.group(kind).hot.iter().copied().collect();
        let Ok((probes, cycle_ns)) = self.put_in(&hot) else {
            // The target may be about to end. Otherwise the next attempt tells.
            self.rest(kind, Instant::now() + STRETCH);
            return;
        };
        let group = self.watch.group(kind);
        // What is refused once need not be tried with every window.
        for refused in &probes.refused {
            group.hot.remove(&refused.site);
        }
        group.hot_probes = Some(probes);
        std::thread::sleep(SETTLING);
        let now = self.open(kind);
        let group = self.watch.group(kind);
        let length = group.budget.as_ref().map_or(STRETCH, Budget::length);
        group.state = State::Open { until: now + length, before, cycle_ns };
    }

    fn end_window(&mut self, kind: Kind, before: Spent, cycle_ns: u64, alarm: Option<Alarm>) {
        self.shut(kind);
        // In an emergency nobody waits for waits to end.
        if kind == Kind::Maps || alarm.is_some() {
            return self.finish_window(kind, before, cycle_ns, alarm);
        }
        let group = self.watch.group(kind);
        if let Some(probes) = &mut group.hot_probes {
            probes.release_begins();
        }
        group.state = State::Ending { look: Instant::now(), before, cycle_ns };
    }

    /// Takes the probes out, tells the window, and decides what is next.
    fn finish_window(&mut self, kind: Kind, before: Spent, cycle_ns: u64, alarm: Option<Alarm>) {
        let open = (kind == Kind::Locks).then(|| self.open_waits(monotonic_ns()));
        let shut_at = self.watch.group(kind).shut_at;
        let out_ns = if let Some(alarm) = &alarm {
            self.stop(kind, alarm, shut_at)
        } else {
            let probes = self.watch.group(kind).hot_probes.take();
            self.take_out(probes)
        };
        if let Some(open) = open {
            self.decoder.tell_open(&open, &mut self.tally);
            self.settle_waits();
        }
        self.settle_window(kind);
        let all_ns = self.spent(kind).since(before).ns;
        let Ended { open_for, before: at_opening, inside_ns } = self.watch.group(kind).last;
        let around_ns = all_ns.saturating_sub(inside_ns) + cycle_ns + out_ns;
        if kind == Kind::Maps {
            self.sort_out(open_for);
        }
        let random = self.watch.random.f64();
        let group = self.watch.group(kind);
        let Some(budget) = &mut group.budget else { return };
        let cost = WindowCost { inside_ns, around_ns };
        log::info!(
            "window of {kind:?}: open {open_for:?}, hits inside cost {inside_ns} ns, those around it {} ns, of which {} ns before it, putting in {cycle_ns} ns and taking out {out_ns} ns",
            all_ns.saturating_sub(inside_ns),
            at_opening.since(before).ns
        );
        let mut next = budget.after_window(open_for, cost, random);
        if alarm.is_some() {
            next = budget.after_emergency(next);
        }
        match next {
            Next::Always => self.always(kind),
            // Not from the last wait's end on: after long waits there would be less of what
            // they are scaled by.
            Next::Window { pause, .. } => self.rest(kind, shut_at + pause),
        }
    }

    /// All fits: watches all the time.
    fn always(&mut self, kind: Kind) {
        self.begin_window(kind);
        let now = Instant::now();
        let spent = self.spent(kind);
        let group = self.watch.group(kind);
        if matches!(group.state, State::Open { .. }) {
            group.state = State::Always { since: now, spent };
        }
    }

    /// Tells hot sites from cold ones by what the last window cost, and puts the cold
    /// ones in for good: most sites of a program are hardly ever hit.
    fn sort_out(&mut self, open_for: Duration) {
        let Some(budget) = &self.watch.maps.budget else { return };
        let allowed = budget.allowed();
        let allowed_ns = allowed * open_for.as_nanos() as f64;
        let costs: Vec<(usize, u64)> =
            (0..self.plan.sites.len()).map(|site| (site, self.bill.of_site(site))).collect();
        let group = &mut self.watch.maps;
        let sorted = (Instant::now(), costs.iter().map(|it| it.1).collect());
        let (then, before) = std::mem::replace(&mut group.sorted, sorted);
        let cost = |site: usize| {
            let (now, then) = (costs[site].1, before.get(site).copied().unwrap_or(0));
            now.saturating_sub(then) as f64
        };
        let of_cold: f64 = group.cold.iter().map(|&site| cost(site)).sum();
        let period_ns = allowed * then.elapsed().as_nanos() as f64;
        let warm: Vec<usize> = if of_cold > COLD * period_ns {
            group.cold.iter().copied().filter(|&site| cost(site) > HOT * period_ns).collect()
        } else {
            Vec::new()
        };
        let cool: Vec<usize> = if group.cold_probes.is_none() {
            group.hot.iter().copied().filter(|&site| cost(site) <= HOT * allowed_ns).collect()
        } else {
            Vec::new()
        };
        if warm.is_empty() && cool.is_empty() {
            return;
        }
        group.hot.extend(&warm);
        group.hot.retain(|site| !cool.contains(site));
        group.cold.extend(cool);
        group.cold.retain(|site| !warm.contains(site));
        let cold: Vec<usize> = group.cold.iter().copied().collect();
        let old = group.cold_probes.take();
        self.take_out(old);
        if !cold.is_empty()
            && let Ok((probes, _)) = self.put_in(&cold)
        {
            self.watch.maps.cold_probes = Some(probes);
        }
    }

    /// Whether a wait that was told to begin has yet to end.
    fn waits_go_on(&mut self) -> bool {
        self.kernel.open_waits().is_ok_and(|open| open.iter().any(|(_, wait)| wait.parks > 0))
    }

    /// Opens the gate; returns when that was.
    fn open(&mut self, kind: Kind) -> Instant {
        self.watch.number += 1;
        let (number, spent, cpu_ns) = (self.watch.number, self.spent(kind), self.cpu_ns());
        if kind == Kind::Locks {
            self.tally.builder.lock_opens(monotonic_ns());
        }
        // With nothing in between, since it would count as watched.
        let since = Instant::now();
        set_gate(&self.shared, kind, number);
        self.watch.group(kind).open(Opened { since, spent, cpu_ns });
        since
    }

    /// Shuts the gate; what was told arrives afterwards.
    fn shut(&mut self, kind: Kind) {
        set_gate(&self.shared, kind, 0);
        let now = Instant::now();
        let (spent, cpu_ns) = (self.spent(kind), self.cpu_ns());
        self.watch.group(kind).shut(now, spent, cpu_ns);
        if kind == Kind::Locks {
            self.forget_unparked();
        }
    }

    /// Forgets beginnings of waits that have come to nothing: once the gate is shut, none is
    /// told that would take their place.
    fn forget_unparked(&mut self) {
        if let Ok(mut table) = self.kernel.open_waits() {
            table.clear_unparked();
        }
    }

    /// Once no end of a wait is seen any more: what has come is all there is of those that
    /// began, and what is left in the table would be taken for others'.
    fn settle_waits(&mut self) {
        while self.drain() > 0 {}
        self.gather();
        self.decoder.settle_all(&mut self.tally);
        if let Ok(mut table) = self.kernel.open_waits() {
            table.clear();
        }
    }

    /// Takes in what a window has told, and ends it.
    fn settle_window(&mut self, kind: Kind) {
        if let Some(watched) = self.watch.group(kind).pending.take() {
            while self.drain() > 0 {}
            self.gather();
            self.flush();
            match kind {
                Kind::Maps => self.tally.window(watched),
                Kind::Locks => self.tally.lock_window(watched),
            }
        }
    }

    /// Puts in the sites that have been added to the plan, from this one on; how many.
    pub(super) fn attach_more(&mut self, first: usize) -> Result<usize, KernelError> {
        self.kernel.describe(&self.plan.sites)?;
        self.kernel.prepare(&self.plan)?;
        let mut count = 0;
        for kind in Kind::ALL {
            let of_maps = kind == Kind::Maps;
            let sites: Vec<usize> = (first..self.plan.sites.len())
                .filter(|&site| self.plan.sites[site].is_of_maps() == of_maps)
                .collect();
            if sites.is_empty() {
                continue;
            }
            let group = self.watch.group(kind);
            group.hot.extend(&sites);
            if group.state == State::Out {
                self.always(kind);
            } else if let Some(mut all) = group.hot_probes.take() {
                let (probes, _) = self.put_in(&sites)?;
                let group = self.watch.group(kind);
                for refused in &probes.refused {
                    group.hot.remove(&refused.site);
                }
                all.join(probes);
                group.hot_probes = Some(all);
            }
            // Where nothing is in place at this moment, they come with the next window.
            let group = self.watch.group(kind);
            count += sites.iter().filter(|&site| group.hot.contains(site)).count();
        }
        Ok(count)
    }

    /// A window more where the slice that goes on has none: its time would be told by
    /// nobody, and rates would be too low.
    pub(super) fn last_windows(&mut self) {
        for kind in Kind::ALL {
            let group = self.watch.group(kind);
            if !matches!(group.state, State::Shut { .. }) || group.has_watched() {
                continue;
            }
            self.begin_window(kind);
            if let State::Open { until, before, cycle_ns } = self.watch.group(kind).state {
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
                self.end_window(kind, before, cycle_ns, None);
            }
        }
    }

    /// Shuts the gates; the slice that goes on ends here. Returns the probes.
    pub(super) fn leave(&mut self) -> [[Option<Attachment>; 2]; 2] {
        self.watch.ended = Some(Instant::now());
        for kind in Kind::ALL {
            set_gate(&self.shared, kind, 0);
        }
        self.forget_unparked();
        [self.watch.locks.take(), self.watch.maps.take()]
    }

    /// Takes the probes out; how long that took.
    pub(super) fn detach(&mut self) -> Duration {
        let began = Instant::now();
        let probes = self.leave();
        self.take_out(probes);
        began.elapsed()
    }

    /// Ends the slice that goes on: for how long operations and waits were watched, ns.
    pub(super) fn cut(&mut self, began: Instant, now: Instant) -> [u64; 2] {
        let all = (now - began).as_nanos() as u64;
        if !self.watch.is_bounded() {
            return [all, all];
        }
        for kind in Kind::ALL {
            // Shut, and not told yet.
            self.settle_window(kind);
        }
        let (spent, cpu_ns) = (self.bill.read_both(), self.cpu_ns());
        let (maps, window) = self.watch.maps.cut(began, now, spent[0], cpu_ns);
        let (locks, lock_window) = self.watch.locks.cut(began, now, spent[1], cpu_ns);
        if let Some(window) = window {
            self.tally.window(window);
        }
        if let Some(window) = lock_window {
            self.tally.lock_window(window);
        }
        if self.watch.locks.opened.is_some() {
            // What goes on is the next interval's from here on.
            self.tally.builder.lock_opens(monotonic_ns());
        }
        match (self.watch.maps.is_used(), self.watch.locks.is_used()) {
            (false, _) => [locks, locks],
            (_, false) => [maps, maps],
            _ => [maps, locks],
        }
    }

    pub(super) fn spent(&mut self, kind: Kind) -> Spent {
        self.bill.read_both()[kind.index()]
    }

    /// CPU time that the target has used, ns.
    fn cpu_ns(&mut self) -> u64 {
        self.decoder.resolver().target.cpu_ns().unwrap_or(0)
    }

    /// Puts probes in; the CPU time that this took, ns.
    fn put_in(&mut self, sites: &[usize]) -> Result<(Attachment, u64), KernelError> {
        let (paths, pid) = self.attach_points();
        let Self { kernel, plan, .. } = self;
        let (attachment, ns) = drain_while(
            &mut self.rings,
            &mut self.decoder,
            &mut self.tally,
            Haste::Urgent,
            || metered(|| Attachment::of(sites, kernel, plan, &paths, pid)),
            || {},
        );
        Ok((attachment?, ns))
    }

    /// Takes probes out; the CPU time that this took, ns.
    pub(super) fn take_out<T: Send>(&mut self, probes: T) -> u64 {
        self.take_out_and_look(probes, |_| {})
    }

    /// The same, and looks at the bill meanwhile.
    pub(super) fn take_out_and_look<T: Send>(
        &mut self,
        probes: T,
        mut look: impl FnMut(&mut Bill),
    ) -> u64 {
        let Self { rings, decoder, tally, bill, .. } = self;
        let work = || metered(|| drop(probes));
        drain_while(rings, decoder, tally, Haste::Urgent, work, || look(bill)).1
    }
}
