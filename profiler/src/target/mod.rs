//! What runs: a process, its modules, the functions in them, its memory.
//!
//! In: a process id, a file, or a command held before its start. Out: a
//! [`Target`] whose [`Module`]s give functions by name and address, bytes by
//! virtual address, source lines, and Go's own type information.

mod buildinfo;
mod bytes;
mod demangle;
mod error;
mod family;
#[cfg(test)]
pub(crate) mod fixture;
mod gotypes;
mod image;
mod launch;
mod memory;
mod mmap;
mod moduledata;
mod named;
mod pclntab;
mod portrait;
mod proc_fs;
mod process;
mod symbolize;
mod symbols;
mod tasks;
mod versions;

pub(crate) use demangle::cpp;
pub use demangle::demangle;
pub use error::{ImageError, TargetError};
pub use family::{Account, Family, Member, Used};
pub(crate) use gotypes::BLANK;
pub use gotypes::{
    Canonical, Field, GoMapType, KeyFormat, KeyShape, KeySource, KeyType, Kind, Layout, MAX_PIECES,
    MAX_SIZE, MapType, ModuleTypes, NoLayout, Node, Piece, PieceKind, Pointer, PointsTo, canonical,
    canonical_dynamic, tidy,
};
pub use image::{Function, FunctionKind, Image};
pub use launch::{Held, LaunchError, exec_if_held};
pub use memory::ReadMemory;
pub use portrait::Portrait;
pub use proc_fs::{Found, find_by_name};
pub use process::{Identity, Module, Runtime, Target, mapped_files};
pub use symbolize::{AddressKind, Frame, Symbolizer};
pub(crate) use tasks::TaskCount;
