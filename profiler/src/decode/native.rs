//! Stacks and locks of native code.
//!
//! In: stacks as they were found, by frame pointers that most native code does not keep. Out:
//! as much of them as can be a stack, and what people call a lock.

use super::SiteInfo;
use super::names::{Names, Resolver};
use super::records::Stack;
use crate::{catalog, target::Frame};

impl<R: Resolver> Names<R> {
    /// A stack up to what cannot be a frame: code without frame pointers uses their register
    /// for something else. The innermost frame is the probe's own.
    pub(super) fn sound(&mut self, site: &SiteInfo, stack: &mut Stack) {
        if site.is_go {
            return;
        }
        let callers = stack.iter().skip(1);
        let sound = callers.take_while(|&&frame| self.resolver.follows_a_call(frame));
        let len = 1 + sound.count();
        stack.cut(len);
    }

    /// Who takes a native lock: the innermost caller that is not the lock's own code, else
    /// what the lock is in its module's data, else the lock's function.
    pub(super) fn taker(
        &mut self,
        site: &SiteInfo,
        frames: &[u64],
        address: u64,
    ) -> Option<String> {
        let frames = frames.iter().flat_map(|frame| self.resolver.frames(*frame));
        let callers: Vec<Frame> = frames.filter(|frame| frame.module.is_some()).collect();
        let is_own =
            |it: &&Frame| it.function == site.function || catalog::is_runtime(&it.function);
        if let Some(caller) = callers.iter().find(|frame| !is_own(frame)) {
            return Some(caller.function.clone());
        }
        let variable = self.resolver.variable_at(address).filter(|_| site.has_object);
        variable.or_else(|| {
            let module = callers.first()?.module.as_ref()?;
            Some(format!("{} ({module})", site.function))
        })
    }
}
