//! The messages of a pprof profile, by hand: names, meanings and tag numbers are those of
//! `proto/profile.proto` in github.com/google/pprof, package `perftools.profiles`.
//!
//! Fields of a `string` kind are indices into `Profile::string_table`.

use prost::Message;

/// What was measured, with everything that the samples refer to.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Profile {
    /// One for each of a sample's values.
    #[prost(message, repeated, tag = "1")]
    pub(crate) sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) function: Vec<Function>,
    /// The first is empty.
    #[prost(string, repeated, tag = "6")]
    pub(crate) string_table: Vec<String>,
    // 7 drop_frames, 8 keep_frames: not used.
    /// Wall clock, ns since the epoch.
    #[prost(int64, tag = "9")]
    pub(crate) time_nanos: i64,
    #[prost(int64, tag = "10")]
    pub(crate) duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    pub(crate) period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    pub(crate) period: i64,
    #[prost(int64, repeated, tag = "13")]
    pub(crate) comment: Vec<i64>,
    // 14 default_sample_type: as in Go's, the last one by not being set. 15 doc_url.
}

/// What a value is, and its unit.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct ValueType {
    #[prost(int64, tag = "1")]
    pub(crate) r#type: i64,
    #[prost(int64, tag = "2")]
    pub(crate) unit: i64,
}

/// A stack with its values.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Sample {
    /// Innermost first.
    #[prost(uint64, repeated, tag = "1")]
    pub(crate) location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    pub(crate) value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) label: Vec<Label>,
}

/// What else is known of a sample.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Label {
    #[prost(int64, tag = "1")]
    pub(crate) key: i64,
    #[prost(int64, tag = "2")]
    pub(crate) str: i64,
    // 3 num, 4 num_unit: for numbers.
}

/// A module of the program.
#[expect(clippy::struct_excessive_bools, reason = "the format's own")]
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Mapping {
    /// From 1.
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    // 2 memory_start, 3 memory_limit, 4 file_offset, 6 build_id: not known.
    #[prost(int64, tag = "5")]
    pub(crate) filename: i64,
    #[prost(bool, tag = "7")]
    pub(crate) has_functions: bool,
    #[prost(bool, tag = "8")]
    pub(crate) has_filenames: bool,
    #[prost(bool, tag = "9")]
    pub(crate) has_line_numbers: bool,
    #[prost(bool, tag = "10")]
    pub(crate) has_inline_frames: bool,
}

/// A place on a stack.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Location {
    /// From 1.
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    /// 0 where it is not known.
    #[prost(uint64, tag = "2")]
    pub(crate) mapping_id: u64,
    // 3 address, 5 is_folded: a summary has none.
    #[prost(message, repeated, tag = "4")]
    pub(crate) line: Vec<Line>,
}

/// A line of a function.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Line {
    #[prost(uint64, tag = "1")]
    pub(crate) function_id: u64,
    #[prost(int64, tag = "2")]
    pub(crate) line: i64,
    // 3 column.
}

/// A function.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Function {
    /// From 1.
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(int64, tag = "2")]
    pub(crate) name: i64,
    #[prost(int64, tag = "3")]
    pub(crate) system_name: i64,
    #[prost(int64, tag = "4")]
    pub(crate) filename: i64,
    // 5 start_line.
}
