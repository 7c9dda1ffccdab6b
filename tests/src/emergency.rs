//! What mapprof says with `-v` of its emergency stops.
//!
//! In: lines of stderr. Out: how long each took.

/// What the line of a stop has in it.
pub const STOP: &str = "emergency stop of ";

/// One emergency stop. All times are from the last look at which all was well, so that
/// they are the most that it can have taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stop {
    /// Until the kernel's half told nothing any more, ms.
    pub shut_ms: f64,
    /// Until the program met the last of its probes, ms.
    pub last_hit_ms: f64,
    /// Until the kernel had put all of them away, ms.
    pub out_ms: f64,
}

impl Stop {
    /// `None` for any other line.
    pub fn of(line: &str) -> Option<Self> {
        let (_, stop) = line.split_once(STOP)?;
        let ms = |before: &str| {
            let (_, rest) = stop.split_once(before)?;
            rest.split_once(" ms")?.0.parse().ok()
        };
        Some(Self {
            shut_ms: ms("gate shut ")?,
            last_hit_ms: ms("last hit ")?,
            out_ms: ms("probes out ")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_read() {
        let line = "[INFO  mapprof::run::emergency] emergency stop of Maps: cost 2.5 ms where 1.0 \
                    ms is the most; gate shut 3.1 ms, last hit 17.0 ms and probes out 41.9 \
                    ms after that was exceeded, at most";
        let stop = Stop { shut_ms: 3.1, last_hit_ms: 17.0, out_ms: 41.9 };
        assert_eq!(Stop::of(line), Some(stop));
        assert_eq!(Stop::of("[INFO  mapprof::run::windows] window of Maps: open 1 ms"), None);
    }
}
