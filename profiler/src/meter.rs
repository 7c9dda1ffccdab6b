//! How far long work has come.
//!
//! In: what a stage says while it reads much. Out: the same to whoever watches on this
//! thread, which need not be anybody.

use std::cell::RefCell;

/// How far some work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark<'a> {
    /// Bytes or files that are done.
    pub(crate) done: u64,
    /// All of them, where the work itself knows.
    pub(crate) all: Option<u64>,
    /// What is worked on, if it has a name.
    pub(crate) on: &'a str,
}

type Watcher = Box<dyn FnMut(Mark<'_>)>;

thread_local! {
    static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
}

/// Tells whoever watches.
pub(crate) fn tell(mark: Mark<'_>) {
    WATCHER.with_borrow_mut(|watcher| {
        if let Some(watcher) = watcher {
            watcher(mark);
        }
    });
}

/// Does some work, of which `watcher` hears.
pub(crate) fn watched<T>(watcher: impl FnMut(Mark<'_>) + 'static, work: impl FnOnce() -> T) -> T {
    /// Also where the work panics.
    struct Unwatch;
    impl Drop for Unwatch {
        fn drop(&mut self) {
            WATCHER.with_borrow_mut(Option::take);
        }
    }
    WATCHER.with_borrow_mut(|slot| *slot = Some(Box::new(watcher)));
    let _unwatch = Unwatch;
    work()
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn only_what_is_done_meanwhile_is_heard() {
        let heard = Rc::new(RefCell::new(Vec::new()));
        let say = |done| tell(Mark { done, all: None, on: "" });
        say(1);
        let ears = Rc::clone(&heard);
        watched(move |mark| ears.borrow_mut().push(mark.done), || say(2));
        say(3);
        assert_eq!(*heard.borrow(), [2]);
    }
}
