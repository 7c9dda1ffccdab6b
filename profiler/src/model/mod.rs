//! What happened: slices, their sum, and the bounded tables they are built in.

pub mod hist;
mod slice;
pub mod summary;

pub use slice::*;
