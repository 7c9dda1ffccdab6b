//! The `mapprof` command.
fn main() {}
