//! Keys of types of Go's library that have a text of their own.
//!
//! In: a type's name and a value's memory. Out: the text that the type's `String` method
//! makes of it. Layouts are those of `src/time/time.go` and `src/net/netip/netip.go`, Go 1.19
//! to 1.27.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Types, part_of, safe, word};
use crate::target::Kind;

/// `struct{addr uint128{hi, lo uint64}; z}`
const ADDR: &str = "netip.Addr";
/// `struct{ip Addr; port uint16}`
const ADDR_PORT: &str = "netip.AddrPort";
/// `struct{ip Addr; bits int16}` up to 1.20, `{ip Addr; bitsPlusOne uint8}` since.
const PREFIX: &str = "netip.Prefix";
/// Bytes of an address.
const ADDR_SIZE: u64 = 24;

/// Whether structs of this name have one.
pub(super) fn has_text(name: &str) -> bool {
    [ADDR, ADDR_PORT, PREFIX].contains(&name)
}

/// The text of a whole value; `None` where it has none, or not all of it is known.
pub(super) fn text(name: &str, kind: &Kind, memory: &[u8], types: &Types) -> Option<String> {
    let number = |from: usize| memory.get(from..).and_then(word_of);
    let fields = match kind {
        Kind::Int if name == "time.Duration" && memory.len() == 8 => {
            return Some(duration(number(0)?.cast_signed()));
        }
        Kind::Struct(fields) if has_text(name) => fields,
        _ => return None,
    };
    let parts: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    let behind = |size| word_of(part_of(memory, ADDR_SIZE, size));
    match (name, parts.as_slice()) {
        (ADDR, ["addr", "z"]) => Some(address(memory, types)?.to_string()),
        (ADDR_PORT, ["ip", "port"]) => {
            let port = behind(2)?;
            Some(match address(part_of(memory, 0, ADDR_SIZE), types)? {
                Address::None => "invalid AddrPort".to_owned(),
                it @ Address::V4(_) => format!("{it}:{port}"),
                it @ Address::V6(..) => format!("[{it}]:{port}"),
            })
        }
        (PREFIX, ["ip", last]) => {
            let bits = match *last {
                "bits" => behind(2)?,
                "bitsPlusOne" => behind(1)?.wrapping_sub(1),
                _ => return None,
            };
            let it = address(part_of(memory, 0, ADDR_SIZE), types)?;
            let most = if let Address::V4(_) = it { 32 } else { 128 };
            Some(match it {
                it @ (Address::V4(_) | Address::V6(..)) if bits <= most => format!("{it}/{bits}"),
                _ => "invalid Prefix".to_owned(),
            })
        }
        _ => None,
    }
}

/// Up to eight bytes as a number.
fn word_of(bytes: &[u8]) -> Option<u64> {
    super::number(&bytes[..bytes.len().min(8)])
}

/// What a `netip.Addr` means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Address {
    None,
    V4(Ipv4Addr),
    /// With its zone.
    V6(Ipv6Addr, String),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("invalid IP"),
            Self::V4(address) => address.fmt(f),
            Self::V6(address, zone) if zone.is_empty() => address.fmt(f),
            Self::V6(address, zone) => write!(f, "{address}%{zone}"),
        }
    }
}

/// Which family an address is of is told by what `z` points to; an IPv4 address lies in
/// `::ffff:0:0/96`.
fn address(memory: &[u8], types: &Types) -> Option<Address> {
    let [high, low, z] = [0, 8, 16].map(|at| memory.get(at..).and_then(word));
    let (high, low, z) = (high?, low?, z?);
    if z == 0 {
        return Some(Address::None);
    }
    let (is_v6, zone) = family(z, types)?;
    let address = Ipv6Addr::from(u128::from(high) << 64 | u128::from(low));
    Some(if is_v6 { Address::V6(address, zone) } else { Address::V4(Ipv4Addr::from(low as u32)) })
}

