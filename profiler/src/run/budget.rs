//! How much of the time the target can bear to be watched.
//!
//! In: what may be spent, and what windows and stretches of watching did cost. Out: how
//! long the next window is, and after which pause; or that all the time fits. Nothing here
//! knows a clock or a probe.
//!
//! Windows must not follow the load: a budget that is saved up while the target works would
//! open them when there is much to see, and every figure would be too high. So pauses come
//! from averages over seconds, and their lengths are random.

use std::time::Duration;

/// What a target may be charged that hardly runs, as a share of one CPU: a share of its
/// own time would allow nothing at all.
const FLOOR: f64 = 0.001;
/// How much of the budget is planned with: the rest is for what the averages do not know,
/// and for mapprof itself, which takes its time from a machine that has none to spare:
/// beside two CPUs of map operations some 2 ms a window, and 4 ms a second in any case.
const PLANNED: f64 = 0.35;
/// What is watched all the time must fit so many times.
const ROOM: f64 = 1.25;
/// The emergency stop: one window must not cost so many times what it is planned to.
const EMERGENCY: f64 = 10.0;
/// How many times as long as the last one a window may be.
const GROWTH: f64 = 4.0;
/// Longest window: beyond it, more of them tell more than longer ones.
const LONGEST: Duration = Duration::from_millis(200);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Windows at the beginning that do not wait for what they cost: somebody is waiting to
/// see something. They are paid back afterwards.
const FIRST_WINDOWS: u32 = 4;
/// Pause between those.
const FIRST_PAUSE: Duration = Duration::from_millis(40);
/// How much of what was spent too much is saved with each pause.
const REPAID: f64 = 0.1;
/// Time constant of the target's CPU time, s.
const MEMORY_S: f64 = 5.0;
/// How much a new window counts for in the averages.
const NEWEST: f64 = 0.15;
/// Watching all the time needs to have seen so much, ns.
const ENOUGH_NS: f64 = 50e6;

/// What the kernel lets windows be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Shortest window.
    pub(super) shortest: Duration,
    /// From the beginning of one window to that of the next, where the budget allows.
    pub(super) period: Duration,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Watch all the time.
    Always,
    /// Watch so long, after a pause.
    Window {
        /// Between the end of the last window and the beginning of this one.
        pause: Duration,
        /// Its length.
        length: Duration,
    },
}

/// What a window cost, ns of CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WindowCost {
    /// Hits while it was open.
    pub(super) inside_ns: u64,
    /// Hits before and after, and putting the probes in and out.
    pub(super) around_ns: u64,
}

/// A mean that follows what it is of.
#[derive(Clone, Copy, Debug, Default)]
struct Average {
    value: f64,
    known: bool,
}

impl Average {
    fn add(&mut self, value: f64, weight: f64) {
        let weight = if self.known { weight } else { 1.0 };
        self.value += weight * (value - self.value);
        self.known = true;
    }
}

/// The budget of one kind of sites.
#[derive(Debug)]
pub(super) struct Budget {
    share: f64,
    pace: Pace,
    /// CPU time of the target over time.
    cpu: Average,
    /// What is spent over time on what has a budget of its own, within this one.
    others: Average,
    /// Cost of an open gate over time.
    open: Average,
    /// Cost of a window around its opening and shutting, ns.
    around: Average,
    length: Duration,
    windows: u32,
    /// How long was watched since it was last too dear to be watched all the time, ns.
    seen_ns: f64,
    /// What was spent too much, ns.
    debt_ns: f64,
}

impl Budget {
    pub(super) fn new(share: f64, pace: Pace) -> Self {
        Self {
            share,
            pace,
            cpu: Average::default(),
            others: Average::default(),
            open: Average::default(),
            around: Average::default(),
            length: pace.shortest,
            windows: 0,
            seen_ns: 0.0,
            debt_ns: 0.0,
        }
    }

    /// Time went by, in which the target used CPU time, and `others_ns` were spent on
    /// what has a budget of its own.
    pub(super) fn pass(&mut self, time: Duration, cpu_ns: u64, others_ns: u64) {
        let ns = time.as_nanos() as f64;
        if ns <= 0.0 {
            return;
        }
        let weight = 1.0 - (-ns / 1e9 / MEMORY_S).exp();
        self.cpu.add(cpu_ns as f64 / ns, weight);
        self.others.add(others_ns as f64 / ns, weight);
        // Nothing is saved up: see above.
        self.debt_ns = (self.debt_ns - self.allowed() * ns).max(0.0);
    }

    /// What may be spent, ns per ns.
    pub(super) fn allowed(&self) -> f64 {
        (self.share * self.cpu.value - self.others.value).max(FLOOR)
    }

    /// Length of the next window.
    pub(super) fn length(&self) -> Duration {
        self.length
    }

