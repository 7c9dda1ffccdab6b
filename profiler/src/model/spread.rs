//! How far a count may be off that was scaled from windows.
//!
//! In: counts and lengths of windows, one after another. Out: the variance of the scaled
//! count, and half the width of its 95% interval.
//!
//! Windows lie apart at random phases, so they are a stratified sample of the time, and
//! each is compared with its neighbours (von Neumann; Wolter, Introduction to Variance
//! Estimation, 8.2): what changes slowly is no chance, and what changes from window to
//! window is, whether operations come one by one or in bursts. The degrees of freedom
//! come from how alike the differences are (Satterthwaite): a few large ones tell less
//! than many equal ones.
//!
//! The edge of a long burst makes a difference wherever in its turn it lies, though a
//! window misses it by a sixth of its square on average: first differences (squared,
//! halved) tell three times as much, second ones (squared, by six) twice. So the variance
//! is twice the latter less the former, which is right for edges, and for what differs
//! from window to window as well, of which both tell the same.

use serde::{Deserialize, Serialize};

/// Fewer events than these in windows have no interval that could be trusted.
pub const FEW: u32 = 10;

/// What is known of a figure that was scaled from windows. Adds up over slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Events that it rests on, before scaling.
    pub seen: u32,
    /// Variance of the scaled figure.
    pub variance: f32,
    /// Degrees of freedom of that variance; 0 where nothing is known of it, and it is as
    /// large as can be.
    pub degrees: f32,
}

impl Spread {
    /// Of a count that is exact.
    fn exact(count: u64) -> Self {
        Self { seen: u32::try_from(count).unwrap_or(u32::MAX), ..Self::default() }
    }

    /// Adds an independent figure's. Degrees of freedom add up as Welch and Satterthwaite
    /// have it.
    pub(super) fn add(&mut self, other: &Self) {
        let [a, b] = [self.beside(other), other.beside(self)];
        let variance = a.0 + b.0;
        let part = |(variance, degrees): (f64, f64)| {
            if degrees > 0.0 { variance * variance / degrees } else { 0.0 }
        };
        let inverse = part(a) + part(b);
        *self = Self {
            seen: self.seen.saturating_add(other.seen),
            variance: narrow(variance),
            degrees: narrow(if inverse > 0.0 { variance * variance / inverse } else { 0.0 }),
        };
    }

    /// What is known of a part of the figure.
    pub(super) fn of_part(&self, share: f64) -> Self {
        Self {
            seen: (f64::from(self.seen) * share).round() as u32,
            variance: narrow(f64::from(self.variance) * share),
            degrees: self.degrees,
        }
    }

    /// Variance and degrees of freedom. Where nothing is known of this one, it is as
    /// restless as the other.
    fn beside(&self, other: &Self) -> (f64, f64) {
        let (mine, theirs) = (self.sane(), other.sane());
        if mine.1 > 0.0 || theirs.1 == 0.0 || other.seen == 0 {
            return mine;
        }
        (mine.0.min(theirs.0 * f64::from(self.seen) / f64::from(other.seen)), 0.0)
    }

    /// Variance and degrees of freedom, whatever a damaged recording has.
    fn sane(self) -> (f64, f64) {
        let variance = f64::from(self.variance);
        let degrees = f64::from(self.degrees);
        (if variance >= 0.0 { variance } else { 0.0 }, if degrees > 0.0 { degrees } else { 0.0 })
    }

    /// Half the width of the 95% interval of the figure `scaled`; at least 1, since 0 would
    /// mean that it is exact.
    pub(super) fn margin(&self, scaled: u64) -> u64 {
        let (variance, degrees) = self.sane();
        if variance == 0.0 {
            return 0;
        }
        let deviation = if self.seen < FEW {
            // Few events tell little of how they come: at least as if one by one.
            let each = scaled as f64 / f64::from(self.seen.max(1));
            variance.max(each * each * f64::from(self.seen + 1)).sqrt()
        } else {
            variance.sqrt()
        };
        (student(degrees) * deviation).ceil().max(1.0) as u64
    }

    /// Whether the figure `scaled` rests on too few events for an interval, or on too few
    /// windows: one that holds 0 as well tells nothing.
    pub(super) fn is_few(&self, scaled: u64) -> bool {
        self.variance > 0.0 && (self.seen < FEW || self.margin(scaled) >= scaled)
    }
}

fn square(value: f64) -> f64 {
    value * value
}

fn narrow(value: f64) -> f32 {
    value.min(f64::from(f32::MAX)) as f32
}

