//! Records from bytes that anybody may have written.
//!
//! In: bytes in postcard's format (docs/recording.md), and how much memory they may become.
//! Out: a value, or what is wrong and at which byte. A count is compared with the bytes that
//! are left, and what its elements would take in memory with what may be taken, before
//! anything is allocated: 33 KB of zstd can stand for a list of a thousand million elements.

use std::fmt;

use serde::de::value::{SeqDeserializer, U32Deserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

/// What the allocator adds to a block, and to one that is optional or grows, bytes.
const BLOCK: usize = 32;
/// Room that a table has which grows by doubling, and the nodes of a tree.
const GROWTH: usize = 2;

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Offset in the bytes.
    pub(super) at: usize,
    /// What is wrong.
    pub(super) what: Wrong,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The bytes end before it does.
    Ends,
    /// They are not what should be there.
    Content,
    /// It has more elements than there are bytes for.
    Count,
    /// It would take more memory than it may.
    Memory,
}

/// Fields that recorded types have only since a version, all of them optional or lists: of
/// earlier recordings they are not known, and the lists are empty.
const LATER: [(&str, &str, u32); 2] = [("Slice", "tasks", 5), ("Slice", "calls", 6)];

/// Reads a value that a recording of this version holds, and says how many bytes of memory
/// it takes at most.
pub(super) fn read<'de, T: serde::Deserialize<'de>>(
    bytes: &'de [u8],
    memory: usize,
    version: u32,
) -> Result<(T, usize), Trouble> {
    let mut plain = Plain { bytes, at: 0, left: memory, version };
    match T::deserialize(&mut plain) {
        Ok(value) => Ok((value, memory - plain.left)),
        Err(Error(what)) => Err(Trouble { at: plain.at, what }),
    }
}

/// An error without a place.
#[derive(Debug)]
struct Error(Wrong);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(Wrong::Content)
    }
}

type Result1<T> = Result<T, Error>;

/// The bytes, as far as they are read.
struct Plain<'de> {
    bytes: &'de [u8],
    at: usize,
    /// Memory that may still be taken, bytes.
    left: usize,
    version: u32,
}

impl<'de> Plain<'de> {
    fn rest(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn byte(&mut self) -> Result1<u8> {
        let byte = self.bytes.get(self.at).copied().ok_or(Error(Wrong::Ends))?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, count: usize) -> Result1<&'de [u8]> {
        if count > self.rest() {
            return Err(Error(Wrong::Ends));
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    /// Seven bits to a byte, lowest first.
    fn varint(&mut self) -> Result1<u64> {
        let mut value = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error(Wrong::Content))
    }

    fn number<T: TryFrom<u64>>(&mut self) -> Result1<T> {
        T::try_from(self.varint()?).map_err(|_| Error(Wrong::Content))
    }

    /// A length or a count: nothing takes less than a byte.
    fn count(&mut self) -> Result1<usize> {
        let count: usize = self.number()?;
        if count > self.rest() { Err(Error(Wrong::Count)) } else { Ok(count) }
    }

    /// Takes memory.
    fn charge(&mut self, bytes: usize) -> Result1<()> {
        self.left = self.left.checked_sub(bytes).ok_or(Error(Wrong::Memory))?;
        Ok(())
    }

    /// So many bytes, which will be a block of their own.
    fn block(&mut self) -> Result1<&'de [u8]> {
        let count = self.count()?;
        self.charge(count + BLOCK)?;
        self.take(count)
    }
}

/// What the format has and recordings have not.
macro_rules! absent {
    ($($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, _: V) -> Result1<V::Value> {
            Err(Error(Wrong::Content))
        })*
    };
}

