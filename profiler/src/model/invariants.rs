//! What cannot be, whatever was measured.
//!
//! In: a [`Summary`] of a whole run. Out: a sentence for each of its figures that another
//! one contradicts: parts that are more than the whole, percentiles out of order, more tasks
//! that wait than there are, an estimate without an interval.

use super::summary::{Caller, H, Holder, Key, KeyPart, Lock, Map, Margins, Ops, Summary, WaitSum};

impl Summary {
    /// Sentences about figures that contradict each other; none where all is well. Of a run
    /// from its beginning: of an interval alone a wait's parts may be told later than it.
    pub fn contradictions(&self) -> Vec<String> {
        let mut check = Check::default();
        self.run(&mut check);
        for map in &self.maps {
            check.subject.clone_from(&map.id);
            map.check(&mut check);
        }
        for lock in &self.locks {
            check.subject.clone_from(&lock.id);
            let most = self.window.tasks.map(|tasks| tasks.saturating_mul(self.window.duration_ns));
            lock.check(most, &mut check);
            if let Some(tasks) = self.window.tasks {
                check.part("tasks that wait still", lock.open_waits, "the tasks there are", tasks);
            }
        }
        check.found
    }

    fn run(&self, check: &mut Check) {
        let window = &self.window;
        "the run".clone_into(&mut check.subject);
        check.part("observed_ns", window.observed_ns, "duration_ns", window.duration_ns);
        let locks_ns = window.locks_observed_ns.unwrap_or(0);
        check.part("locks_observed_ns", locks_ns, "duration_ns", window.duration_ns);
        check.share("target_cpu_share", window.cost.target_cpu_share.unwrap_or(0.0));
        let all = window.attribution.unwrap_or_default();
        check.part("attributed_ns", all.attributed_ns, "wait_ns", all.wait_ns);
        check.part("blamed_ns", all.blamed_ns, "wait_ns", all.wait_ns);
        let waited = sum(self.locks.iter().map(|lock| lock.wait.sum_ns));
        let blamed = sum(self.locks.iter().map(|lock| lock.blamed_ns));
        check.same("wait_ns", all.wait_ns, "the waits of all locks", waited);
        let keys = || self.maps.iter().flat_map(|map| &map.keys);
        let ns = |h: Option<H>| h.map_or(0, |h| h.sum_ns);
        check.part("waits of keys", sum(keys().map(|key| ns(key.wait))), "all waits", waited);
        check.part("blame of keys", sum(keys().map(|key| ns(key.blame))), "all blame", blamed);
    }
}

/// Collects what is wrong with one subject after the other.
#[derive(Default)]
struct Check {
    subject: String,
    found: Vec<String>,
}

impl Check {
    fn say(&mut self, what: &str) {
        self.found.push(format!("{}: {what}", self.subject));
    }

    /// Each figure is rounded by itself, in each interval.
    fn part(&mut self, what: &str, part: u64, of: &str, whole: u64) {
        if part > whole.saturating_add(whole / 500).saturating_add(64) {
            self.say(&format!("{what} ({part}) is more than {of} ({whole})"));
        }
    }

    fn same(&mut self, what: &str, one: u64, other: &str, two: u64) {
        self.part(what, one, other, two);
        self.part(other, two, what, one);
    }

    fn share(&mut self, what: &str, share: f64) {
        if !(0.0..=1.0 + 1e-9).contains(&share) {
            self.say(&format!("{what} is {share}"));
        }
    }

    /// An interval that has the figure's unit, and is narrower than the figure or not told.
    fn interval(&mut self, what: &str, count: u64, ns: Option<u64>, margins: Margins) {
        let Margins { margin, margin_ns, few } = margins;
        if few {
            return;
        }
        if margin > 0 && margin >= count {
            self.say(&format!("{what}: {count} ±{margin} says nothing"));
        }
        let Some(ns) = ns else { return };
        if margin_ns > 0 && margin_ns >= ns {
            self.say(&format!("{what}: {ns} ns ±{margin_ns} says nothing"));
        }
        if ns > 0 && (margin > 0) != (margin_ns > 0) {
            self.say(&format!("{what}: one of ±{margin} and ±{margin_ns} ns is missing"));
        }
        // Of the same events: the sum is no more certain than a thousandth of their number.
        let (of_count, of_sum) = (ratio(margin, count), ratio(margin_ns, ns));
        if margin > 0 && of_sum < of_count / 1000.0 {
            self.say(&format!("{what}: {ns} ns ±{margin_ns} of {count} ±{margin}"));
        }
    }

    fn times(&mut self, what: &str, h: &H) {
        let steps = [h.min_ns, h.p50_ns, h.p90_ns, h.p99_ns, h.p999_ns, h.max_ns];
        if !steps.is_sorted() {
            self.say(&format!("{what}: percentiles are out of order: {steps:?}"));
        }
        // Scaled counts and sums are rounded by themselves.
        let rounded = if h.margin > 0 || h.few { h.count.div_ceil(50).max(64) } else { 0 };
        let [least, most] = [h.count.saturating_sub(rounded), h.count.saturating_add(rounded)];
        if h.sum_ns < h.min_ns.saturating_mul(least) || h.sum_ns > h.max_ns.saturating_mul(most) {
            self.say(&format!("{what}: {} ns in {} of {steps:?}", h.sum_ns, h.count));
        }
        let margins = Margins { margin: h.margin, margin_ns: h.margin_ns, few: h.few };
        self.interval(what, h.count, Some(h.sum_ns), margins);
    }

