//! mapprof's own demo workload: a cache with string keys.
//!
//! `extern "C" fn mapprof_demo_*(map: *const _, key: *const u8, len: usize)`; its
//! lock is std's and found by that.

use std::borrow::Cow;

use probe_ebpf::{Op, Operand, Reg};

use super::{Entry, KeyFormat, KeySource, Point, Role, Symbol, Task, Waits};

const FUNCTIONS: &[(&str, Op)] = &[
    ("mapprof_demo_lookup", Op::Lookup),
    ("mapprof_demo_insert", Op::Insert),
    ("mapprof_demo_delete", Op::Delete),
];

/// Entries for the demo.
pub(super) fn entries() -> impl Iterator<Item = Entry> {
    let key = KeySource::Str { pointer: Operand::reg(Reg::Rsi), len: Operand::reg(Reg::Rdx) };
    FUNCTIONS.iter().map(move |&(name, op)| Entry {
        runtime: "demo",
        symbol: Symbol::Exact(Cow::Borrowed(name)),
        module: None,
        role: Role::Map(op),
        point: Point::Start,
        object: Operand::reg(Reg::Rdi),
        key,
        format: KeyFormat::Str,
        aux: Operand::NONE,
        task: Task::Thread,
        kind: Cow::Borrowed("demo.cache"),
        forwards_to: &[],
        may_wait: false,
        mode: None,
        waits: Waits::default(),
        off: None,
        required: false,
    })
}
