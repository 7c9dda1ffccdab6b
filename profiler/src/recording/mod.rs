//! Slices on disk.
//!
//! In: [`Record`]s as they come. Out: the same records, and a [`Session`] of
//! them. A file that was cut short or damaged is read as far as it is whole, and
//! [`Damage`] says what is missing.
//!
//! [`Session`]: crate::model::Session

mod format;
mod load;
mod lock;
mod part;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use format::{Header, Record};
pub use load::{Loading, ReadOptions, Recording, read, read_with};
pub use part::{Moment, MomentError, Part};
pub use reader::{Damage, ReadError, Reader};
pub use writer::{WriteError, Writer};