    /// What may be spent from one window of so long to the next, ns.
    pub(super) fn planned_ns(&self, length: Duration) -> u64 {
        // Of a target that nothing is known of yet one CPU is thought to be at work.
        let allowed = if self.cpu.known { self.allowed() } else { self.share };
        (allowed * self.period(length).as_nanos() as f64) as u64
    }

    /// What a window of so long may cost before it is stopped, ns.
    pub(super) fn stop_at_ns(&self, length: Duration) -> u64 {
        (EMERGENCY * self.planned_ns(length) as f64) as u64
    }

    /// Whether the next window is as short as any.
    pub(super) fn is_shortest(&self) -> bool {
        self.length <= self.pace.shortest
    }

    fn period(&self, length: Duration) -> Duration {
        self.pace.period.max(length)
    }

    /// What to do after a window that was open for so long; `random` is from 0 to 1.
    pub(super) fn after_window(&mut self, open: Duration, cost: WindowCost, random: f64) -> Next {
        self.windows = self.windows.saturating_add(1);
        self.note(open, cost.inside_ns, NEWEST);
        self.around.add(cost.around_ns as f64, NEWEST);
        self.debt_ns += (cost.inside_ns + cost.around_ns) as f64;
        let allowed = self.allowed() * PLANNED;
        let rate = self.open.value;
        if rate * ROOM <= self.allowed() && self.seen_ns >= ENOUGH_NS {
            return Next::Always;
        }
        let wanted = if rate > 0.0 { allowed / rate } else { 1.0 };
        let wanted = wanted.min(1.0) * self.pace.period.as_nanos() as f64;
        let most = (self.length.as_nanos() as f64 * GROWTH).min(LONGEST.as_nanos() as f64);
        let shortest = self.pace.shortest.as_nanos() as f64;
        let length = wanted.min(most).max(shortest);
        self.length = Duration::from_nanos(length as u64);
        let next_costs = rate * length + self.around.value;
        // The pause of its own cost, and some of what is owed beyond it.
        let own = next_costs / allowed - length;
        let owed = (self.debt_ns - next_costs).max(0.0) * REPAID / allowed;
        let least = (self.pace.period.as_nanos() as f64 - length).max(0.0);
        let pause = (own + owed).max(least).min(LONGEST_PAUSE.as_nanos() as f64);
        let pause = Duration::from_nanos((pause * (0.5 + random)) as u64);
        let pause = if self.windows < FIRST_WINDOWS { pause.min(FIRST_PAUSE) } else { pause };
        Next::Window { pause, length: self.length }
    }

    /// What to do after a stretch of watching all the time.
    pub(super) fn after_stretch(&mut self, open: Duration, spent_ns: u64) -> Next {
        self.note(open, spent_ns, 2.0 * NEWEST);
        self.debt_ns += spent_ns as f64;
        if self.open.value <= self.allowed() {
            return Next::Always;
        }
        self.stop()
    }

    /// Goes over to windows, after what has become too dear.
    fn stop(&mut self) -> Next {
        self.seen_ns = 0.0;
        self.length = self.pace.shortest;
        Next::Window { pause: self.pace.period, length: self.length }
    }

    /// Begins anew with the shortest windows after an emergency stop; what it has cost is
    /// paid for as after any other window or stretch, which is `next`.
    pub(super) fn after_emergency(&mut self, next: Next) -> Next {
        let (Next::Window { pause: paid, .. }, Next::Window { pause, length }) =
            (next, self.stop())
        else {
            return self.stop();
        };
        Next::Window { pause: pause.max(paid), length }
    }

