//! Where fields lie in the running kernel's structures.
//!
//! In: the kernel's own type information, `/sys/kernel/btf/vmlinux`. Out: offsets, or
//! nothing where it has none. The layout is that of Documentation/bpf/btf.rst (version 1),
//! the same in Linux 5.15 to 6.18.

use std::fs;

/// `BTF_MAGIC`, as a little-endian machine writes it.
const MAGIC: u16 = 0xeb9f;
/// Size of `struct btf_type`, bytes.
const TYPE: usize = 12;
/// Size of `struct btf_member`, bytes.
const MEMBER: usize = 12;
/// Structures without a name inside of each other; the kernel's are at most four deep.
const DEEPEST: u32 = 8;

/// Kinds of types (`BTF_KIND_*`).
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;

/// Where the fields of `task_struct` lie that [`probe_ebpf::Switches`] is made of, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SwitchesAt {
    /// `nvcsw`.
    pub(super) asleep: u32,
    /// `nivcsw`.
    pub(super) preempted: u32,
}

impl SwitchesAt {
    /// Of the running kernel.
    pub(super) fn of_this_kernel() -> Option<Self> {
        Self::read(&fs::read("/sys/kernel/btf/vmlinux").ok()?)
    }

    fn read(btf: &[u8]) -> Option<Self> {
        let types = Types::of(btf)?;
        let task = types.structure("task_struct")?;
        Some(Self {
            asleep: types.field(task, "nvcsw", DEEPEST)?,
            preempted: types.field(task, "nivcsw", DEEPEST)?,
        })
    }
}

/// The type information's two sections.
struct Types<'a> {
    types: &'a [u8],
    names: &'a [u8],
}

/// One type: its `struct btf_type`, and what follows it.
#[derive(Clone, Copy)]
struct Type<'a> {
    name: u32,
    kind: u32,
    /// Bit offsets of members hold the sizes of bit fields, too.
    has_bit_fields: bool,
    members: &'a [u8],
}

impl<'a> Types<'a> {
    fn of(btf: &'a [u8]) -> Option<Self> {
        let magic = u16::from_le_bytes(btf.get(..2)?.try_into().ok()?);
        if magic != MAGIC {
            return None;
        }
        let head = u32_at(btf, 4)? as usize;
        let section = |at: usize| {
            let start = head.checked_add(u32_at(btf, at)? as usize)?;
            btf.get(start..start.checked_add(u32_at(btf, at + 4)? as usize)?)
        };
        Some(Self { types: section(8)?, names: section(16)? })
    }

    /// All types in order; the first has the number 1.
    fn iter(&self) -> impl Iterator<Item = Type<'a>> + use<'a> {
        let mut rest = self.types;
        std::iter::from_fn(move || {
            let info = u32_at(rest, 4)?;
            let (count, kind) = (info & 0xffff, info >> 24 & 0x1f);
            let name = u32_at(rest, 0)?;
            let (members, next) = rest.get(TYPE..)?.split_at_checked(follows(kind, count)?)?;
            rest = next;
            Some(Type { name, kind, has_bit_fields: info >> 31 != 0, members })
        })
    }

    fn structure(&self, name: &str) -> Option<Type<'a>> {
        self.iter().find(|it| it.kind == STRUCT && self.is_named(it.name, name))
    }

    /// Offset of a field, which may lie in a structure without a name, bytes.
    fn field(&self, of: Type<'a>, name: &str, deepest: u32) -> Option<u32> {
        let deeper = deepest.checked_sub(1)?;
        of.members.chunks_exact(MEMBER).find_map(|member| {
            let (its_name, its_type) = (u32_at(member, 0)?, u32_at(member, 4)?);
            let bits = u32_at(member, 8)?;
            let at = if of.has_bit_fields { bits & 0xff_ffff } else { bits } / 8;
            if self.is_named(its_name, name) {
                return Some(at);
            }
            if !self.is_named(its_name, "") {
                return None;
            }
            let inner = self.iter().nth(its_type.checked_sub(1)? as usize)?;
            let inner = Some(inner).filter(|it| matches!(it.kind, STRUCT | UNION))?;
            at.checked_add(self.field(inner, name, deeper)?)
        })
    }

    fn is_named(&self, at: u32, name: &str) -> bool {
        let rest = self.names.get(at as usize..).and_then(|it| it.strip_prefix(name.as_bytes()));
        rest.is_some_and(|rest| rest.first() == Some(&0))
    }
}

/// Bytes that follow a type of this kind with so many elements; `None` for a kind that is
/// not known, behind which nothing can be found.
fn follows(kind: u32, count: u32) -> Option<usize> {
    let count = count as usize;
    Some(match kind {
        // Pointers, forwards, typedefs, qualifiers, functions, floats, type tags.
        2 | 7..=12 | 16 | 18 => 0,
        // Integers, variables, declaration tags.
        1 | 14 | 17 => 4,
        ARRAY => 12,
        STRUCT | UNION => count * MEMBER,
        // Enumerations, parameters.
        6 | 13 => count * 8,
        // Sections, 64-bit enumerations.
        15 | 19 => count * 12,
        _ => return None,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `struct task_struct { int a; struct { long b; long nvcsw; long nivcsw; }; }`
    fn btf() -> Vec<u8> {
        let names = b"\0task_struct\0a\0b\0nvcsw\0nivcsw\0int\0";
        let [task, a, b, asleep, preempted, int] = [1, 13, 15, 17, 23, 30];
        let types: [u32; 4 + 3 + 9 + 3 + 6] = [
            int,
            1 << 24,
            8,
            64, // 1
            0,
            STRUCT << 24 | 3,
            24, // 2
            b,
            1,
            0,
            asleep,
            1,
            64,
            preempted,
            1,
            128, //
            task,
            STRUCT << 24 | 2,
            32, // 3
            a,
            1,
            0,
            0,
            2,
            64,
        ];
        let types: Vec<u8> = types.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut btf = MAGIC.to_le_bytes().to_vec();
        btf.extend([1, 0]);
        for word in [24, 0, types.len(), types.len(), names.len()] {
            btf.extend((word as u32).to_le_bytes());
        }
        btf.extend(types);
        btf.extend(names);
        btf
    }

    #[test]
    fn a_field_is_found_in_a_structure_without_a_name() {
        let found = SwitchesAt { asleep: 16, preempted: 24 };
        assert_eq!(SwitchesAt::read(&btf()), Some(found));
    }

    #[test]
    fn this_kernels_are_found_where_it_tells() {
        let has_it = fs::exists("/sys/kernel/btf/vmlinux").unwrap();
        assert_eq!(SwitchesAt::of_this_kernel().is_some(), has_it);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            at in 0..btf().len(), byte: u8, end in 0..btf().len(), noise: Vec<u8>
        ) {
            let mut bytes = btf();
            bytes[at] = byte;
            let _ = SwitchesAt::read(&bytes);
            let _ = SwitchesAt::read(&bytes[..end]);
            let _ = SwitchesAt::read(&noise);
        }
    }
}
