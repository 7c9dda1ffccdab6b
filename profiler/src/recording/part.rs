//! A part of a recording.
//!
//! In: moments as people type them. Out: the range of slices that begin in between.

use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use thiserror::Error;

/// A moment in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So long after the first slice began: `10s`.
    FromStart(Duration),
    /// So long before the last slice ended: `-30s`.
    FromEnd(Duration),
    /// Wall clock, ns since the epoch: `2026-11-21T14:07:32Z`.
    At(u64),
}

/// A text that is no [`Moment`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{text:?} is no moment of a recording: write 10s or 1m30s from its start, -30s from its end, \
     or a time in UTC as in 2026-11-21T14:07:32Z"
)]
pub struct MomentError {
    text: String,
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        let failed = || MomentError { text: text.to_owned() };
        if let Some(before) = text.strip_prefix('-') {
            return duration(before).map(Self::FromEnd).ok_or_else(failed);
        }
        if let Some(after) = duration(text) {
            return Ok(Self::FromStart(after));
        }
        let at = humantime::parse_rfc3339_weak(text).map_err(|_| failed())?;
        let since = at.duration_since(UNIX_EPOCH).map_err(|_| failed())?;
        Ok(Self::At(u64::try_from(since.as_nanos()).map_err(|_| failed())?))
    }
}

fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    humantime::parse_duration(text).ok()
}

/// Which slices: those that begin at `from` or later, and before `to`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// `None`: from the recording's start.
    pub from: Option<Moment>,
    /// `None`: to the recording's end.
    pub to: Option<Moment>,
}

impl Part {
    /// Whether it is all of a recording.
    pub fn is_whole(&self) -> bool {
        *self == Self::default()
    }

    /// The wall clock from which and up to which slices are wanted, ns since the epoch.
    pub(super) fn within(&self, covers: Covers) -> (u64, u64) {
        let at = |moment, otherwise| match moment {
            None => otherwise,
            Some(Moment::At(at)) => at,
            Some(Moment::FromStart(after)) => covers.from_unix_ns.saturating_add(ns(after)),
            Some(Moment::FromEnd(before)) => covers.to_unix_ns.saturating_sub(ns(before)),
        };
        (at(self.from, 0), at(self.to, u64::MAX))
    }
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The time that the slices of a recording cover, ns since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Covers {
    pub(super) from_unix_ns: u64,
    pub(super) to_unix_ns: u64,
}

impl Covers {
    /// As a person reads it: `12.0s, from 2026-11-21T14:07:32Z to 2026-11-21T14:07:44Z`.
    pub(super) fn text(self) -> String {
        let length = self.to_unix_ns.saturating_sub(self.from_unix_ns);
        format!(
            "{:.1}s, from {} to {}",
            length as f64 / 1e9,
            wall_clock(self.from_unix_ns),
            wall_clock(self.to_unix_ns)
        )
    }
}

/// To the millisecond; a damaged recording may have any number.
fn wall_clock(unix_ns: u64) -> String {
    // 9999-12-31, beyond which there is no such text.
    const LAST_S: u64 = 253_402_300_799;
    let at = Duration::from_nanos(unix_ns).min(Duration::from_secs(LAST_S));
    humantime::format_rfc3339_millis(UNIX_EPOCH + at).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments() {
        let seconds = Duration::from_secs;
        for (text, moment) in [
            ("10s", Moment::FromStart(seconds(10))),
            ("1m 30s", Moment::FromStart(seconds(90))),
            ("0", Moment::FromStart(Duration::ZERO)),
            ("-30s", Moment::FromEnd(seconds(30))),
            ("1970-01-01T00:00:02.5Z", Moment::At(2_500_000_000)),
            ("1970-01-02 00:00:00", Moment::At(86_400_000_000_000)),
        ] {
            assert_eq!(text.parse(), Ok(moment), "{text}");
        }
        for wrong in ["", "-", "10", "soon", "--1s", "1969-01-01T00:00:00Z", "12:30"] {
            let error = wrong.parse::<Moment>().unwrap_err().to_string();
            assert!(error.contains("-30s from its end"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,20}") {
            let _ = text.parse::<Moment>();
        }

        #[test]
        fn no_time_panics(from_unix_ns: u64, to_unix_ns: u64, far: u64) {
            let covers = Covers { from_unix_ns, to_unix_ns };
            covers.text();
            let far = Some(Moment::FromStart(Duration::from_secs(far)));
            Part { from: far, to: far }.within(covers);
        }
    }
}
