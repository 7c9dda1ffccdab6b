//! Which Go versions mapprof has been tested with.
//!
//! In: a version. Out: what to tell the user of it. Nothing else depends on versions:
//! what is probed is decided by the symbols that a program has.

use crate::outside::Outside;

/// Minor versions of Go 1 over which the tests compare every count.
const TESTED: [u32; 8] = [19, 21, 22, 23, 24, 25, 26, 27];

/// A sentence for a version that is not among the tested ones.
pub(super) fn untested(version: &Outside) -> Option<String> {
    let minor = minor(version.raw());
    if minor.is_some_and(|minor| TESTED.contains(&minor)) {
        return None;
    }
    let what = match minor {
        Some(_) => format!("{version} is untested"),
        None => format!("the Go version ({version}) is not a release, and untested"),
    };
    let newest = TESTED.iter().max().copied().unwrap_or_default();
    let tested: Vec<_> = TESTED.iter().map(|minor| format!("1.{minor}")).collect();
    let (tested, why) = match minor {
        Some(minor) if minor > newest => (format!("up to 1.{newest}"), "newer ones"),
        _ => (tested.join(", "), "others"),
    };
    Some(format!(
        "{what}: mapprof was tested with Go {tested}; {why} are probed by the symbols that they have"
    ))
}

/// `go1.27.3`, `go1.28rc1`; `None` for a development version.
fn minor(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("go1.")?;
    let end = rest.find(|it: char| !it.is_ascii_digit()).unwrap_or(rest.len());
    // `go1.28-20260101-abcdef` is no release either.
    let (minor, rest) = rest.split_at(end);
    minor.parse().ok().filter(|_| !rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    fn untested(version: &str) -> Option<String> {
        super::untested(&version.into())
    }

    #[test]
    fn tested_versions_are_not_mentioned() {
        for version in ["go1.19.8", "go1.21", "go1.27.3", "go1.27rc1"] {
            assert_eq!(untested(version), None);
        }
    }

    #[test]
    fn others_are() {
        let text = untested("go1.28.1").unwrap();
        assert!(text.starts_with("go1.28.1 is untested") && text.contains("up to 1.27"), "{text}");
        assert!(untested("go1.20.14").unwrap().contains("1.19, 1.21, 1.22"));
        assert!(untested("go1.18").is_some() && untested("go1.2").is_some());
        for version in ["devel", "unknown", "go2.0", "go1.", "", "go1.99999999999", "go1.27-a1b2"] {
            assert!(untested(version).unwrap().contains("not a release"), "{version}");
        }
    }
}
