//! The target as the decoder asks about it.
//!
//! In: addresses of the target. Out: types and code in words.

use crate::{
    decode::{Resolver, TypeText},
    target::{AddressKind, Frame, Symbolizer, Target},
};

pub(super) struct TargetResolver {
    pub(super) target: Target,
    symbols: Symbolizer,
}

impl TargetResolver {
    pub(super) fn new(target: Target) -> Self {
        Self { target, symbols: Symbolizer::new() }
    }

    /// Looks for modules that were loaded since; `true` where there are some.
    pub(super) fn refresh(&mut self) -> bool {
        // A target that is gone has nothing new; its end is noticed elsewhere.
        let changed = self.target.refresh().unwrap_or(false);
        if changed {
            self.symbols.clear();
        }
        changed
    }
}

impl Resolver for TargetResolver {
    fn map_type(&mut self, address: u64) -> Option<TypeText> {
        let found = self.target.go_map_type(address)?;
        Some(TypeText { name: found.name, key: found.key_name, format: found.format })
    }

    fn frames(&mut self, return_address: u64) -> Vec<Frame> {
        self.symbols.frames(&self.target, return_address, AddressKind::Return).to_vec()
    }
}
