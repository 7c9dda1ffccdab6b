//! mapprof verbs.
fn main() {}
