//! What the benchmarks and the test of allocations need of the inside; no interface.
//!
//! In: sizes. Out: records as the kernel side writes them, and the parts of user space
//! that they go through. Nothing here is used by mapprof itself.

mod machine;
mod records;
mod screen;
mod tables;

pub use machine::Machine;
pub use records::{Input, hand_over, operation, pieces, text_key};
pub use screen::Screen;
pub use tables::{Histograms, Keys};
