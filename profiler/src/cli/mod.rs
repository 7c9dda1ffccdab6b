//! Stage `cli`.

pub mod probes;
