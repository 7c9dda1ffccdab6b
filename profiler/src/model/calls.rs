//! Calls of timed lock functions, most of which find the lock free.
//!
//! In: counts by function and interval. Out: their sums.

use probe_ebpf::Call;
use serde::{Deserialize, Serialize};

/// Functions told apart; of further ones only the waits are told.
const MOST_FUNCTIONS: usize = 512;

/// Calls of one function while they were told, which is not scaled to the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallSlice {
    /// The function.
    pub function: String,
    /// By [`Call`].
    pub counts: [u64; Call::ALL.len()],
    /// Whether the kernel tells that a thread slept.
    pub sees_sleep: bool,
    /// What a call in which nobody slept had to last to count as a wait, beside its probes,
    /// ns; `None`: such a call is none.
    pub spin_ns: Option<u32>,
}

impl CallSlice {
    /// Calls of one kind.
    pub fn get(&self, call: Call) -> u64 {
        self.counts[call as usize]
    }

    /// All of them.
    pub fn calls(&self) -> u64 {
        self.counts.iter().fold(0, |sum, &count| sum.saturating_add(count))
    }

    /// Those that waited.
    pub fn waits(&self) -> u64 {
        let waits = Call::ALL.into_iter().filter(|call| call.is_wait());
        waits.fold(0, |sum, call| sum.saturating_add(self.get(call)))
    }
}

/// Adds the next interval's calls, or another process'.
pub(super) fn add_calls(sum: &mut Vec<CallSlice>, more: &[CallSlice]) {
    for calls in more {
        if let Some(known) = sum.iter_mut().find(|it| it.function == calls.function) {
            for (mine, theirs) in known.counts.iter_mut().zip(calls.counts) {
                *mine = mine.saturating_add(theirs);
            }
            known.sees_sleep &= calls.sees_sleep;
            known.spin_ns = known.spin_ns.max(calls.spin_ns);
        } else if sum.len() < MOST_FUNCTIONS {
            sum.push(calls.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_add_up_by_function() {
        let calls = |function: &str, counts, spin_ns| CallSlice {
            function: function.to_owned(),
            counts,
            sees_sleep: true,
            spin_ns,
        };
        let mut sum = vec![calls("a", [1, 2, 3, 4], None)];
        add_calls(&mut sum, &[calls("b", [5, 0, 0, 0], None), calls("a", [1, 1, 1, 1], Some(9))]);
        assert_eq!(sum, [calls("a", [2, 3, 4, 5], Some(9)), calls("b", [5, 0, 0, 0], None)]);
        assert_eq!((sum[0].calls(), sum[0].waits(), sum[1].waits()), (14, 7, 0));
        let many: Vec<_> = (0..600).map(|at| calls(&at.to_string(), [1; 4], None)).collect();
        add_calls(&mut sum, &many);
        assert_eq!(sum.len(), MOST_FUNCTIONS);
    }
}
