//! What stands at a code address.
//!
//! In: an address of the process. Out: function, file and line, for Go also of the
//! calls inlined there; the address itself where nothing is known.

use std::borrow::Cow;

use hashbrown::HashMap;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use super::demangle::demangle;
use super::pclntab::GoFrame;
use super::process::Target;

/// Addresses remembered; beyond that the memory starts over.
const CACHE_LIMIT: usize = 1 << 16;

/// A line of code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub struct Frame {
    /// `main.(*Cache).Get`; an address where no symbol is known.
    pub function: String,
    /// Source file.
    #[serde(default)]
    pub file: Option<String>,
    /// Line in it, from 1.
    #[serde(default)]
    pub line: Option<u32>,
    /// File name of the module.
    #[serde(default)]
    pub module: Option<String>,
}

impl Serialize for Frame {
    /// Leaves out in JSON what is not known. A recording has no field names by which
    /// to tell that one is missing, so there all are written.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = !serializer.is_human_readable();
        let mut fields = serializer.serialize_struct("Frame", 4)?;
        fields.serialize_field("function", &self.function)?;
        if all || self.file.is_some() {
            fields.serialize_field("file", &self.file)?;
        }
        if all || self.line.is_some() {
            fields.serialize_field("line", &self.line)?;
        }
        if all || self.module.is_some() {
            fields.serialize_field("module", &self.module)?;
        }
        fields.end()
    }
}

/// Whether an address is where execution goes on after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// The instruction itself: a probe's site.
    Instruction,
    /// A return address: the call before it is meant, which may be on another line
    /// or, at a function's end, in another function.
    Return,
}

/// Names addresses and remembers the names.
#[derive(Debug, Default)]
pub struct Symbolizer {
    cache: HashMap<(u64, AddressKind), Vec<Frame>>,
}

impl Symbolizer {
    /// One that remembers nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything: modules have been loaded since.
    pub fn clear(&mut self) {
        self.cache.clear();
    }

    /// The functions at an address, innermost first; never empty. More than one where
    /// Go inlined calls: the last is the function that the code belongs to, and each
    /// but the first is at the line of its call to the one before it.
    pub fn frames(&mut self, target: &Target, address: u64, kind: AddressKind) -> &[Frame] {
        if self.cache.len() >= CACHE_LIMIT {
            self.cache.clear();
        }
        self.cache.entry((address, kind)).or_insert_with(|| frames(target, address, kind))
    }
}

fn frames(target: &Target, address: u64, kind: AddressKind) -> Vec<Frame> {
    let wanted = match kind {
        AddressKind::Instruction => address,
        AddressKind::Return => address.wrapping_sub(1),
    };
    let unknown =
        |module| Frame { function: format!("{address:#x}"), file: None, line: None, module };
    let Some((module, wanted)) = target.locate(wanted) else {
        return vec![unknown(None)];
    };
    let module = &target.modules()[module];
    if let Some(frames) = module.image.go_frames(wanted) {
        let name = |frame: GoFrame| {
            let (file, line) = frame.line.unzip();
            Frame {
                function: frame.function.into_owned(),
                file: file.map(Cow::into_owned),
                line,
                module: Some(module.name.raw().to_owned()),
            }
        };
        return frames.into_iter().map(name).collect();
    }
    let function = match module.image.function_at(wanted) {
        Some(function) => demangle(function.name.raw()).into_owned(),
        // Where nothing is known, what `addr2line -e` takes.
        None => format!("{}+{wanted:#x}", module.name.raw()),
    };
    vec![Frame { function, ..unknown(Some(module.name.raw().to_owned())) }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_functions_have_names() {
        let target = Target::of_process(std::process::id() as i32).unwrap();
        let mut symbolizer = Symbolizer::new();
        let here = our_own_functions_have_names as *const () as u64;
        let inside = symbolizer.frames(&target, here, AddressKind::Instruction)[0].clone();
        assert!(inside.function.ends_with("our_own_functions_have_names"), "{inside:?}");
        assert_eq!(inside.module.as_deref(), Some(target.name().raw()));
        // A return to the first byte is from whatever lies before.
        let before = symbolizer.frames(&target, here, AddressKind::Return)[0].clone();
        assert_ne!(before.function, inside.function);
        let after = symbolizer.frames(&target, here + 1, AddressKind::Return)[0].clone();
        assert_eq!(after, inside);
    }

    #[test]
    fn an_unknown_address_names_itself() {
        let target = Target::of_process(std::process::id() as i32).unwrap();
        let mut symbolizer = Symbolizer::new();
        let frames = symbolizer.frames(&target, 0x10, AddressKind::Return);
        assert_eq!((frames.len(), frames[0].function.as_str()), (1, "0x10"));
        assert_eq!(frames[0].module, None);
    }
}
