//! What happened: slices, their sum, and the bounded tables they are built in.
//!
//! In: operations and waits with their ids, from `decode`. Out: [`Slice`]s from
//! the [`Builder`], their sum in a [`Session`], and the [`summary::Summary`]
//! that every output is made of.

mod bounds;
mod builder;
mod callers;
mod calls;
#[cfg(test)]
mod coverage_tests;
#[cfg(test)]
pub(crate) mod fixture;
pub mod flame;
pub mod hist;
mod invariants;
#[cfg(test)]
mod invariants_tests;
mod key_text;
mod lock_builder;
#[cfg(test)]
mod lock_coverage_tests;
pub(crate) mod names;
mod past;
mod sample;
mod scaling;
mod session;
mod sizes;
mod slice;
pub(crate) mod space_saving;
mod spread;
mod summarize;
pub mod summary;
mod tables;
#[cfg(test)]
mod tests;
mod timeline;

pub use builder::*;
pub use calls::CallSlice;
pub use key_text::key_text;
pub use session::{LAST_KEYS, Session, SliceTotals, merged};
pub use slice::*;
pub use spread::{FEW, Spread};
pub use timeline::{LockStep, Step, Subject, SubjectStep};

pub use tables::{Blamed, Row, Tables, Tasks, Top, Waits};

pub use crate::{
    decode::{
        Actor, ActorId, Definitions, Key, LockId, LockInfo, MapId, MapInfo, MapKey, Mode, NO_ACTOR,
        StackId,
    },
    target::Frame,
};
