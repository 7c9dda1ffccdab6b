//! Whether an operation was made while the lock was held that its task now releases.
//!
//! In: the frames that live when the lock is released, and the registers that the task's
//! newest operation found. Out: whether the code says that the lock was held there. Nothing
//! is probed where a lock is taken, so the order of the two is told by the code: the
//! operation's frame lives still, and from its place in there the release is reached
//! without the lock being taken anew.

use std::sync::Arc;

use probe_ebpf::{CALLER_NOT_SAMPLED, LiveFrame, MadeAt, OpHead};

use super::names::{Names, Resolver, is_same_function};
use super::{HashMap, SiteInfo};
use crate::catalog::{self, LockCall};
use crate::placement::{Call, CodePlace, Effect, calls_of, while_held};

/// Functions and releases that are remembered; beyond that the memory starts over.
const MOST: usize = 1 << 10;
/// Functions of one that are looked into for the operation.
const MOST_CALLEES: usize = 64;

/// The newest operation of a task that releases a lock.
pub(super) struct Made<'a> {
    pub(super) head: OpHead,
    /// Where it was made.
    pub(super) at: MadeAt,
    /// Its site.
    pub(super) site: &'a SiteInfo,
}

/// What is known of the code.
#[derive(Default)]
pub(super) struct Holding {
    /// By the address that a function goes on at after the release, its calls; `None`
    /// where it did not take the lock.
    held: HashMap<u64, Option<Arc<[Call]>>>,
    /// By address of the function.
    calls: HashMap<u64, Arc<[Call]>>,
}

impl Holding {
    /// Whether the operation was made while the lock was held; `live` are the innermost
    /// frames of the release.
    ///
    /// Frames that are equal in both ends are the same one, or that of a function which has
    /// returned since; then the call's address, which some operations tell, is another's.
    pub(super) fn covers<R: Resolver>(
        &mut self,
        names: &mut Names<R>,
        live: &[LiveFrame],
        made: &Made<'_>,
    ) -> bool {
        let mut is_below = false;
        for pair in live.windows(2) {
            let [inner, frame] = pair else { continue };
            let function = names.function(frame.pc);
            if catalog::is_runtime(&function) {
                continue;
            }
            let is_here = made.at.pointer == frame.pointer
                && made.at.stack == inner.pointer.wrapping_add(8)
                && made.is_called_from(names, frame.pc);
            let Some(calls) = self.while_held(names, frame.pc) else {
                // It was called by who took the lock, and is about to release it.
                is_below |= is_here;
                continue;
            };
            if catalog::is_package_init(&function) {
                return false;
            }
            let is_called = made.at.pointer == inner.pointer && made.at.stack < inner.pointer;
            return is_below
                || (is_here && made.is_held_in(names, &calls))
                || (is_called && self.is_held_below(names, &calls, made));
        }
        false
    }

    /// Whether a function that made the operation was called under the lock only.
    fn is_held_below<R: Resolver>(
        &mut self,
        names: &mut Names<R>,
        calls: &[Call],
        made: &Made<'_>,
    ) -> bool {
        if let Some(caller) = made.caller() {
            // Through a function of the map's own that merely calls another.
            if let Some(call) = calls.iter().find(|call| call.returns_to == caller) {
                return call.is_held;
            }
            let function = names.function(caller);
            let is_own = !catalog::is_runtime(&function) && !catalog::is_package_init(&function);
            let Some((start, _)) = is_own.then(|| names.resolver.code(caller)).flatten() else {
                return false;
            };
            return all_held(calls.iter().filter(|call| call.target == Some(start)));
        }
        let mut targets: Vec<u64> = calls.iter().filter_map(|call| call.target).collect();
        targets.sort_unstable();
        targets.dedup();
        if targets.len() > MOST_CALLEES {
            return false;
        }
        targets.retain(|&target| {
            let function = names.function(target + 1);
            let may_be = catalog::is_forwarding(&function) || !catalog::is_runtime(&function);
            may_be && self.calls(names, target).iter().any(|call| made.is_called_by(names, call))
        });
        all_held(calls.iter().filter(|call| call.target.is_some_and(|it| targets.contains(&it))))
    }

    fn while_held<R: Resolver>(
        &mut self,
        names: &mut Names<R>,
        release: u64,
    ) -> Option<Arc<[Call]>> {
        if self.held.len() >= MOST {
            self.held.clear();
        }
        let find = || {
            let (start, bytes) = names.resolver.code(release)?;
            let calls = while_held(&bytes, start, release, |place| effect(names, place))?;
            Some(calls.into())
        };
        self.held.entry(release).or_insert_with(find).clone()
    }

    fn calls<R: Resolver>(&mut self, names: &mut Names<R>, function: u64) -> Arc<[Call]> {
        if self.calls.len() >= MOST {
            self.calls.clear();
        }
        let find = || {
            let code = names.resolver.code(function + 1);
            code.map_or_else(Arc::default, |(start, bytes)| calls_of(&bytes, start).into())
        };
        self.calls.entry(function).or_insert_with(find).clone()
    }
}

impl Made<'_> {
    /// The address that its call goes on at, where it was read.
    fn caller(&self) -> Option<u64> {
        Some(self.head.caller).filter(|caller| ![0, CALLER_NOT_SAMPLED].contains(caller))
    }

    /// Whether it may come from the function that this address is in.
    fn is_called_from<R: Resolver>(&self, names: &mut Names<R>, pc: u64) -> bool {
        self.caller().is_none_or(|caller| names.same_function(caller, pc))
    }

    /// Whether this call is one of the map's function.
    fn is_called_by<R: Resolver>(&self, names: &mut Names<R>, call: &Call) -> bool {
        call.target.is_some_and(|target| {
            is_same_function(&names.function(target + 1), &self.site.function)
        })
    }

    /// Whether its call is made under the lock; where it is not known, all that may be it.
    fn is_held_in<R: Resolver>(&self, names: &mut Names<R>, calls: &[Call]) -> bool {
        match self.caller() {
            Some(caller) => calls.iter().any(|call| call.returns_to == caller && call.is_held),
            None => all_held(calls.iter().filter(|call| self.is_called_by(names, call))),
        }
    }
}

/// Whether there are some, and all of them are made under the lock.
fn all_held<'a>(calls: impl Iterator<Item = &'a Call>) -> bool {
    let mut calls = calls.peekable();
    calls.peek().is_some() && calls.all(|call| call.is_held)
}

/// What an instruction does to a lock, by the functions that it was inlined from or calls.
fn effect<R: Resolver>(names: &mut Names<R>, place: CodePlace) -> Effect {
    let of = |name: &str| match catalog::lock_call(name) {
        Some(LockCall::Take) => Effect::Take,
        Some(LockCall::Release) => Effect::Release,
        Some(LockCall::EndTake) => Effect::EndTake,
        Some(LockCall::EndRelease) => Effect::EndRelease,
        None => Effect::None,
    };
    match place {
        CodePlace::Call(target) => of(&names.function(target.wrapping_add(1))),
        CodePlace::Atomic(end) => {
            let frames = names.resolver.frames(end);
            let inlined = &frames[..frames.len().saturating_sub(1)];
            let effects = inlined.iter().map(|frame| of(&frame.function));
            effects.into_iter().find(|effect| *effect != Effect::None).unwrap_or(Effect::None)
        }
    }
}