macro_rules! numbers {
    ($($name:ident $visit:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result1<V::Value> {
            visitor.$visit(self.number()?)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Plain<'de> {
    type Error = Error;

    absent! {
        deserialize_any deserialize_ignored_any deserialize_identifier deserialize_char
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
    }

    numbers! {
        deserialize_u16 visit_u16
        deserialize_u32 visit_u32
        deserialize_u64 visit_u64
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result1<V::Value> {
        match self.byte()? {
            0 => visitor.visit_bool(false),
            1 => visitor.visit_bool(true),
            _ => Err(Error(Wrong::Content)),
        }
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result1<V::Value> {
        visitor.visit_u8(self.byte()?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result1<V::Value> {
        let bytes = self.take(4)?.try_into().map_err(Error::custom)?;
        visitor.visit_f32(f32::from_le_bytes(bytes))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result1<V::Value> {
        let bytes = self.take(8)?.try_into().map_err(Error::custom)?;
        visitor.visit_f64(f64::from_le_bytes(bytes))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result1<V::Value> {
        let text = std::str::from_utf8(self.block()?).map_err(Error::custom)?;
        visitor.visit_borrowed_str(text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result1<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result1<V::Value> {
        visitor.visit_borrowed_bytes(self.block()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result1<V::Value> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result1<V::Value> {
        match self.byte()? {
            0 => visitor.visit_none(),
            // It may be boxed.
            1 => {
                self.charge(BLOCK)?;
                visitor.visit_some(self)
            }
            _ => Err(Error(Wrong::Content)),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result1<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result1<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result1<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result1<V::Value> {
        let left = self.count()?;
        self.charge(BLOCK)?;
        visitor.visit_seq(Parts { of: self, left, is_list: true, fields: None })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result1<V::Value> {
        visitor.visit_seq(Parts { of: self, left: len, is_list: false, fields: None })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result1<V::Value> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result1<V::Value> {
        let left = self.count()?;
        self.charge(BLOCK)?;
        visitor.visit_map(Parts { of: self, left, is_list: true, fields: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result1<V::Value> {
        let (left, fields) = (fields.len(), Some((name, fields)));
        visitor.visit_seq(Parts { of: self, left, is_list: false, fields })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result1<V::Value> {
        visitor.visit_enum(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// A field that the recording is too old to have.
struct Absent;

impl<'de> Deserializer<'de> for Absent {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result1<V::Value> {
        visitor.visit_none()
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result1<V::Value> {
        visitor.visit_seq(SeqDeserializer::<_, Error>::new(std::iter::empty::<u8>()))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct newtype_struct tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

/// Elements of a list or a map, or fields.
struct Parts<'a, 'de> {
    of: &'a mut Plain<'de>,
    left: usize,
    /// Whether they lie in memory of their own.
    is_list: bool,
    /// Of what they are the fields.
    fields: Option<(&'static str, &'static [&'static str])>,
}

impl Parts<'_, '_> {
    /// Whether the next field came after the recording's version.
    fn is_later(&self) -> bool {
        let Some((name, fields)) = self.fields else { return false };
        let field = fields.len().checked_sub(self.left).and_then(|at| fields.get(at));
        let version = self.of.version;
        field.is_some_and(|field| {
            LATER.iter().any(|later| (later.0, later.1) == (name, *field) && later.2 > version)
        })
    }

    /// Takes the memory of an element of so many bytes; that of all has to be there.
    fn next(&mut self, size: usize) -> Result1<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        if self.is_list {
            let all = self.left.saturating_mul(size.saturating_mul(GROWTH));
            if all > self.of.left {
                return Err(Error(Wrong::Memory));
            }
            self.of.charge(size * GROWTH)?;
        }
        self.left -= 1;
        Ok(true)
    }
}

impl<'de> SeqAccess<'de> for Parts<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result1<Option<T::Value>> {
        if self.is_later() {
            self.left -= 1;
            return seed.deserialize(Absent).map(Some);
        }
        if !self.next(size_of::<T::Value>())? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.of).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Parts<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result1<Option<K::Value>> {
        if !self.next(size_of::<K::Value>())? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.of).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result1<V::Value> {
        self.of.charge(size_of::<V::Value>() * GROWTH)?;
        seed.deserialize(&mut *self.of)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> EnumAccess<'de> for &mut Plain<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result1<(V::Value, Self)> {
        let number: u32 = self.number()?;
        let variant: U32Deserializer<Error> = number.into_deserializer();
        Ok((seed.deserialize(variant)?, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Plain<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result1<()> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result1<T::Value> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result1<V::Value> {
        self.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result1<V::Value> {
        self.deserialize_tuple(fields.len(), visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        numbers: (u8, u32, u64, f32, bool),
        texts: Vec<Option<String>>,
        bytes: Box<[u8]>,
        map: BTreeMap<(u32, String), [u64; 3]>,
        kinds: Vec<Kind>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Bare,
        With { methods: bool },
        Of(u64),
        Two(u8, u8),
    }

    fn samples() -> impl Strategy<Value = Sample> {
        let kinds = prop_oneof![
            Just(Kind::Bare),
            any::<bool>().prop_map(|methods| Kind::With { methods }),
            any::<u64>().prop_map(Kind::Of),
            any::<(u8, u8)>().prop_map(|(a, b)| Kind::Two(a, b)),
        ];
        let map = prop::collection::btree_map(any::<(u32, String)>(), any::<[u64; 3]>(), 0..5);
        (
            any::<(u8, u32, u64)>(),
            any::<bool>(),
            any::<Vec<Option<String>>>(),
            any::<Vec<u8>>(),
            map,
            prop::collection::vec(kinds, 0..5),
        )
            .prop_map(|((a, b, c), d, texts, bytes, map, kinds)| Sample {
                numbers: (a, b, c, f32::from(a) / 3.0, d),
                texts,
                bytes: bytes.into(),
                map,
                kinds,
            })
    }

    const PLENTY: usize = 1 << 20;
    const NOW: u32 = u32::MAX;

    fn read<'de, T: Deserialize<'de>>(
        bytes: &'de [u8],
        memory: usize,
    ) -> Result<(T, usize), Trouble> {
        super::read(bytes, memory, NOW)
    }

    #[test]
    fn fields_that_came_later_are_not_known_of_earlier_recordings() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Slice {
            before: u64,
            tasks: Option<u64>,
            after: u64,
        }
        let old: Slice = super::read(&[7, 9], PLENTY, 4).unwrap().0;
        assert_eq!(old, Slice { before: 7, tasks: None, after: 9 });
        let new: Slice = super::read(&[7, 1, 8, 9], PLENTY, 5).unwrap().0;
        assert_eq!(new, Slice { before: 7, tasks: Some(8), after: 9 });
    }

    #[test]
    fn counts_are_checked_before_anything_is_taken() {
        let ends = |bytes: &[u8]| read::<Vec<[u64; 8]>>(bytes, PLENTY).unwrap_err();
        // 2^28 elements in five bytes, and in as many as they need.
        assert_eq!(ends(&[0x80, 0x80, 0x80, 0x80, 1]), Trouble { at: 5, what: Wrong::Count });
        let mut bytes = vec![0; 1 << 20];
        bytes[..3].copy_from_slice(&[0xff, 0xff, 0x1f]);
        assert_eq!(ends(&bytes), Trouble { at: 3, what: Wrong::Memory });
        assert_eq!(ends(&[1, 0, 0]), Trouble { at: 3, what: Wrong::Ends });
        assert_eq!(ends(&[0xff; 20]).what, Wrong::Content);
        let trouble = read::<(bool, String)>(&[2, 1, b'a'], PLENTY).unwrap_err();
        assert_eq!(trouble, Trouble { at: 1, what: Wrong::Content });
        assert_eq!(read::<String>(&[3, b'a'], PLENTY).unwrap_err().what, Wrong::Count);
    }

    #[test]
    fn memory_is_that_of_all_lists_together() {
        let list = vec![vec![7_u64; 100]; 100];
        let bytes = postcard::to_stdvec(&list).unwrap();
        let (read_back, taken) = read::<Vec<Vec<u64>>>(&bytes, PLENTY).unwrap();
        assert_eq!(read_back, list);
        assert!((80_000..300_000).contains(&taken), "{taken}");
        assert_eq!(read::<Vec<Vec<u64>>>(&bytes, taken - 1).unwrap_err().what, Wrong::Memory);
        assert!(read::<Vec<Vec<u64>>>(&bytes, taken).is_ok());
    }

    proptest! {
        #[test]
        fn what_postcard_writes_is_read(sample in samples()) {
            let bytes = postcard::to_stdvec(&sample).unwrap();
            prop_assert_eq!(&read::<Sample>(&bytes, PLENTY).unwrap().0, &sample);
            prop_assert_eq!(postcard::from_bytes::<Sample>(&bytes).unwrap(), sample);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, memory in 0_usize..4096) {
            if let Ok((_, taken)) = read::<Sample>(&bytes, memory) {
                prop_assert!(taken <= memory);
            }
        }
    }
}
