//! What a function does while it holds a lock.
//!
//! In: its bytes, where it releases the lock, and what its calls and atomic instructions do
//! to locks. Out: its calls, and which of them are made between the taking of that lock and
//! its release. Goes back from the release over every way that leads there, up to the
//! taking. What is taken and released in between is another lock's.

use std::collections::{HashMap, HashSet, VecDeque};

use super::x86_64::{Flow, Step, decode};

/// Locks taken and released on the way that are followed at once.
const MOST_NESTED: i8 = 3;
/// Instructions between an atomic one and the call that does the rest of its work.
const MOST_BETWEEN: usize = 32;
/// Longest function that is looked at, in bytes.
const FUNCTION_LIMIT: usize = 1 << 18;

/// What an instruction does to a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It takes one.
    Take,
    /// It releases one.
    Release,
    /// It does the rest of a taking that began with an atomic instruction.
    EndTake,
    /// It does the rest of a release that began with one.
    EndRelease,
    /// Nothing.
    None,
}

/// Which instruction is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// An atomic one, which ends at this address.
    Atomic(u64),
    /// A call of the function at this address.
    Call(u64),
}

/// A call that a function makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Where it comes back to.
    pub(crate) returns_to: u64,
    /// What it calls; unknown where that is computed.
    pub(crate) target: Option<u64>,
    /// It is made while the lock is held.
    pub(crate) is_held: bool,
}

/// The calls of the function with these bytes at `start`; none of them is known to be made
/// while a lock is held.
pub(crate) fn calls_of(bytes: &[u8], start: u64) -> Vec<Call> {
    let bytes = &bytes[..bytes.len().min(FUNCTION_LIMIT)];
    decode(bytes, start).filter_map(|step| call(&step, false)).collect()
}

/// The calls of a function that comes back to `release` from the call in which a lock is
/// released. `None` where it does not take the lock itself.
pub(crate) fn while_held(
    bytes: &[u8],
    start: u64,
    release: u64,
    effect: impl FnMut(Place) -> Effect,
) -> Option<Vec<Call>> {
    let steps: Vec<Step> = decode(&bytes[..bytes.len().min(FUNCTION_LIMIT)], start).collect();
    let before = ways_to(&steps);
    let from = steps.iter().position(|it| it.address + it.len == release && is_call(it))?;
    let effects = effects(&steps, &before, effect);
    // Locks that were released between here and where the way is, beside the one that is
    // asked about; -1 before that one's own release.
    let released = if effects[from] == Effect::EndRelease { -1 } else { 0 };
    let mut seen = HashSet::from([(from, released)]);
    let mut to_do = vec![(from, released)];
    let (mut is_taken, mut held) = (false, HashSet::new());
    while let Some((at, released)) = to_do.pop() {
        for &step in &before[at] {
            let after = match effects[step] {
                Effect::Take if released == 0 => {
                    is_taken = true;
                    continue;
                }
                Effect::Take => released - 1,
                Effect::Release => released + 1,
                Effect::EndTake | Effect::EndRelease | Effect::None => released,
            };
            if !(-1..=MOST_NESTED).contains(&after) || !seen.insert((step, after)) {
                continue;
            }
            if after >= 0 && effects[step] == Effect::None {
                held.insert(step);
            }
            to_do.push((step, after));
        }
    }
    let calls = steps.iter().enumerate();
    is_taken.then(|| calls.filter_map(|(at, step)| call(step, held.contains(&at))).collect())
}

/// What each instruction does to a lock. Which function an atomic one was inlined from, Go's
/// tables do not always say; but the rest of what it begins is a call.
fn effects(
    steps: &[Step],
    before: &[Vec<usize>],
    mut effect: impl FnMut(Place) -> Effect,
) -> Vec<Effect> {
    let of = |step: &Step| match step.flow {
        Flow::Call(Some(target)) => effect(Place::Call(target)),
        _ if step.is_atomic => effect(Place::Atomic(step.address + step.len)),
        _ => Effect::None,
    };
    let mut effects: Vec<Effect> = steps.iter().map(of).collect();
    for at in 0..steps.len() {
        let begun = match effects[at] {
            Effect::EndTake => Effect::Take,
            Effect::EndRelease => Effect::Release,
            _ => continue,
        };
        if let Some(atomic) = atomic_before(steps, before, at) {
            effects[atomic] = begun;
        }
    }
    effects
}

/// The last atomic instruction on a way to this one, if it is near.
fn atomic_before(steps: &[Step], before: &[Vec<usize>], at: usize) -> Option<usize> {
    let (mut seen, mut to_do) = (HashSet::from([at]), VecDeque::from([at]));
    while let Some(at) = to_do.pop_front() {
        for &step in &before[at] {
            if steps[step].is_atomic {
                return Some(step);
            }
            if seen.len() < MOST_BETWEEN && !is_call(&steps[step]) && seen.insert(step) {
                to_do.push_back(step);
            }
        }
    }
    None
}

