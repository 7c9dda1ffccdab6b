//! The target as the decoder asks about it.
//!
//! In: addresses of the target. Out: types and code in words.

use std::time::{Duration, Instant};

use crate::{
    decode::{Resolver, TypeText},
    target::{AddressKind, Frame, KeyShape, ReadMemory, Symbolizer, Target},
};

/// Least time between two looks for modules that an unknown address asks for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub(super) struct TargetResolver {
    pub(super) target: Target,
    symbols: Symbolizer,
    looked: Option<Instant>,
    changed: bool,
    /// Where the process may execute, as of `mapped`.
    code: Vec<(u64, u64)>,
    mapped: Option<Instant>,
}

impl TargetResolver {
    pub(super) fn new(target: Target) -> Self {
        let (code, symbols) = (Vec::new(), Symbolizer::new());
        Self { target, symbols, looked: None, changed: false, code, mapped: None }
    }

    /// Looks for modules that were loaded since; `true` where there are some.
    pub(super) fn refresh(&mut self) -> bool {
        self.looked = Some(Instant::now());
        // A target that is gone has nothing new; its end is noticed elsewhere.
        let changed = self.target.refresh().unwrap_or(false);
        if changed {
            self.symbols.clear();
        }
        self.changed |= changed;
        changed
    }

    /// Whether modules were found since this was last asked.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    fn known_frames(&mut self, return_address: u64) -> &[Frame] {
        self.symbols.frames(&self.target, return_address, AddressKind::Return)
    }
}

impl Resolver for TargetResolver {
    fn map_type(&mut self, address: u64) -> Option<TypeText> {
        if self.target.locate(address).is_none() {
            // Asked once for each type: of a plugin that was just loaded, or made by
            // reflection, which lies in no module.
            self.refresh();
        }
        let found = self.target.go_map_type(address)?;
        let key_at = Some(found.key);
        Some(TypeText { name: found.name, key: found.key_name, key_at, format: found.format })
    }

    fn follows_a_call(&mut self, address: u64) -> bool {
        // The byte before it belongs to the call.
        let Some(call) = address.checked_sub(1) else { return false };
        if let Some((module, call)) = self.target.locate(call) {
            return self.target.modules()[module].image.follows_a_call(call + 1);
        }
        // Code that was made at run time, or that was loaded just now.
        let holds =
            |code: &[(u64, u64)]| code.iter().any(|&(low, high)| (low..high).contains(&call));
        if !holds(&self.code) && self.mapped.is_none_or(|looked| looked.elapsed() >= LOOK_AGAIN) {
            self.mapped = Some(Instant::now());
            self.code = self.target.executable_ranges();
        }
        holds(&self.code)
    }

    fn variable_at(&mut self, address: u64) -> Option<String> {
        let (module, address) = self.target.locate(address)?;
        let module = &self.target.modules()[module];
        Some(format!("{} ({})", module.image.variable_at(address)?, module.name))
    }

    fn frames(&mut self, return_address: u64) -> Vec<Frame> {
        let is_known = self.known_frames(return_address).iter().any(|it| it.module.is_some());
        // A launched program maps its modules after its probes are in place.
        if !is_known && self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_AGAIN) {
            self.refresh();
        }
        self.known_frames(return_address).to_vec()
    }

    fn key_type(&mut self, address: u64) -> Option<KeyShape> {
        self.target.go_type(address)
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        ReadMemory::read(&self.target, address, buffer)
    }

    fn read_constant(&self, address: u64, buffer: &mut [u8]) -> bool {
        self.target.read_constant(address, buffer)
    }

    fn code(&mut self, return_address: u64) -> Option<(u64, Vec<u8>)> {
        let (module, address) = self.target.locate(return_address.checked_sub(1)?)?;
        let module = &self.target.modules()[module];
        let function = module.image.function_at(address)?;
        let (start, end) = (function.start, function.end);
        let bytes = module.image.bytes_at(start, end.checked_sub(start)?)?;
        Some((module.runtime_address(start)?, bytes.to_vec()))
    }

    fn variable(&self, symbol: &str) -> Option<u64> {
        let mut modules = self.target.modules().iter();
        modules.find_map(|module| module.runtime_address(module.image.variable(symbol)?))
    }
}
