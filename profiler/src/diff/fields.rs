//! The figures that are compared, as data: what they are called, of what they are and how
//! they are made.

use super::subjects::{Kind, Quantity};

/// How a figure is made of a quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum How {
    /// How many in a second.
    Rate,
    /// How long in all in a second, ns.
    Sum,
    /// What so many of them (0 to 1) are within, ns.
    Percentile(f64),
    /// The longest, ns.
    Max,
    /// How many in all.
    Count,
    /// Of what its map has, 0 to 1; of overhead, of the target's CPU time.
    Share,
}

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    PerSecond,
    /// ns in a second: a thousand million of them is one task all the time.
    NsPerSecond,
    Ns,
    Count,
    /// 0 to 1.
    Share,
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "per_second",
            Self::NsPerSecond => "ns_per_second",
            Self::Ns => "ns",
            Self::Count => "count",
            Self::Share => "share",
        }
    }
}

/// One figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) quantity: Quantity,
    pub(super) how: How,
}

impl Field {
    pub(super) fn unit(&self) -> Unit {
        match self.how {
            How::Rate => Unit::PerSecond,
            How::Sum => Unit::NsPerSecond,
            How::Percentile(_) | How::Max => Unit::Ns,
            How::Count => Unit::Count,
            How::Share => Unit::Share,
        }
    }

    /// Whether a verdict is made of it: the others say the same or have no margin.
    pub(super) fn is_judged(&self) -> bool {
        !matches!(self.how, How::Max | How::Count)
    }
}

macro_rules! fields {
    ($($name:literal $kind:ident $quantity:ident $how:expr;)*) => {
        /// Every figure, in the order in which they are told.
        pub(super) const FIELDS: &[Field] = &[$(Field {
            name: $name, kind: Kind::$kind, quantity: Quantity::$quantity, how: $how,
        }),*];
    };
}

fields! {
    "run.ops.rate"      Run Ops How::Rate;
    "run.wait.rate"     Run Wait How::Rate;
    "run.wait.sum"      Run Wait How::Sum;
    "run.events.rate"   Run Events How::Rate;
    "run.events.lost"   Run Lost How::Count;
    "run.overhead"      Run Overhead How::Share;
    "lock.wait.rate"    Lock Wait How::Rate;
    "lock.wait.sum"     Lock Wait How::Sum;
    "lock.wait.p50"     Lock Wait How::Percentile(0.5);
    "lock.wait.p90"     Lock Wait How::Percentile(0.9);
    "lock.wait.p99"     Lock Wait How::Percentile(0.99);
    "lock.wait.p999"    Lock Wait How::Percentile(0.999);
    "lock.wait.max"     Lock Wait How::Max;
    "lock.wait.count"   Lock Wait How::Count;
    "lock.hold.rate"    Lock Hold How::Rate;
    "lock.hold.sum"     Lock Hold How::Sum;
    "lock.hold.p50"     Lock Hold How::Percentile(0.5);
    "lock.hold.p90"     Lock Hold How::Percentile(0.9);
    "lock.hold.p99"     Lock Hold How::Percentile(0.99);
    "lock.hold.p999"    Lock Hold How::Percentile(0.999);
    "lock.hold.max"     Lock Hold How::Max;
    "lock.hold.count"   Lock Hold How::Count;
    "waiter.wait.rate"  Waiter Wait How::Rate;
    "waiter.wait.sum"   Waiter Wait How::Sum;
    "holder.blame.rate" Holder Blame How::Rate;
    "holder.blame.sum"  Holder Blame How::Sum;
    "pair.wait.rate"    Pair Wait How::Rate;
    "pair.wait.sum"     Pair Wait How::Sum;
    "map.ops.rate"      Map Ops How::Rate;
    "map.ops.count"     Map Ops How::Count;
    "key.ops.rate"      Key Ops How::Rate;
    "key.ops.count"     Key Ops How::Count;
    "key.share"         Key Ops How::Share;
    "key.wait.rate"     Key Wait How::Rate;
    "key.wait.sum"      Key Wait How::Sum;
    "key.wait.p50"      Key Wait How::Percentile(0.5);
    "key.wait.p90"      Key Wait How::Percentile(0.9);
    "key.wait.p99"      Key Wait How::Percentile(0.99);
    "key.wait.p999"     Key Wait How::Percentile(0.999);
    "key.wait.max"      Key Wait How::Max;
    "key.wait.count"    Key Wait How::Count;
    "key.blame.rate"    Key Blame How::Rate;
    "key.blame.sum"     Key Blame How::Sum;
    "key.blame.p50"     Key Blame How::Percentile(0.5);
    "key.blame.p90"     Key Blame How::Percentile(0.9);
    "key.blame.p99"     Key Blame How::Percentile(0.99);
    "key.blame.p999"    Key Blame How::Percentile(0.999);
    "key.blame.max"     Key Blame How::Max;
    "key.blame.count"   Key Blame How::Count;
    "site.ops.rate"     Site Ops How::Rate;
}

/// The figure of this name.
pub(super) fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

/// Those of a kind.
pub(super) fn of(kind: Kind) -> impl Iterator<Item = &'static Field> {
    FIELDS.iter().filter(move |field| field.kind == kind)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_begin_with_their_kind() {
        let names: BTreeSet<&str> = FIELDS.iter().map(|field| field.name).collect();
        assert_eq!(names.len(), FIELDS.len());
        for field in FIELDS {
            let kind = format!("{:?}.", field.kind).to_lowercase();
            assert!(field.name.starts_with(&kind), "{}", field.name);
        }
    }
}