/// Adds what is known of another figure to what is known of this one, where the counts are
/// `mine` and `theirs` before they are added up, and `None` is exact.
pub(super) fn join(into: &mut Option<Spread>, mine: u64, other: Option<Spread>, theirs: u64) {
    if into.is_none() && other.is_none() {
        return;
    }
    let mut sum = into.unwrap_or_else(|| Spread::exact(mine));
    sum.add(&other.unwrap_or_else(|| Spread::exact(theirs)));
    *into = Some(sum);
}

/// 97.5% quantile of the normal distribution.
pub(super) const Z: f64 = 1.96;

/// 97.5% quantile of Student's distribution with so many degrees of freedom, at least 1.
pub(super) fn student(degrees: f64) -> f64 {
    const FIRST: [f64; 10] = [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23];
    // Within 1% of it beyond.
    let further = || Z + 2.7 / degrees.max(1.0);
    FIRST.get((degrees.max(1.0) as usize).saturating_sub(1)).copied().unwrap_or_else(further)
}

/// A window, and the two before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its length, ns.
    now_ns: f64,
    /// Lengths of the one before and of the one before that, ns; `None` where there is none.
    before_ns: [Option<f64>; 2],
    /// How many windows of the interval lie before it.
    index: u32,
}

impl Place {
    /// Whether it is the interval's first.
    pub(super) fn is_first(&self) -> bool {
        self.index == 0
    }
}

/// One figure, window by window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Its sum since the interval began.
    sum: u64,
    /// What fell into the last two windows, the newest first.
    last: [f32; 2],
    /// Whether that is known of windows of the interval before.
    follows: bool,
    /// Estimates of a window's variance from each pair of neighbours, and their squares.
    firsts: f64,
    squares: f64,
    /// Estimates of it from each three neighbours.
    seconds: f64,
}

impl Tally {
    /// Ends a window with the figure's sum since the interval began.
    #[inline]
    pub(super) fn window(&mut self, sum: u64, place: Place) {
        let now = sum.wrapping_sub(self.sum) as f64;
        let [last, earlier] = self.last.map(f64::from);
        self.last = [now as f32, last as f32];
        self.sum = sum;
        if now + last + earlier <= 0.0 {
            return;
        }
        let now_ns = place.now_ns;
        let Some(last_ns) = place.before_ns[0] else { return };
        // A row that ends with its interval is no longer here to be told of, so that each
        // that begins stands for one that ended.
        let times = |windows| if !self.follows && place.index < windows { 2.0 } else { 1.0 };
        // The difference of two rates, as a count in windows of their lengths: for equal
        // ones half the square of the counts' difference.
        let (last, now) = (last / last_ns, now / now_ns);
        let first = square(last - now) * (square(last_ns) + square(now_ns)) / 4.0;
        self.firsts += times(1) * first;
        self.squares += times(1) * first * first;
        let Some(earlier_ns) = place.before_ns[1] else { return };
        let squares = square(earlier_ns) + square(last_ns) + square(now_ns);
        let second = square(earlier / earlier_ns - 2.0 * last + now) * squares / 18.0;
        self.seconds += times(2) * second;
    }

    /// What fell into the last two windows, the newest first.
    pub(super) fn last(&self) -> [f32; 2] {
        self.last
    }

    /// Begins an interval after windows that had so much.
    pub(super) fn follow(&mut self, last: [f32; 2]) {
        *self = Self { last, follows: true, ..Self::default() };
    }

    /// What is known of the figure once it is scaled. `total` is the figure before that, of
    /// which a part may have come after the last window; `events` is how many events it is
    /// made of.
    pub(super) fn spread(&self, total: u64, events: u64, scale: &Scale) -> Spread {
        let beyond = scale.factor * (scale.factor - 1.0);
        if scale.pairs == 0 {
            // One window tells nothing of others: all in it may have come at once.
            let seen = u32::try_from(events).unwrap_or(u32::MAX);
            return Spread { seen, variance: narrow(beyond * square(total as f64)), degrees: 0.0 };
        }
        let mut spread = self.of_windows(events, scale);
        let rest = total.saturating_sub(self.sum);
        if rest > 0 {
            // And what was seen in no window may have, too.
            let variance = beyond * square(rest as f64);
            spread.add(&Spread { seen: 0, variance: narrow(variance), degrees: 1.0 });
        }
        spread
    }

