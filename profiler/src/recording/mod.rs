//! Slices on disk.
//!
//! In: [`Record`]s as they come. Out: the same records, and a [`Session`] of
//! them. A file that was cut short or damaged is read as far as it is whole, and
//! [`Damage`] says what is missing.
//!
//! [`Session`]: crate::model::Session

mod format;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use format::{Header, Record};
pub use reader::{Damage, ReadError, Reader, Recording, read};
pub use writer::{WriteError, Writer};
