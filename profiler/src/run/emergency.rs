//! The emergency stop: what costs the target far more than was planned ends at once.
//!
//! In: what probes have cost since they were last seen to cost what they may. Out: a gate
//! that is shut and probes that are out, and for how long the target had to bear it.

use std::time::{Duration, Instant};

use super::{bill::Spent, collector::Collector, watch::Kind};

/// More was spent than any plan foresees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alarm {
    /// The last look at which all was well; it was exceeded after that.
    fine: Instant,
    /// What was spent, ns.
    spent_ns: u64,
    /// The most that might have been, ns.
    most_ns: u64,
}

impl Alarm {
    /// Says how it went; every time is the most that it can have been.
    fn tell(&self, kind: Kind, shut: Instant, last_hit: Instant, out: Instant) {
        let ms = |time: Instant| (time - self.fine).as_secs_f64() * 1e3;
        log::info!(
            "emergency stop of {kind:?}: cost {:.1} ms where {:.1} ms is the most; gate shut {:.1} ms, last hit {:.1} ms and probes out {:.1} ms after that was exceeded, at most",
            self.spent_ns as f64 / 1e6,
            self.most_ns as f64 / 1e6,
            ms(shut),
            ms(last_hit),
            ms(out),
        );
    }
}

impl Collector {
    /// Whether more was spent since `before` than any plan foresees for `time`, which is not
    /// over yet; `None`: for a window.
    pub(super) fn alarm(
        &mut self,
        kind: Kind,
        before: Spent,
        time: Option<Duration>,
    ) -> Option<Alarm> {
        let spent_ns = self.spent(kind).since(before).ns;
        let group = self.watch.group(kind);
        let budget = group.budget.as_ref()?;
        let most_ns = budget.stop_at_ns(time.unwrap_or(budget.length()));
        if spent_ns > most_ns {
            return Some(Alarm { fine: group.fine, spent_ns, most_ns });
        }
        group.fine = Instant::now();
        None
    }

    /// Takes out everything of a kind whose gate is shut since then, what was thought to
    /// be hardly ever hit as well: next time it is tried in a window.
    /// Returns the CPU time that this took, ns.
    pub(super) fn stop(&mut self, kind: Kind, alarm: &Alarm, shut: Instant) -> u64 {
        let group = self.watch.group(kind);
        let cold = std::mem::take(&mut group.cold);
        group.hot.extend(cold);
        // Together, since each waits for the kernel.
        let probes = [group.hot_probes.take(), group.cold_probes.take()].into_iter().flatten();
        let probes = probes.reduce(|mut all, more| {
            all.join(more);
            all
        });
        // The kernel waits long after the target has seen the last of them.
        let (mut spent, mut last_hit) = (self.spent(kind), shut);
        let out_ns = self.take_out_and_look(probes, |bill| {
            let now = bill.read_both()[kind.index()];
            if std::mem::replace(&mut spent, now) != now {
                last_hit = Instant::now();
            }
        });
        alarm.tell(kind, shut, last_hit, Instant::now());
        out_ns
    }
}