/// Whether it is an IPv6 address, and its zone, by the value that `z` points to: an
/// `addrDetail{isV6 bool; zoneV6 string}` since 1.23, before that an `intern.Value{_; cmpVal
/// any; resurrected bool}` with the zone; or by the variable that holds it, where there is none.
fn family(z: u64, types: &Types) -> Option<(bool, String)> {
    let value = types.get(&z)?.root();
    let Kind::Value { of, bytes, .. } = &value.kind else { return None };
    match value.name.as_deref() {
        Some("net/netip.z4") => return Some((false, String::new())),
        Some("net/netip.z6noz") => return Some((true, String::new())),
        _ => {}
    }
    let of = types.get(of)?.root();
    let text = |from: usize| {
        let text = safe(&String::from_utf8_lossy(bytes.get(from..)?));
        Some(text)
    };
    match of.name.as_deref()? {
        "netip.addrDetail" => Some((bytes.first()? & 1 == 1, text(24)?)),
        // Behind the value's memory, the length of the string and the string.
        "intern.Value" if word(bytes)? != 0 => Some((true, text(32)?)),
        _ => None,
    }
}

/// `1h2m3.5s`, `1.5ms`, `2µs`, as `time.Duration`'s `String` writes it.
fn duration(ns: i64) -> String {
    const SECOND: u64 = 1_000_000_000;
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    let fraction = |ns: u64, unit: u64| {
        let rest = ns % unit;
        if rest == 0 {
            return String::new();
        }
        let digits = unit.ilog10() as usize;
        format!(".{rest:0digits$}").trim_end_matches('0').to_owned()
    };
    let in_unit =
        |unit: u64, name: &str| format!("{sign}{}{}{name}", ns / unit, fraction(ns, unit));
    match ns {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{ns}ns"),
        1_000..1_000_000 => in_unit(1_000, "µs"),
        1_000_000..SECOND => in_unit(1_000_000, "ms"),
        _ => {
            let (minutes, rest) = (ns / SECOND / 60, ns % (60 * SECOND));
            let seconds = format!("{}{}s", rest / SECOND, fraction(rest, SECOND));
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Key, key_text};
    use super::*;
    use crate::catalog::KeyFormat;
    use crate::target::{Field, KeyShape, Node};

    #[test]
    fn durations_read_as_go_writes_them() {
        for (ns, expected) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (-1_500_000_000, "-1.5s"),
            (3_661_000_000_000, "1h1m1s"),
            (60_000_000_001, "1m0.000000001s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(duration(ns), expected);
        }
    }

    const Z4: u64 = 0x100;
    const Z6: u64 = 0x200;
    const ZONE: u64 = 0x300;
    const DETAIL: u64 = 0x7000;

    fn node(name: &str, size: u64, kind: Kind) -> Node {
        Node { name: Some(name.to_owned()), size, pointer_shaped: false, kind }
    }

    fn field(name: &str, offset: u64, node: u32) -> Field {
        Field { name: name.to_owned(), offset, node }
    }

    /// A netip type of an address and a number of so many bytes behind it.
    fn shape(name: &str, second: &str, bytes: u64) -> KeyShape {
        let address = Kind::Struct(vec![field("addr", 0, 3), field("z", 16, 4)]);
        let parts = vec![field("ip", 0, 1), field(second, 24, 2)];
        KeyShape::new(vec![
            node(name, 32, Kind::Struct(parts)),
            node(ADDR, 24, address),
            node("uint", bytes, Kind::Uint),
            node("netip.uint128", 16, Kind::Opaque),
            node("unique.Handle[net/netip.addrDetail]", 8, Kind::Handle { of: DETAIL }),
        ])
    }

    fn types() -> Types {
        let value = |is_v6: u8, zone: &str| {
            let mut bytes = vec![0; 24];
            bytes[0] = is_v6;
            bytes[16] = zone.len() as u8;
            bytes.extend(zone.bytes());
            let len = bytes.len() as u64;
            let kind = Kind::Value { of: DETAIL, bytes, len };
            KeyShape::new(vec![Node { name: None, size: 0, pointer_shaped: false, kind }])
        };
        let detail = KeyShape::new(vec![node("netip.addrDetail", 24, Kind::Struct(Vec::new()))]);
        [(DETAIL, detail), (Z4, value(0, "")), (Z6, value(1, "")), (ZONE, value(1, "eth0"))].into()
    }

    fn shown(shape: &KeyShape, address: u128, z: u64, number: u64, types: &Types) -> String {
        let words = [(address >> 64) as u64, address as u64, z, number];
        let bytes: Box<[u8]> = words.map(u64::to_le_bytes).concat().into();
        let key = Key { len: 32, bytes };
        key_text(&key, KeyFormat::Bytes, Some(shape), types)
    }

    #[test]
    fn a_family_is_told_by_its_variable_as_well() {
        let mut known = Types::new();
        let kind = Kind::Value { of: 0, bytes: Vec::new(), len: 0 };
        known.insert(Z4, KeyShape::new(vec![node("net/netip.z4", 0, kind.clone())]));
        known.insert(Z6, KeyShape::new(vec![node("net/netip.z6noz", 0, kind)]));
        let port = shape(ADDR_PORT, "port", 2);
        assert_eq!(shown(&port, TEN, Z4, 443, &known), "10.0.0.7:443");
        assert_eq!(shown(&port, TEN, Z6, 443, &known), "[::ffff:10.0.0.7]:443");
    }

    const TEN: u128 = 0xffff_0a00_0007;
    const DOC: u128 = 0x2001_0db8 << 96 | 1;

    #[test]
    fn addresses_read_as_the_program_prints_them() {
        let (known, port) = (types(), shape(ADDR_PORT, "port", 2));
        for (address, z, expected) in [
            (TEN, Z4, "10.0.0.7:443"),
            (TEN, Z6, "[::ffff:10.0.0.7]:443"),
            (DOC, Z6, "[2001:db8::1]:443"),
            (DOC, ZONE, "[2001:db8::1%eth0]:443"),
            (0, Z6, "[::]:443"),
            (0, 0, "invalid AddrPort"),
        ] {
            assert_eq!(shown(&port, address, z, 443, &known), expected);
        }
        let prefix = shape(PREFIX, "bitsPlusOne", 1);
        assert_eq!(shown(&prefix, TEN, Z4, 25, &known), "10.0.0.7/24");
        assert_eq!(shown(&prefix, DOC, Z6, 33, &known), "2001:db8::1/32");
        assert_eq!(shown(&prefix, TEN, Z4, 0, &known), "invalid Prefix");
        assert_eq!(shown(&shape(PREFIX, "bits", 2), TEN, Z4, 24, &known), "10.0.0.7/24");
        // Which family it is of, and with which zone, cannot be told.
        for address in [TEN, DOC] {
            let unknown = shown(&port, address, 0x900, 443, &known);
            assert!(unknown.starts_with("{ip:{addr:") && unknown.ends_with("port:443}"));
        }
    }

    #[test]
    fn handles_read_as_what_they_point_to() {
        let text = |types: &Types, kind: Kind| {
            let shape = KeyShape::new(vec![node("unique.Handle[string]", 8, kind)]);
            let bytes: Box<[u8]> = ZONE.to_le_bytes().into();
            key_text(&Key { len: 8, bytes }, KeyFormat::Hex, Some(&shape), types)
        };
        let mut types = types();
        let value = Kind::Value { of: 0x7100, bytes: b"hot".to_vec(), len: 3 };
        types.insert(ZONE, KeyShape::new(vec![node("", 0, value)]));
        assert_eq!(text(&types, Kind::Handle { of: 0x7100 }), "unique.Handle[string](0x300)");
        types.insert(0x7100, KeyShape::new(vec![node("string", 16, Kind::String)]));
        assert_eq!(text(&types, Kind::Handle { of: 0x7100 }), "\"hot\"");
        // One that leads to itself, as a file may say.
        let handle = Kind::Handle { of: 0x7100 };
        types.insert(0x7100, KeyShape::new(vec![node("unique.Handle[T]", 8, handle.clone())]));
        let loops = Kind::Value { of: 0x7100, bytes: ZONE.to_le_bytes().to_vec(), len: 8 };
        types.insert(ZONE, KeyShape::new(vec![node("", 0, loops)]));
        assert_eq!(text(&types, handle), "unique.Handle[T](0x300)");
    }

    #[test]
    fn a_type_reads_as_its_name() {
        let shape = KeyShape::new(vec![node("*reflect.rtype", 8, Kind::TypePointer)]);
        let bytes: Box<[u8]> = DETAIL.to_le_bytes().into();
        let key = Key { len: 8, bytes };
        assert_eq!(key_text(&key, KeyFormat::Hex, Some(&shape), &types()), "netip.addrDetail");
        let unknown = key_text(&key, KeyFormat::Hex, Some(&shape), &Types::new());
        assert_eq!(unknown, "*reflect.rtype(0x7000)");
    }
}
