//! What time it is, told by a clock that does not step.
//!
//! In: moments of the monotonic clock. Out: the same as wall-clock time, as it was set when
//! the run began. Whoever sets the clock meanwhile moves no slice, and none overlaps another.

use std::time::{Instant, SystemTime};

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    at: Instant,
    unix_ns: u64,
}

impl Clock {
    /// As they are now.
    pub(super) fn set() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self { at: Instant::now(), unix_ns: since.map_or(0, |since| since.as_nanos() as u64) }
    }

    /// Wall clock at a moment, ns since the epoch.
    pub(super) fn unix_ns(&self, moment: Instant) -> u64 {
        let after = moment.saturating_duration_since(self.at).as_nanos() as u64;
        let before = self.at.saturating_duration_since(moment).as_nanos() as u64;
        self.unix_ns.saturating_add(after).saturating_sub(before)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// However the wall clock was set after the run began, a slice begins where the one
    /// before it ended.
    #[test]
    fn slices_follow_each_other_whatever_the_wall_clock_does() {
        let at = Instant::now();
        let clock = Clock { at, unix_ns: 1_000_000_000 };
        let second = Duration::from_secs(1);
        assert_eq!(clock.unix_ns(at), 1_000_000_000);
        assert_eq!(clock.unix_ns(at + 3 * second), 4_000_000_000);
        let before = Clock { at: at + second, unix_ns: 1_000_000_000 };
        assert_eq!(before.unix_ns(at + second / 2), 500_000_000, "a moment before");
        assert_eq!(Clock { at: at + second, unix_ns: 0 }.unix_ns(at), 0, "before the epoch");
    }
}
