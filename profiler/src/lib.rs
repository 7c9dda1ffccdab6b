//! mapprof: which key and which lock is a running program fighting over?
//!
//! The stages, each of which knows only those before it:
//!
//! ```text
//! target → catalog → placement → kernel ⇄ probe-ebpf → decode → model
//!                                                                 ├→ recording
//!                                                                 └→ findings
//!                                                                       ├→ view
//!                                                                       └→ report
//! ```

pub mod catalog;
pub mod cli;
pub mod decode;
mod expr;
pub mod findings;
pub mod kernel;
pub mod model;
pub mod placement;
pub mod recording;
pub mod report;
pub mod run;
pub mod target;
mod units;
pub mod view;
