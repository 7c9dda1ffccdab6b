//! What stands in a table: a figure that knows how it sorts, reads and compares.

use std::cmp::Ordering;

use crate::expr::Figure;
use crate::units;

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::view) enum Cell {
    /// Text, cleaned.
    Text(String),
    /// A number of things.
    Count(u64),
    /// How many more things there may be.
    Margin(u64),
    /// Things per second.
    Rate(f64),
    /// Nanoseconds.
    Time(u64),
    /// 0 to 1.
    Share(f64),
    /// Half the width of an interval that a figure is in.
    Within(u64),
    /// The same of a time, ns.
    WithinTime(u64),
    /// Instead of a margin where too few were seen.
    TooFew,
    /// A time of day, ns since the epoch.
    Clock(u64),
    /// Not known.
    Absent,
}

impl Cell {
    /// Text from elsewhere.
    pub(in crate::view) fn text(text: &str) -> Self {
        Self::Text(units::clean(text).into_owned())
    }

    /// Half the width of an interval, unless it would rest on too few events; nothing where
    /// the figure is exact.
    pub(in crate::view) fn within(margin: u64, few: bool) -> Self {
        match margin {
            _ if few => Self::TooFew,
            0 => Self::Absent,
            n => Self::Within(n),
        }
    }

    /// The same of a time, ns.
    pub(in crate::view) fn within_time(margin_ns: u64, few: bool) -> Self {
        match margin_ns {
            _ if few => Self::TooFew,
            0 => Self::Absent,
            ns => Self::WithinTime(ns),
        }
    }

    /// Text that may be absent.
    pub(in crate::view) fn maybe(text: Option<&str>) -> Self {
        text.map_or(Self::Absent, Self::text)
    }

    /// `n` over the duration.
    pub(in crate::view) fn rate(n: u64, duration_ns: u64) -> Self {
        units::per_second(n, duration_ns).map_or(Self::Absent, Self::Rate)
    }

    /// Nanoseconds per second, over the duration.
    pub(in crate::view) fn time_rate(ns: u64, duration_ns: u64) -> Self {
        units::per_second(ns, duration_ns).map_or(Self::Absent, |r| Self::Time(r as u64))
    }

    /// As it is shown.
    pub(in crate::view) fn show(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Count(n) => units::count(*n),
            Self::Margin(0) | Self::Absent => String::new(),
            Self::Margin(n) => format!("+{}", units::count(*n)),
            Self::Rate(r) => units::rate(*r),
            Self::Time(ns) => units::time(*ns),
            Self::Share(of_one) => units::share(*of_one),
            Self::Within(n) => format!("±{}", units::count(*n)),
            Self::WithinTime(ns) => format!("±{}", units::time(*ns)),
            Self::TooFew => "too few".to_owned(),
            Self::Clock(unix_ns) => clock(*unix_ns),
        }
    }

    pub(super) fn figure(&self) -> Option<Figure> {
        Some(match self {
            Self::Text(text) => Figure::Text(text.clone()),
            Self::Count(n)
            | Self::Margin(n)
            | Self::Within(n)
            | Self::WithinTime(n)
            | Self::Time(n)
            | Self::Clock(n) => Figure::Number(*n as f64),
            Self::Rate(figure) | Self::Share(figure) => Figure::Number(*figure),
            Self::Absent | Self::TooFew => return None,
        })
    }

    /// Most first for figures, A to Z for text; what is absent comes last even
    /// when inverted.
    pub(super) fn order(&self, other: &Self, inverted: bool) -> Ordering {
        let order = match (self, other) {
            (Self::Absent, Self::Absent) | (Self::TooFew, Self::TooFew) => return Ordering::Equal,
            (Self::Absent, _) => return Ordering::Greater,
            (_, Self::Absent) => return Ordering::Less,
            (Self::TooFew, _) => return Ordering::Greater,
            (_, Self::TooFew) => return Ordering::Less,
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Count(a), Self::Count(b))
            | (Self::Margin(a), Self::Margin(b))
            | (Self::Within(a), Self::Within(b))
            | (Self::WithinTime(a), Self::WithinTime(b))
            | (Self::Clock(a), Self::Clock(b))
            | (Self::Time(a), Self::Time(b)) => b.cmp(a),
            (Self::Rate(a), Self::Rate(b)) | (Self::Share(a), Self::Share(b)) => b.total_cmp(a),
            _ => Ordering::Equal,
        };
        if inverted { order.reverse() } else { order }
    }
}

/// The time of day, UTC: `12:03:04`.
pub(in crate::view) fn clock(unix_ns: u64) -> String {
    let seconds = unix_ns / 1_000_000_000;
    format!("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_utc() {
        assert_eq!(clock(1_700_000_000_000_000_000), "22:13:20");
        assert_eq!(clock(0), "00:00:00");
    }
}