    /// The same of what came in windows.
    fn of_windows(&self, events: u64, scale: &Scale) -> Spread {
        let seen = u32::try_from(events).unwrap_or(u32::MAX);
        // What is not in windows is that much less certain.
        let factor = scale.factor * scale.factor * (1.0 - 1.0 / scale.factor);
        let pairs = f64::from(scale.pairs);
        // Not even regular events are certain to less than one of them, which is as much as
        // each has of the figure.
        let each = self.sum as f64 / events.max(1) as f64;
        let least = if events > 0 { 0.5 * square(each) } else { 0.0 };
        let first = self.firsts / pairs;
        let mut variance = first;
        if scale.triples > 0 {
            let second = self.seconds / f64::from(scale.triples);
            // By chance it may be less than were there nothing but edges.
            variance = (2.0 * second - first).max(first / 3.0);
        }
        let variances = (variance * f64::from(scale.windows)).max(least);
        let degrees = if self.squares > 0.0 {
            2.0 * self.firsts * self.firsts / self.squares * pairs / (pairs + 2.0)
        } else {
            1.0
        };
        Spread { seen, variance: narrow(factor * variances), degrees: narrow(degrees) }
    }
}

/// What an interval's figures are multiplied by, and what is known of its windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    /// The time that the interval stands for over the time in windows, at least 1.
    pub(super) factor: f64,
    pub(super) windows: u32,
    /// Windows that have one before them.
    pub(super) pairs: u32,
    /// Windows that have two before them.
    pub(super) triples: u32,
}

impl Scale {
    /// A factor of which nothing else is known.
    pub(super) fn by(factor: f64) -> Self {
        Self { factor, windows: 0, pairs: 0, triples: 0 }
    }

    /// The figure scaled down, to whole events below.
    pub(super) fn down(&self, figure: u64) -> u64 {
        (figure as f64 * self.factor) as u64
    }

    /// The figure scaled, to whole events.
    pub(super) fn of(&self, figure: u64) -> u64 {
        (figure as f64 * self.factor).round() as u64
    }
}

/// Scales counts such that their sum is the scaled sum: what is rounded off one is added to
/// the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounding {
    factor: f64,
    before: u64,
    scaled: u64,
}

impl Rounding {
    pub(super) fn new(scale: &Scale) -> Self {
        Self { factor: scale.factor, before: 0, scaled: 0 }
    }

    /// The next count, scaled.
    pub(super) fn next(&mut self, count: u64) -> u64 {
        self.before = self.before.saturating_add(count);
        let scaled = (self.before as f64 * self.factor).round() as u64;
        scaled.saturating_sub(std::mem::replace(&mut self.scaled, scaled))
    }
}

/// The windows of the interval that goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Windows {
    /// How long the intervals before were that had none, ns.
    pending_ns: u64,
    observed_ns: u64,
    count: u32,
    pairs: u32,
    triples: u32,
    /// Lengths of the last window and of the one before it, ns.
    before_ns: [Option<f64>; 2],
}

impl Windows {
    /// Ends a window.
    pub(super) fn end(&mut self, observed_ns: u64) -> Place {
        let now_ns = observed_ns.max(1) as f64;
        let before_ns = self.before_ns;
        self.before_ns = [Some(now_ns), before_ns[0]];
        let place = Place { now_ns, before_ns, index: self.count };
        self.observed_ns = self.observed_ns.saturating_add(observed_ns.max(1));
        self.count = self.count.saturating_add(1);
        self.pairs += u32::from(before_ns[0].is_some());
        self.triples += u32::from(before_ns[1].is_some());
        place
    }

    /// How many there were in this interval.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Ends the interval.
    pub(super) fn close(&mut self, duration_ns: u64, observed_ns: u64) -> Told {
        if self.count > 0 {
            let time_ns = duration_ns.saturating_add(self.pending_ns) as f64;
            let factor = (time_ns / self.observed_ns as f64).max(1.0);
            let scale =
                Scale { factor, windows: self.count, pairs: self.pairs, triples: self.triples };
            *self = Self { before_ns: self.before_ns, ..Self::default() };
            return Told::Scaled(scale);
        }
        if observed_ns < duration_ns {
            self.pending_ns = self.pending_ns.saturating_add(duration_ns);
            return Told::Later;
        }
        *self = Self::default();
        Told::Exact
    }
}

/// How an interval is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Told {
    /// As it was counted.
    Exact,
    /// Scaled from windows.
    Scaled(Scale),
    /// With the next that has a window.
    Later,
}

impl Told {
    /// Where it is scaled.
    pub(super) fn scale(&self) -> Option<&Scale> {
        match self {
            Self::Scaled(scale) => Some(scale),
            Self::Exact | Self::Later => None,
        }
    }
}
