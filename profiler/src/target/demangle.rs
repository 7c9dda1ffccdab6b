//! Names as the source has them.
//!
//! In: a symbol. Out: what it was before it was mangled, for Rust and C++.

use std::borrow::Cow;

use cpp_demangle::{DemangleOptions, Symbol};

/// Longest C++ name that is demangled, bytes: templates of templates grow without end.
const LONGEST: usize = 1024;

/// The function's name without its parameters; the symbol itself where it is not mangled.
pub fn demangle(symbol: &str) -> Cow<'_, str> {
    if let Ok(rust) = rustc_demangle::try_demangle(symbol) {
        return Cow::Owned(format!("{rust:#}"));
    }
    cpp(symbol).map_or(Cow::Borrowed(symbol), Cow::Owned)
}

/// The same for a symbol of C++ alone.
pub(crate) fn cpp(symbol: &str) -> Option<String> {
    if !symbol.starts_with("_Z") || symbol.len() > LONGEST {
        return None;
    }
    let options = DemangleOptions::new().no_params().no_return_type();
    Symbol::new(symbol).ok()?.demangle_with_options(&options).ok()
}

#[cfg(test)]
mod tests {
    use super::demangle;

    #[test]
    fn names_are_those_of_the_source() {
        for (symbol, name) in [
            ("_ZN5Cache3getERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE", "Cache::get"),
            ("_ZNSt5mutex4lockEv", "std::mutex::lock"),
            ("_ZN4shop5cache3get17h0123456789abcdefE", "shop::cache::get"),
            ("_RNvCs15kBYyAo9fc_7mycrate7example", "mycrate::example"),
            ("pthread_mutex_lock", "pthread_mutex_lock"),
            ("main.(*Cache).Get", "main.(*Cache).Get"),
            ("_Zbroken", "_Zbroken"),
            ("", ""),
        ] {
            assert_eq!(demangle(symbol), name);
        }
    }
}
