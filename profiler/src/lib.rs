//! mapprof: which key and which lock is a running program fighting over?
//!
//! The stages, each of which knows only those before it:
//!
//! ```text
//! target → catalog → placement → kernel ⇄ probe-ebpf → decode → model
//!                                                                 ├→ recording
//!                                                                 └→ findings
//!                                                                       ├→ view
//!                                                                       ├→ report
//!                                                                       └→ diff
//! ```

#![warn(clippy::print_stdout, clippy::print_stderr)]

#[doc(hidden)]
pub mod bench;
pub mod catalog;
pub mod cli;
pub mod decode;
pub mod diff;
mod expr;
pub mod findings;
pub mod kernel;
mod meter;
pub mod model;
pub mod outside;
pub mod placement;
pub mod recording;
pub mod report;
pub mod run;
pub mod target;
mod units;
pub mod view;
