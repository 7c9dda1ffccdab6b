//! What the formats that are not text say, as text: read by other code than wrote it
//! wherever there is some.

use std::fmt::Write;
use std::io::Read;

use flate2::read::GzDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Row;
use prost::Message;
use prost::bytes::Bytes;

use super::pprof::proto::{Profile, Sample, ValueType};

/// A profile's messages.
pub(super) fn profile(gzipped: &[u8]) -> Profile {
    let mut bytes = Vec::new();
    GzDecoder::new(gzipped).read_to_end(&mut bytes).unwrap();
    Profile::decode(bytes.as_slice()).unwrap()
}

/// A profile with names instead of numbers.
pub(super) fn profile_text(gzipped: &[u8]) -> String {
    let profile = profile(gzipped);
    let text = |index: i64| profile.string_table[index as usize].as_str();
    let value = |value: &ValueType| format!("{}/{}", text(value.r#type), text(value.unit));
    let mut out = String::new();
    let types: Vec<String> = profile.sample_type.iter().map(value).collect();
    writeln!(out, "samples of {}", types.join(" and ")).unwrap();
    let period = profile.period_type.as_ref().map(value);
    writeln!(out, "period {} {period:?}", profile.period).unwrap();
    writeln!(out, "at {} for {} ns", profile.time_nanos, profile.duration_nanos).unwrap();
    for &comment in &profile.comment {
        writeln!(out, "# {}", text(comment)).unwrap();
    }
    for mapping in &profile.mapping {
        writeln!(out, "mapping {} {}", mapping.id, text(mapping.filename)).unwrap();
    }
    for sample in &profile.sample {
        writeln!(out, "{}", sample_text(&profile, sample)).unwrap();
    }
    out
}

fn sample_text(profile: &Profile, sample: &Sample) -> String {
    let text = |index: i64| profile.string_table[index as usize].as_str();
    let mut out = format!("{:?}", sample.value);
    for label in &sample.label {
        write!(out, " {}={}", text(label.key), text(label.str)).unwrap();
    }
    for &id in &sample.location_id {
        let place = profile.location.iter().find(|place| place.id == id).unwrap();
        let line = place.line[0];
        let function = profile.functions(line.function_id);
        let (name, file) = (text(function.name), text(function.filename));
        write!(out, "\n    {name} {file}:{} in {}", line.line, place.mapping_id).unwrap();
    }
    out
}

impl Profile {
    fn functions(&self, id: u64) -> &super::pprof::proto::Function {
        self.function.iter().find(|function| function.id == id).unwrap()
    }
}

/// One interval of a log.
#[derive(Debug)]
pub(super) struct Interval {
    pub(super) tag: Option<String>,
    pub(super) start_s: f64,
    pub(super) length_s: f64,
    pub(super) histogram: Histogram<u64>,
}

/// A log's intervals.
pub(super) fn intervals(log: &[u8]) -> Vec<Interval> {
    let entries = IntervalLogIterator::new(log).map(|entry| entry.unwrap());
    let intervals = entries.filter_map(|entry| match entry {
        LogEntry::Interval(interval) => Some(interval),
        _ => None,
    });
    let mut deserializer = Deserializer::new();
    let mut read = |encoded: &str| {
        let bytes = base64(encoded);
        deserializer.deserialize(&mut bytes.as_slice()).unwrap()
    };
    intervals
        .map(|it| Interval {
            tag: it.tag().map(|tag| tag.as_str().to_owned()),
            start_s: it.start_timestamp().as_secs_f64(),
            length_s: it.duration().as_secs_f64(),
            histogram: read(it.encoded_histogram()),
        })
        .collect()
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter(|&c| c != b'=');
    let digits: Vec<u32> =
        digits.map(|c| DIGITS.iter().position(|&digit| digit == c).unwrap() as u32).collect();
    let group = |group: &[u32]| {
        let bits = (0..4).fold(0, |bits, i| bits << 6 | group.get(i).copied().unwrap_or(0));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}

/// A log with the figures of its histograms.
pub(super) fn log_text(log: &[u8]) -> String {
    let text = std::str::from_utf8(log).unwrap();
    let mut out = String::new();
    for line in text.lines().filter(|line| !line.contains("HISTF")) {
        writeln!(out, "{line}").unwrap();
    }
    for it in intervals(log) {
        let (h, tag) = (&it.histogram, it.tag.unwrap_or_default());
        writeln!(
            out,
            "{tag} at {:.3} for {:.3}: {} waits, p50 {} max {}",
            it.start_s,
            it.length_s,
            h.len(),
            h.value_at_quantile(0.5),
            h.max()
        )
        .unwrap();
    }
    out
}

/// A Parquet file's rows.
pub(super) fn rows(file: &[u8]) -> Vec<Row> {
    let reader = SerializedFileReader::new(Bytes::copy_from_slice(file)).unwrap();
    reader.get_row_iter(None).unwrap().map(|row| row.unwrap()).collect()
}

/// A Parquet file's metadata, schema and rows.
pub(super) fn parquet_text(file: &[u8]) -> String {
    let reader = SerializedFileReader::new(Bytes::copy_from_slice(file)).unwrap();
    let about = reader.metadata().file_metadata();
    let mut out = String::new();
    for pair in about.key_value_metadata().unwrap() {
        writeln!(out, "{} = {:?}", pair.key, pair.value).unwrap();
    }
    let mut schema = Vec::new();
    parquet::schema::printer::print_schema(&mut schema, about.schema());
    out.push_str(std::str::from_utf8(&schema).unwrap());
    for row in rows(file) {
        writeln!(out, "{row}").unwrap();
    }
    out
}
