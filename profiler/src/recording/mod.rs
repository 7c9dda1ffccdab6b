//! Slices on disk.
//!
//! In: [`Record`]s as they come. Out: the same records, and a [`Session`] of
//! them. A file that was cut short or damaged is read as far as it is whole, and
//! [`Damage`] says what is missing. docs/recording.md describes the file for others.
//!
//! [`Session`]: crate::model::Session

mod compact;
mod format;
mod input;
mod load;
mod lock;
mod merge;
mod names;
mod part;
mod place;
mod plain;
mod reader;
mod recorder;
#[cfg(test)]
mod recorder_tests;
#[cfg(test)]
mod tests;
mod writer;

pub use format::{Header, Record, VERSION};
pub use input::Input;
pub use load::{Loading, ReadOptions, Recording, read, read_from, read_with};
pub use merge::{MergeError, Merged, merge, merge_at};
pub use part::{Moment, MomentError, Part};
pub use place::{Place, PlaceError, Replace, create_new};
pub use reader::{Damage, ReadError, Reader};
pub use recorder::Recorder;
pub use writer::{WriteError, Writer};
