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

/// A key among those of a lock: with its map where they are of several, `4 of m1`.
pub(crate) fn key_of<'a>(key: &'a str, map: Option<&str>, of_several: bool) -> Cow<'a, str> {
    match map {
        Some(map) if of_several => Cow::Owned(format!("{key} of {map}")),
        _ => Cow::Borrowed(key),
    }
}

/// Whether keys of several maps stand together in what is said of these locks.
pub(crate) fn has_several_maps<'a>(locks: impl IntoIterator<Item = &'a Lock>) -> bool {
    let maps = locks.into_iter().flat_map(|lock| {
        let waiters = lock.waiters.iter().flat_map(|waiter| &waiter.keys);
        let keys = waiters.chain(lock.holders.iter().flat_map(|holder| &holder.keys));
        let parties = lock.pairs.iter().flat_map(|pair| [&pair.holder, &pair.waiter]);
        keys.map(|key| key.map.as_str()).chain(parties.filter_map(|party| party.map.as_deref()))
    });
    let mut maps = maps.peekable();
    let first = maps.peek().copied();
    maps.any(|map| Some(map) != first)
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
/// the runtime's or the lock's own, nor merely passes a lock on; the innermost where all are.
pub(crate) fn own_frame(stack: &[Frame]) -> Option<&Frame> {
    let own = catalog::own_function(stack.iter().map(|frame| frame.function.as_str()));
    own.map_or(stack.first(), |own| stack.get(own))
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
    fn keys_of_several_maps_say_of_which() {
        use super::super::summary::{H, Holder, KeyPart, Waiter};
        let keys = |map: &str| {
            let (map, key) = (map.to_owned(), "4".to_owned());
            vec![KeyPart { map, key, count: 1, wait_ns: 9 }]
        };
        let mut lock: Lock = serde_json::from_value(serde_json::json!({
            "id": "l1", "kind": "sync.Mutex", "wait": H::default(), "waiters": [],
        }))
        .unwrap();
        assert!(!has_several_maps([&lock]));
        lock.waiters = vec![Waiter { keys: keys("m1"), ..Waiter::default() }];
        lock.holders = vec![Holder { keys: keys("m1"), ..Holder::default() }];
        assert!(!has_several_maps([&lock]));
        lock.holders.push(Holder { keys: keys("m3"), ..Holder::default() });
        assert!(has_several_maps([&lock]));
        assert_eq!(key_of("4", Some("m3"), true), "4 of m3");
        assert_eq!(key_of("4", Some("m3"), false), "4");
        assert_eq!(key_of("4", None, true), "4");
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
