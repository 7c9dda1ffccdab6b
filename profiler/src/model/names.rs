//! What people call the things of a summary: a map or a lock by its type and by
//! the function that used it first, a stack by the line of the program's own code.

use std::borrow::Cow;

use super::Frame;
use super::summary::{Lock, Map, Window};
use crate::catalog;
use crate::decode::MANY;
use crate::units;

/// `map[string]*shop.Session in main.(*Cache).Get`; the kind where there is no type.
pub(crate) fn map_name(map: &Map) -> String {
    name(map.type_name.as_ref().unwrap_or(&map.kind), map.label.as_deref())
}

/// `sync.Mutex in main.(*Cache).Get`.
pub(crate) fn lock_name(lock: &Lock) -> String {
    name(&lock.kind, lock.label.as_deref())
}

/// What stands for the keys that could not be read for this reason, in
/// [`Map::unreadable`].
pub(crate) fn unreadable(reason: &str) -> String {
    format!("(unreadable: its {reason} could not be read)")
}

/// `, scaled from 4.0% of the time`, where waits were not told all the time.
pub(crate) fn waits_scaled(window: &Window) -> String {
    scaled(window.locks_observed_share().unwrap_or(window.observed_share()))
}

/// The same of operations.
pub(crate) fn ops_scaled(window: &Window) -> String {
    scaled(window.observed_share())
}

fn scaled(share: f64) -> String {
    if share > 0.0 && share < 1.0 {
        format!(", scaled from {} of the time", units::share(share))
    } else {
        String::new()
    }
}

fn name(what: &str, label: Option<&str>) -> String {
    let what = short(what);
    match label {
        Some(MANY) => format!("{what}, {MANY}"),
        Some(label) => format!("{what} in {}", short(label)),
        None => what.into_owned(),
    }
}

/// The frame that the program's author would name: the innermost one that is not
/// the runtime's or the lock's own, or the innermost where all are.
pub(crate) fn own_frame(stack: &[Frame]) -> Option<&Frame> {
    let own = stack.iter().find(|frame| !catalog::is_runtime(&frame.function));
    own.or(stack.first())
}

/// Why figures of a lock's waits are the most that is possible, where they are.
pub(crate) fn bound(lock: &Lock, window: &Window) -> Option<String> {
    Some(format!(
        "insufficient samples: the estimate, {}, is more than the {} tasks that there are can wait in \
         {}; what is shown is the most that is possible",
        units::time(lock.estimate_ns?),
        units::count(window.tasks?),
        units::time(window.duration_ns)
    ))
}

/// Go's names as short as they can be understood: without the directories of
/// packages (`shop.Cart` for `example.com/acme/shop.Cart`), and with the shapes that
/// generic code was compiled for as Go's own traces write them (`Set[...].Add`).
pub(crate) fn short(name: &str) -> Cow<'_, str> {
    let mut name = Cow::Borrowed(name);
    if name.contains("go.shape.") {
        name = Cow::Owned(without_shapes(&name));
    }
    if name.contains('/') {
        let pieces = name.split_inclusive(|c| !is_path(c));
        name = Cow::Owned(pieces.map(without_folders).collect());
    }
    name
}

/// Type arguments that are shapes; those of `map[…]` are no type arguments.
fn without_shapes(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(open) = rest.find("[go.shape.") {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        let mut depth = 0_usize;
        let end = from.find(|c| {
            depth = match c {
                '[' => depth + 1,
                ']' => depth.saturating_sub(1),
                _ => depth,
            };
            depth == 0
        });
        let (arguments, after) = from.split_at(end.map_or(from.len(), |end| end + 1));
        out.push_str(if before.ends_with("map") { arguments } else { "[...]" });
        rest = after;
    }
    out + rest
}

/// The last element of a path, and the one before where it is a major version.
fn without_folders(path: &str) -> &str {
    let Some((folders, last)) = path
        .rsplit_once('/')
        .filter(|(folders, last)| !folders.is_empty() && last.starts_with(is_path))
    else {
        return path;
    };
    let version = last.split('.').next().and_then(|package| package.strip_prefix('v'));
    if version.is_some_and(|digits| digits.parse::<u32>().is_ok()) {
        let start = folders.rfind('/').map_or(0, |slash| slash + 1);
        return &path[start..];
    }
    last
}

/// Characters of import paths (Go's module.CheckImportPath), `%` as in symbols'
/// escapes.
fn is_path(c: char) -> bool {
    c.is_alphanumeric() || "/-._~%+".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_keep_the_package_and_drop_its_folders() {
        for (name, expected) in [
            ("main.(*Cache).Get", "main.(*Cache).Get"),
            ("internal/sync.(*Mutex).lockSlow", "sync.(*Mutex).lockSlow"),
            ("example.com/acme/go-shop/v2.(*T[example.com/b.K]).Get", "go-shop/v2.(*T[b.K]).Get"),
            ("map[string]*example.com/acme/shop.Session", "map[string]*shop.Session"),
            (
                "main.(*set[go.shape.string,go.shape.struct { main.n [4]int }]).put",
                "main.(*set[...]).put",
            ),
            ("main.f[go.shape.int", "main.f[...]"),
            ("map[go.shape.string]main.T[go.shape.int]", "map[go.shape.string]main.T[...]"),
            ("a::operator/ (b)", "a::operator/ (b)"),
            ("<script></script>", "<script></script>"),
            ("", ""),
        ] {
            assert_eq!(short(name), expected);
        }
    }

    #[test]
    fn the_own_frame_is_the_first_that_is_not_the_locks() {
        let name = |functions: &[&str]| {
            let frame = |function: &&str| Frame {
                function: (*function).to_owned(),
                file: None,
                line: None,
                module: None,
            };
            let stack: Vec<Frame> = functions.iter().map(frame).collect();
            own_frame(&stack).map(|frame| frame.function.clone())
        };
        assert_eq!(
            name(&["internal/sync.(*Mutex).lockSlow", "sync.(*Mutex).Lock", "main.f", "main.g"]),
            Some("main.f".to_owned())
        );
        assert_eq!(
            name(&["<std::sys::sync::mutex::futex::Mutex>::lock_contended", "shop::serve"]),
            Some("shop::serve".to_owned())
        );
        assert_eq!(
            name(&["sync.(*Mutex).Lock", "runtime.main"]),
            Some("sync.(*Mutex).Lock".to_owned())
        );
        assert_eq!(name(&[]), None);
    }
}
