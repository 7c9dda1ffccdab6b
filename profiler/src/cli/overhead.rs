//! `--max-overhead`: what probes may cost the target.
//!
//! In: text. Out: a share, or why there is none like that.

/// `--max-overhead`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum MaxOverhead {
    /// No bound.
    None,
    /// Share of the target's CPU time, above 0 and at most 1.
    Share(f64),
}

impl MaxOverhead {
    /// The bound, if there is one.
    pub(super) fn share(self) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Share(share) => Some(share),
        }
    }
}

/// What a service bears that nobody asked.
pub(super) const DEFAULT_OVERHEAD: f64 = 0.01;
/// Least budget: a window of a millisecond on every CPU that the target uses, once in
/// ten seconds.
const LEAST_OVERHEAD: f64 = 0.0001;

/// Reads it.
pub(super) fn max_overhead(text: &str) -> Result<MaxOverhead, String> {
    if text == "none" {
        return Ok(MaxOverhead::None);
    }
    let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let example = "as in 1% or 0.01, or 'none'";
    let number: f64 = number.trim().parse().map_err(|_| format!("a share is wanted, {example}"))?;
    let share = number / scale;
    if share.is_nan() {
        return Err(format!("a share is wanted, {example}, and {text} is no number"));
    }
    if share <= 0.0 {
        return Err(format!("a budget of nothing allows no window at all; give more, {example}"));
    }
    if share > 1.0 {
        return Err(format!(
            "{}% is more than all CPU time of the target; give at most 100%, {example}",
            share * 100.0
        ));
    }
    if share < LEAST_OVERHEAD {
        return Err(format!(
            "{}% is less than one window of a millisecond costs, once in ten seconds; give at least {}%, {example}",
            share * 100.0,
            LEAST_OVERHEAD * 100.0
        ));
    }
    Ok(MaxOverhead::Share(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_in_percent_or_as_they_are() {
        for (text, share) in [("1%", 0.01), ("0.01", 0.01), (" 2.5 %", 0.025), ("100%", 1.0)] {
            assert_eq!(max_overhead(text), Ok(MaxOverhead::Share(share)), "{text}");
        }
        assert_eq!(max_overhead("none").map(MaxOverhead::share), Ok(None));
        for (wrong, why) in [
            ("", "a share is wanted"),
            ("0", "nothing"),
            ("-1%", "nothing"),
            ("101%", "more than all"),
            ("inf", "more than all"),
            ("0.005%", "one window"),
            ("NaN", "no number"),
            ("nan%", "no number"),
            ("much", "a share is wanted"),
            ("None", "a share is wanted"),
            ("1%%", "a share is wanted"),
        ] {
            let error = max_overhead(wrong).unwrap_err();
            assert!(error.contains(why), "{wrong:?}: {error}");
        }
    }
}
