//! The browser that opens the HTML page.
//!
//! In: the search path. Out: Chromium or one of its kin.

use std::path::PathBuf;

/// Names that distributions give it.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The first that is there.
pub fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let files = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.into_iter().find(|file| file.is_file())
}

/// The same for a test. Where there is none the test is to be skipped, except in CI (`CI`
/// is set), where that is a failure.
pub fn for_test() -> Option<PathBuf> {
    let found = find();
    let skip_allowed = std::env::var_os("CI").is_none_or(|value| value.is_empty());
    assert!(found.is_some() || skip_allowed, "needs Chromium, and in CI a skip is a failure");
    if found.is_none() {
        eprintln!("skipped: needs Chromium; `cargo xtask setup` installs it");
    }
    found
}