    fn keys(&mut self, keys: &[KeyPart], ns: u64) {
        self.part("keys of a stack", sum(keys.iter().map(|key| key.wait_ns)), "the stack", ns);
    }

    fn callers(&mut self, callers: &[Caller], ops: &Ops) {
        let all = sum(callers.iter().map(|caller| caller.ops.total()));
        self.part("operations at call sites", all, "all operations", ops.total());
        for Caller { ops, margin, few, .. } in callers {
            let margins = Margins { margin: *margin, margin_ns: 0, few: *few };
            self.interval("a call site", ops.total(), None, margins);
        }
    }
}

impl Map {
    fn check(&self, check: &mut Check) {
        let all = self.ops.total();
        let margins = Margins { margin: self.margin, margin_ns: 0, few: self.few };
        check.interval("operations", all, None, margins);
        let keyed = sum(self.keys.iter().map(|key| key.ops.total()));
        check.part("operations of keys", keyed, "all operations", all);
        check.share("the share of all keys", self.keys.iter().map(|key| key.share).sum());
        check.part("unreadable keys", self.unreadable_keys, "all operations", all);
        check.callers(&self.callers, &self.ops);
        let stacks = sum(self.stacks.iter().map(|stack| stack.ops.total()));
        check.part("operations of stacks", stacks, "all operations", all);
        for Key { ops, wait, blame, callers, .. } in &self.keys {
            check.callers(callers, ops);
            for h in [wait, blame].into_iter().flatten() {
                check.times("a key", h);
            }
        }
        // What every operation since it was empty told.
        if let (Some(len), Some(first)) = (self.len, self.len_first)
            && self.margin == 0
        {
            let gained = len.saturating_sub(first);
            check.part("elements gained", gained, "inserts", self.ops.insert);
        }
    }
}

impl Lock {
    /// `most_ns`: how long all tasks together can have waited.
    fn check(&self, most_ns: Option<u64>, check: &mut Check) {
        let all = self.wait;
        check.times("waits", &all);
        if let Some(hold) = &self.hold {
            check.times("holds", hold);
        }
        if let Some(most_ns) = most_ns {
            check.part("waits", all.sum_ns, "what all tasks can wait", most_ns);
        }
        if let Some(estimate_ns) = self.estimate_ns {
            check.part("what is shown", all.sum_ns, "the estimate", estimate_ns);
            if !all.few {
                check.say("a bound is shown as if it were measured");
            }
        }
        check.part("attributed_ns", self.attributed_ns, "all waits", all.sum_ns);
        check.part("blamed_ns", self.blamed_ns, "all waits", all.sum_ns);
        let modes: Vec<&WaitSum> = [&self.read, &self.write].into_iter().flatten().collect();
        check.part("modes", sum(modes.iter().map(|it| it.count)), "all waits", all.count);
        check.part("modes", sum(modes.iter().map(|it| it.wait_ns)), "all waits", all.sum_ns);
        for mode in modes {
            check.interval("a mode", mode.count, Some(mode.wait_ns), mode.margins);
        }
        let waiters = &self.waiters;
        check.part("waiters", sum(waiters.iter().map(|it| it.count)), "all waits", all.count);
        check.part("waiters", sum(waiters.iter().map(|it| it.wait_ns)), "all waits", all.sum_ns);
        for waiter in waiters {
            check.interval("a waiter", waiter.count, Some(waiter.wait_ns), waiter.margins);
            check.keys(&waiter.keys, waiter.wait_ns);
        }
        let blame = sum(self.holders.iter().map(|it| it.blame_ns));
        check.part("what holders are charged with", blame, "blamed_ns", self.blamed_ns);
        for Holder { count, blame_ns, margins, keys, .. } in &self.holders {
            check.part("waits for a holder", *count, "all waits", all.count);
            check.interval("a holder", *count, Some(*blame_ns), *margins);
            check.keys(keys, *blame_ns);
        }
        let pairs = sum(self.pairs.iter().map(|it| it.wait_ns));
        check.part("pairs", pairs, "blamed_ns", self.blamed_ns);
        for pair in &self.pairs {
            check.part("waits of a pair", pair.count, "all waits", all.count);
            check.interval("a pair", pair.count, Some(pair.wait_ns), pair.margins);
        }
        check.part("open waits told", self.open.len() as u64, "open waits", self.open_waits);
        if self.open.iter().any(|open| open.waited_ns > self.open_max_ns) {
            check.say("an open wait is longer than the longest");
        }
    }
}

fn sum(figures: impl Iterator<Item = u64>) -> u64 {
    figures.fold(0, u64::saturating_add)
}

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
