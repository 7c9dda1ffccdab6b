//! What kind of program a target is, for whoever has nothing to probe in it.
//!
//! In: its modules. Out: a [`Portrait`]: the languages and runtimes that there is evidence
//! of, and how much of its names is left.

use super::image::{FunctionKind, Image};
use super::process::Target;

/// What a program is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Portrait {
    /// Languages and runtimes by evidence, the most telling first: `Rust`, `Java (JVM)`.
    pub made_of: Vec<&'static str>,
    /// The C library; `None`: it brings what it needs along.
    pub libc: Option<&'static str>,
    /// Whether the executable has been stripped of its symbol table.
    pub is_stripped: bool,
    /// Functions of the executable that have a name.
    pub named: usize,
}

/// How a module or a function gives a runtime away: how the module's file name begins, or
/// the function's whole name.
enum Evidence {
    Module(&'static str),
    Function(&'static str),
}

use Evidence::{Function, Module};

/// The first that are found count; interpreters before what they are written in.
const RUNTIMES: [(&str, &[Evidence]); 11] = [
    ("Java (JVM)", &[Module("libjvm.so")]),
    ("Python", &[Module("libpython"), Function("Py_BytesMain"), Function("Py_RunMain")]),
    ("JavaScript (Node.js)", &[Module("libnode.so"), Function("node_module_register")]),
    ("Ruby", &[Module("libruby"), Function("ruby_run_node")]),
    ("Perl", &[Module("libperl.so"), Function("perl_run")]),
    ("PHP", &[Module("libphp"), Function("php_execute_script")]),
    (".NET", &[Module("libcoreclr.so"), Function("coreclr_initialize")]),
    ("Erlang (BEAM)", &[Function("erts_alloc"), Function("enif_make_atom")]),
    ("Lua", &[Module("liblua"), Function("lua_pcallk")]),
    ("GLib", &[Module("libglib-2.0.so")]),
    ("C++", &[Module("libstdc++.so"), Module("libc++.so")]),
];

impl Target {
    /// What kind of program it is.
    pub fn portrait(&self) -> Portrait {
        let modules = self.modules();
        let exe = &modules[0].image;
        let mut made_of = Vec::new();
        if modules.iter().any(|module| module.image.go_version().is_some()) {
            made_of.push("Go");
        }
        let names = exe.functions().map(|function| function.raw.raw().to_owned());
        let names: Vec<String> = names.collect();
        let has = |evidence: &Evidence| match evidence {
            Module(name) => modules.iter().any(|module| module.name.raw().starts_with(name)),
            Function(name) => names.iter().any(|it| it == name),
        };
        let runtimes = RUNTIMES.iter().filter(|(_, evidence)| evidence.iter().any(has));
        made_of.extend(runtimes.map(|(name, _)| *name));
        if is_rust(exe, &names) {
            made_of.push("Rust");
        }
        if !made_of.contains(&"C++") && names.iter().any(|name| name.starts_with("_ZNSt")) {
            made_of.push("C++");
        }
        if made_of.is_empty() {
            made_of.push("C or something like it");
        }
        let libc = modules.iter().find_map(|module| match module.name.raw() {
            "libc.so.6" => Some("glibc"),
            name if name.starts_with("ld-musl") || name.starts_with("libc.musl") => Some("musl"),
            _ => None,
        });
        let is_stripped = !exe.has_symbol_table();
        Portrait { made_of, libc, is_stripped, named: named(exe) }
    }
}

/// Functions with a name.
fn named(image: &Image) -> usize {
    let own = |kind| matches!(kind, FunctionKind::Native | FunctionKind::Go);
    image.functions().filter(|function| own(function.kind)).count()
}

/// Symbols of Rust end in a hash or begin with `_R`; where they are gone, messages of panics
/// name the library's sources (`/rustc/<commit>/library/…`), which stripping leaves.
fn is_rust(image: &Image, names: &[String]) -> bool {
    names.iter().any(|name| rustc_demangle::try_demangle(name).is_ok())
        || contains(image.data(), b"/rustc/")
        || contains(image.data(), b"rustc version ")
}

fn contains(data: &[u8], wanted: &[u8]) -> bool {
    data.windows(wanted.len()).any(|bytes| bytes == wanted)
}

impl Portrait {
    /// `a Rust and C program (glibc), stripped: no function has a name`
    pub fn describe(&self) -> String {
        let languages = self.made_of.join(", ");
        let libc = self.libc.map_or_else(|| "statically linked".to_owned(), ToOwned::to_owned);
        let names = match (self.is_stripped, self.named) {
            (true, 0) => "stripped, so that no function has a name".to_owned(),
            (true, n) => format!("stripped but for the {n} functions that it exports"),
            (false, n) => format!("with the names of {n} functions"),
        };
        format!("{languages}; {libc}; {names}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_is_rust_with_names() {
        let portrait = Target::of_file(&std::env::current_exe().unwrap()).unwrap().portrait();
        assert!(portrait.made_of.contains(&"Rust"), "{portrait:?}");
        assert_eq!((portrait.libc, portrait.is_stripped), (Some("glibc"), false));
        assert!(portrait.named > 1000);
    }

    #[test]
    fn what_is_left_of_the_names_is_said() {
        let portrait =
            |is_stripped, named| Portrait { made_of: vec!["Rust"], libc: None, is_stripped, named };
        let text = portrait(true, 0).describe();
        assert_eq!(text, "Rust; statically linked; stripped, so that no function has a name");
        assert!(portrait(true, 7).describe().contains("but for the 7 functions"));
        assert!(portrait(false, 7).describe().contains("with the names of 7"));
    }
}