fn is_call(step: &Step) -> bool {
    matches!(step.flow, Flow::Call(_))
}

fn call(step: &Step, is_held: bool) -> Option<Call> {
    let Flow::Call(target) = step.flow else { return None };
    Some(Call { returns_to: step.address + step.len, target, is_held })
}

/// For each instruction, those from which control comes to it. Where a jump goes to that is
/// computed, is not known: to each instruction that nothing else leads to.
fn ways_to(steps: &[Step]) -> Vec<Vec<usize>> {
    let places: HashMap<u64, usize> =
        steps.iter().enumerate().map(|(at, step)| (step.address, at)).collect();
    let mut before = vec![Vec::new(); steps.len()];
    let mut computed = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let (target, goes_on) = match step.flow {
            Flow::Next | Flow::Call(_) => (None, true),
            Flow::Branch(target) => (Some(target), true),
            Flow::Jump(Some(target)) => (Some(target), false),
            Flow::Jump(None) => {
                computed.push(at);
                (None, false)
            }
            Flow::Away => (None, false),
        };
        let target = target.and_then(|target| places.get(&target)).copied();
        let next = Some(at + 1).filter(|next| goes_on && *next < steps.len());
        for to in target.into_iter().chain(next) {
            before[to].push(at);
        }
    }
    for ways in before.iter_mut().skip(1).filter(|ways| ways.is_empty()) {
        ways.clone_from(&computed);
    }
    before
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: u64 = 0x1000;

    /// What the made-up functions are made of.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Code {
        /// `lock` of one of the locks, inlined.
        Take,
        /// Its `unlock`, inlined.
        Release,
        /// The slow path of that, a call.
        EndRelease,
        /// `lock xadd` of which nobody says what it is.
        Atomic,
        /// The slow path of a taking.
        EndTake,
        /// A call of some function.
        Call(u64),
        /// A conditional jump so many pieces on, or back.
        Branch(i64),
        /// A jump so many pieces on, or back.
        Jump(i64),
        Return,
    }
    use Code::{Atomic, Branch, Call as To, EndRelease, EndTake, Jump, Release, Return, Take};

    const END_RELEASE: u64 = 0x9000;
    const TAKES: u64 = 0x9100;
    const END_TAKE: u64 = 0x9200;
    /// Each piece is padded to this.
    const PIECE: u64 = 8;

    fn assemble(code: &[Code]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, piece) in code.iter().enumerate() {
            let at = START + index as u64 * PIECE;
            let relative = |to: u64, len: u64| (to.wrapping_sub(at + len) as u32).to_le_bytes();
            let piece_at = |by: i64| at.wrapping_add_signed(by * PIECE as i64);
            let raw: Vec<u8> = match *piece {
                // lock xadd [rax], ecx; lock xadd [rbx], ecx
                Take => vec![0xf0, 0x0f, 0xc1, 0x08],
                Release | Atomic => vec![0xf0, 0x0f, 0xc1, 0x0b],
                EndTake => [&[0xe8], &relative(END_TAKE, 5)[..]].concat(),
                EndRelease => [&[0xe8], &relative(END_RELEASE, 5)[..]].concat(),
                To(target) => [&[0xe8], &relative(target, 5)[..]].concat(),
                Branch(by) => [&[0x0f, 0x84], &relative(piece_at(by), 6)[..]].concat(),
                Jump(by) => [&[0xe9], &relative(piece_at(by), 5)[..]].concat(),
                Return => vec![0xc3],
            };
            bytes.extend(&raw);
            bytes.resize((index + 1) * PIECE as usize, 0x90);
        }
        bytes
    }

    /// Which pieces are calls made while the lock is held that is released in the piece
    /// `release`; `None` where it is not taken here.
    fn held(code: &[Code], release: usize) -> Option<Vec<usize>> {
        let place = |at: u64| ((at - START) / PIECE) as usize;
        let effect = |it| match it {
            Place::Call(END_RELEASE) => Effect::EndRelease,
            Place::Call(END_TAKE) => Effect::EndTake,
            Place::Call(TAKES) => Effect::Take,
            Place::Atomic(end) => match code[place(end - 1)] {
                Take => Effect::Take,
                Release => Effect::Release,
                _ => Effect::None,
            },
            Place::Call(_) => Effect::None,
        };
        let returns_to = START + release as u64 * PIECE + 5;
        let calls = while_held(&assemble(code), START, returns_to, effect)?;
        let held = calls.iter().filter(|call| call.is_held);
        Some(held.map(|call| place(call.returns_to - 1)).collect())
    }

    #[test]
    fn between_the_lock_and_its_release() {
        let code = [To(1), Take, To(2), To(3), Release, Branch(2), Return, EndRelease, Return];
        assert_eq!(held(&code, 7), Some(vec![2, 3]));
        // Deferred, or by a function that is called: nothing says so in the code.
        assert_eq!(held(&[To(1), Take, To(2), To(3), Return], 3), Some(vec![2]));
        assert_eq!(held(&[To(1), To(TAKES), To(2), To(3), Return], 3), Some(vec![2]));
        // It was taken elsewhere.
        assert_eq!(held(&[To(1), Release, EndRelease, Return], 2), None);
        assert_eq!(held(&[], 2), None);
        assert_eq!(held(&[Take, Jump(2), To(1), Return], 2), None, "no way leads there");
    }

    #[test]
    fn what_an_atomic_instruction_begins_is_told_by_the_call_that_ends_it() {
        // As Go 1.27 has it: the call in line, and jumped over.
        let code = [To(1), Atomic, Branch(2), EndTake, To(2), Atomic, Branch(2), EndRelease];
        assert_eq!(held(&code, 7), Some(vec![4]));
        // And far away, behind the end.
        let code =
            [To(1), Atomic, Branch(4), To(2), Atomic, Jump(3), EndTake, Jump(-4), EndRelease];
        assert_eq!(held(&code, 8), Some(vec![3]));
        // Another one, in between, is none of a lock's.
        let code = [Atomic, EndTake, Atomic, To(2), Atomic, EndRelease];
        assert_eq!(held(&code, 5), Some(vec![3]));
    }

    #[test]
    fn another_lock_is_told_apart() {
        let one_after_another =
            [Take, To(1), Release, EndRelease, To(2), Take, To(3), Release, EndRelease];
        assert_eq!(held(&one_after_another, 8), Some(vec![6]));
        assert_eq!(held(&one_after_another, 3), Some(vec![1]));
        let inside = [Take, To(1), Take, To(2), Release, EndRelease, To(3), Release, EndRelease];
        assert_eq!(held(&inside, 8), Some(vec![1, 3, 6]));
        assert_eq!(held(&inside, 5), Some(vec![3]));
    }

    #[test]
    fn in_a_loop_the_round_before_does_not_count() {
        let code = [To(1), Take, To(2), Release, EndRelease, To(3), Branch(-6), Return];
        assert_eq!(held(&code, 4), Some(vec![2]));
        let walk = [To(1), Take, To(2), To(3), Branch(-2), Release, EndRelease, Return];
        assert_eq!(held(&walk, 6), Some(vec![2, 3]));
    }

    #[test]
    fn calls_without_a_lock() {
        let calls = calls_of(&assemble(&[To(0x2000), Take, To(0x3000), Return]), START);
        let targets: Vec<_> = calls.iter().map(|call| (call.target, call.is_held)).collect();
        assert_eq!(targets, [(Some(0x2000), false), (Some(0x3000), false)]);
    }

    /// Straight-line code as a person would read it.
    fn read_through(code: &[Code], release: usize) -> Option<Vec<usize>> {
        let mut depth = 0;
        let mut held = Vec::new();
        for at in (0..release).rev() {
            match code[at] {
                Take if depth == 0 => {
                    held.reverse();
                    return Some(held);
                }
                Take => depth -= 1,
                Release => depth += 1,
                To(_) => held.push(at),
                _ => {}
            }
            if depth > MOST_NESTED {
                return None;
            }
        }
        None
    }

    proptest! {
        #[test]
        fn straight_code_reads_as_it_runs(
            pieces in prop::collection::vec(0_u8..4, 0..40),
        ) {
            let mut code: Vec<Code> = pieces
                .iter()
                .map(|piece| [Take, Release, To(0x2000), To(0x3000)][usize::from(*piece)])
                .collect();
            let release = code.len();
            code.extend([To(0x4000), Return]);
            prop_assert_eq!(held(&code, release), read_through(&code, release));
        }

        #[test]
        fn any_code_is_gone_through(
            pieces in prop::collection::vec((0_u8..6, -20_i64..20), 1..40),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let code: Vec<Code> = pieces
                .iter()
                .map(|&(piece, by)| {
                    [Take, Release, To(0x2000), Branch(by), Jump(by), EndRelease]
                        [usize::from(piece)]
                })
                .collect();
            for release in 0..code.len() {
                let found = held(&code, release).unwrap_or_default();
                prop_assert!(found.iter().all(|&at| matches!(code[at], To(_) | EndRelease)));
            }
            let _ = while_held(&bytes, START, START + bytes.len() as u64, |_| Effect::Take);
        }
    }
}
