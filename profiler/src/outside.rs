//! Text that comes from outside: command lines, file names, names of functions, versions.
//!
//! In: whatever somebody else chose. Out: [`Outside`], which cannot be formatted but as
//! text that a terminal shows and does not obey, and that stays on its line.
//!
//! Whoever needs the text itself, to compare it or to open a file, asks for it by
//! [`Outside::raw`]. What is written to a terminal is cleaned there once more
//! (`cli/out.rs`), but for line ends, which a writer there cannot know from its own.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::units;

/// Text from outside. Formatting gives it cleaned: control characters (C0, DEL, C1), line
/// ends among them, and characters that reorder, join or hide their neighbours are written
/// as escapes. Serialising gives it raw; the data formats have escapes of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outside<T = String>(T);

impl<T: AsRef<str>> Outside<T> {
    /// Takes it as it is.
    pub const fn new(text: T) -> Self {
        Self(text)
    }

    /// As it came: to be compared, looked up or recorded, never to be shown.
    pub fn raw(&self) -> &str {
        self.0.as_ref()
    }

    /// The same with text of its own.
    pub fn to_owned(&self) -> Outside {
        Outside(self.raw().to_owned())
    }
}

impl<T: AsRef<str>> fmt::Display for Outside<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&units::clean(self.raw()))
    }
}

impl<T: AsRef<str>> Serialize for Outside<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.raw())
    }
}

impl<T: AsRef<str>> PartialEq<str> for Outside<T> {
    fn eq(&self, other: &str) -> bool {
        self.raw() == other
    }
}

impl<T: AsRef<str>> PartialEq<&str> for Outside<T> {
    fn eq(&self, other: &&str) -> bool {
        self.raw() == *other
    }
}

impl From<&str> for Outside {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Outside {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<Cow<'_, str>> for Outside {
    fn from(text: Cow<'_, str>) -> Self {
        Self(text.into_owned())
    }
}

impl From<&Path> for Outside {
    fn from(path: &Path) -> Self {
        Self(path.to_string_lossy().into_owned())
    }
}

impl From<PathBuf> for Outside {
    fn from(path: PathBuf) -> Self {
        path.as_path().into()
    }
}

/// What has a name that others may have chosen: the way to show it.
pub(crate) trait Shown {
    /// It, to be formatted.
    fn shown(&self) -> Outside<Cow<'_, str>>;
}

impl Shown for Path {
    fn shown(&self) -> Outside<Cow<'_, str>> {
        Outside(self.to_string_lossy())
    }
}

impl Shown for OsStr {
    fn shown(&self) -> Outside<Cow<'_, str>> {
        Outside(self.to_string_lossy())
    }
}

impl Shown for str {
    fn shown(&self) -> Outside<Cow<'_, str>> {
        Outside(Cow::Borrowed(self))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Moves the cursor, ends the line and forges one, reorders, hides.
    const HOSTILE: &str = "a\x1b[2Jb\r\nattached\u{9b}31m\u{202e}\u{200b}\u{2028}\u{e0041}\x7f";

    #[test]
    fn formatting_cleans_and_the_rest_does_not() {
        let name = Outside::from(HOSTILE);
        let shown = name.to_string();
        assert!(!shown.contains(units::is_unsafe), "{shown:?}");
        assert!(shown.starts_with("a\\u{1b}[2Jb\\r\\nattached"), "{shown}");
        assert_eq!(Path::new(HOSTILE).shown().to_string(), shown);
        assert_eq!(name.raw(), HOSTILE);
        assert_eq!(serde_json::to_value(&name).unwrap(), HOSTILE);
        assert!(!format!("{name:?}").contains(units::is_unsafe));
        assert_eq!(format!("{:>4}|", Outside::new("ab")), "  ab|");
    }

    proptest! {
        #[test]
        fn no_text_breaks_out(text: String) {
            let shown = Outside::from(text.as_str()).to_string();
            prop_assert!(!shown.contains(units::is_unsafe) && shown.lines().count() <= 1);
        }
    }
}