    fn note(&mut self, open: Duration, spent_ns: u64, weight: f64) {
        let ns = open.as_nanos() as f64;
        if ns > 0.0 {
            self.open.add(spent_ns as f64 / ns, weight);
            self.seen_ns += ns;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace =
        Pace { shortest: Duration::from_millis(1), period: Duration::from_millis(100) };

    /// A target that uses `cpu` CPUs, and of which an open gate costs `open(time)` CPUs.
    /// Returns what was spent over what was allowed, the share of time watched, and
    /// whether it ended up watched all the time.
    fn simulate(
        share: f64,
        cpu: f64,
        around_ns: f64,
        open: impl Fn(f64) -> f64,
        seconds: f64,
    ) -> (f64, f64, bool) {
        let mut budget = Budget::new(share, PACE);
        let mut random = fastrand::Rng::with_seed(7);
        let (mut now, mut spent, mut watched) = (0.0, 0.0, 0.0);
        let mut always = false;
        while now < seconds {
            let began = now;
            let length = if always { 0.1 } else { budget.length().as_secs_f64() };
            let inside = open(now) * length * 1e9;
            let open_for = Duration::from_secs_f64(length);
            watched += length;
            let next = if always {
                spent += inside;
                budget.after_stretch(open_for, inside as u64)
            } else {
                spent += inside + around_ns;
                let cost = WindowCost { inside_ns: inside as u64, around_ns: around_ns as u64 };
                budget.after_window(open_for, cost, random.f64())
            };
            now += length;
            always = match next {
                Next::Always => true,
                Next::Window { pause, .. } => {
                    now += pause.as_secs_f64();
                    false
                }
            };
            let time = Duration::from_secs_f64(now - began);
            budget.pass(time, (cpu * (now - began) * 1e9) as u64, 0);
        }
        (spent / (share * cpu * now * 1e9), watched / now, always)
    }

    #[test]
    fn a_hot_loop_is_watched_in_windows_within_the_budget() {
        for (share, cpu) in [(0.01, 2.0), (0.01, 0.5), (0.05, 8.0), (0.001, 2.0)] {
            let (spent, watched, always) = simulate(share, cpu, 0.5e6, |_| cpu, 60.0);
            assert!(!always);
            assert!((0.25..=0.5).contains(&spent), "{share} of {cpu}: {spent} of the budget");
            assert!(watched > 0.1 * share, "{share} of {cpu}: {watched} of the time");
        }
    }

    #[test]
    fn what_fits_is_watched_all_the_time() {
        for (cpu, open) in [(2.0, 0.01), (0.3, 0.002), (0.0, 0.0), (0.0, 0.0005)] {
            let (_, watched, always) = simulate(0.01, cpu, 1e6, |_| open, 30.0);
            assert!(always && watched > 0.9, "{cpu} CPUs, {open}: {watched}");
        }
    }

    #[test]
    fn windows_are_longer_where_there_is_little_traffic() {
        let (spent, watched, always) = simulate(0.01, 1.0, 0.2e6, |_| 0.05, 60.0);
        assert!(!always && spent <= 1.0, "{spent}");
        assert!((0.04..0.08).contains(&watched), "{watched}");
    }

    #[test]
    fn bursts_are_paid_for_too() {
        // Two seconds of work in ten.
        let bursts = |now: f64| if now % 10.0 < 2.0 { 2.0 } else { 0.0 };
        let (spent, _, _) = simulate(0.01, 0.4, 2e6, bursts, 300.0);
        assert!(spent <= 1.5, "{spent} of the budget");
    }

    #[test]
    fn what_others_spend_is_not_spent_again() {
        let mut budget = Budget::new(0.01, PACE);
        let second = Duration::from_secs(1);
        budget.pass(second, 2_000_000_000, 10_000_000);
        // 1% of two CPUs, and half of it is gone.
        assert!((budget.allowed() - 0.01).abs() < 1e-9, "{}", budget.allowed());
        assert_eq!(budget.after_stretch(second, 9_000_000), Next::Always);
        assert_ne!(budget.after_stretch(second, 30_000_000), Next::Always);
        let mut budget = Budget::new(0.01, PACE);
        budget.pass(second, 2_000_000_000, 90_000_000);
        assert!((budget.allowed() - FLOOR).abs() < 1e-9, "something is always left");
    }

    #[test]
    fn an_emergency_is_ten_times_what_was_planned() {
        let mut budget = Budget::new(0.01, PACE);
        budget.pass(Duration::from_secs(1), 2_000_000_000, 0);
        // 1% of two CPUs in a tenth of a second is 2 ms.
        assert_eq!(budget.stop_at_ns(Duration::from_millis(1)) / 1_000_000, 20);
        let next = budget.after_stretch(Duration::from_millis(10), 20_000_000);
        assert_eq!(next, Next::Window { pause: PACE.period, length: PACE.shortest });
        // Of a target that nothing is known of yet, one CPU is thought to be at work.
        let budget = Budget::new(0.01, PACE);
        assert_eq!(budget.stop_at_ns(PACE.shortest) / 1_000_000, 10);
    }

    #[test]
    fn after_an_emergency_windows_are_short_and_what_it_cost_is_paid_for() {
        let mut budget = Budget::new(0.01, PACE);
        budget.pass(Duration::from_secs(1), 1_000_000_000, 0);
        // Nothing to see, so that windows get longer.
        for _ in 0..4 {
            budget.after_window(budget.length(), WindowCost::default(), 0.5);
        }
        assert!(!budget.is_shortest());
        let cost = WindowCost { inside_ns: 40_000_000, around_ns: 20_000_000 };
        let paid = budget.after_window(Duration::from_millis(20), cost, 0.5);
        let Next::Window { pause, .. } = paid else { panic!("{paid:?}") };
        assert!(pause > PACE.period);
        let next = budget.after_emergency(paid);
        assert_eq!(next, Next::Window { pause, length: PACE.shortest });
        assert!(budget.is_shortest());
        let next = budget.after_emergency(Next::Always);
        assert_eq!(next, Next::Window { pause: PACE.period, length: PACE.shortest });
    }
}
