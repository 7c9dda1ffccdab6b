//! How big a map was over time.
//!
//! In: one step for each interval. Out: at most [`MOST`] steps over the whole run: where
//! there would be more, neighbours become one.

use super::Ops;

/// Most steps of one map.
const MOST: usize = 24;

/// A part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Its end, ns since the run began.
    pub(crate) at_ns: u64,
    /// Elements then.
    pub(crate) len: u64,
    /// Operations in it.
    pub(crate) ops: Ops,
}

/// The steps of one map, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    steps: Vec<Size>,
    /// Intervals in each step but the last.
    stride: u64,
    /// Intervals in the last step.
    in_last: u64,
}

impl Sizes {
    /// Takes in the next interval.
    pub(crate) fn push(&mut self, size: Size) {
        if self.in_last < self.stride.max(1)
            && self.in_last > 0
            && let Some(last) = self.steps.last_mut()
        {
            *last = joined(last, &size);
            self.in_last += 1;
            return;
        }
        if self.steps.len() == MOST {
            self.steps = self
                .steps
                .chunks(2)
                .map(|pair| pair[1..].iter().fold(pair[0], |one, next| joined(&one, next)))
                .collect();
            self.stride = 2 * self.stride.max(1);
        }
        self.steps.push(size);
        self.in_last = 1;
    }

    /// The steps, oldest first.
    pub(crate) fn steps(&self) -> &[Size] {
        &self.steps
    }
}

fn joined(one: &Size, next: &Size) -> Size {
    let mut ops = one.ops;
    ops.add(&next.ops);
    Size { ops, ..*next }
}

#[cfg(test)]
mod tests {
    use probe_ebpf::Op;
    use proptest::prelude::*;

    use super::*;

    fn pushed(count: u64) -> Sizes {
        let mut sizes = Sizes::default();
        for n in 1..=count {
            let mut ops = Ops::default();
            ops.bump(Op::Insert);
            sizes.push(Size { at_ns: n, len: 10 * n, ops });
        }
        sizes
    }

    #[test]
    fn a_short_run_is_told_step_by_step() {
        let sizes = pushed(3);
        let steps: Vec<_> = sizes.steps().iter().map(|step| (step.at_ns, step.len)).collect();
        assert_eq!(steps, [(1, 10), (2, 20), (3, 30)]);
    }

    proptest! {
        #[test]
        fn a_long_run_is_told_whole_in_few_steps(count in 1_u64..5000) {
            let sizes = pushed(count);
            let steps = sizes.steps();
            prop_assert!(steps.len() <= MOST && steps.len() as u64 >= count.min(MOST as u64 / 2));
            prop_assert!(steps.is_sorted_by_key(|step| step.at_ns));
            prop_assert_eq!(steps.last().map(|step| (step.at_ns, step.len)), Some((count, 10 * count)));
            let inserts: u64 = steps.iter().map(|step| step.ops.get(Op::Insert)).sum();
            prop_assert_eq!(inserts, count);
        }
    }
}
