//! A recording whose disk fills up in the middle of a record and has room again
//! later. A test binary of its own: the limit that stands for the disk's end holds
//! for the whole process.
#![expect(unsafe_code, reason = "setrlimit and signal have no safe wrapper among the dependencies")]

use std::borrow::Cow;

use mapprof::model::{Builder, Limits, Slice, SliceMeta, TargetInfo};
use mapprof::recording::{Header, Reader, Record, Recorder, Writer, read};
use probe_ebpf::Op;

/// Bytes a file may have from now on; a write beyond is an error, not a signal.
fn limit_files_to(bytes: libc::rlim_t) {
    // SAFETY: both calls take plain values and a pointer to a live one.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
    }
}

fn slice(keys: u32) -> Slice {
    let mut builder = Builder::new(Limits::default());
    for key in 0..keys {
        let key = key.wrapping_mul(2_654_435_761).to_le_bytes();
        builder.operation(0, Op::Insert, Some((&key, 4)), None, 0x1000, 1);
    }
    builder.close(SliceMeta::default())
}

/// In one test, since the limit is the process's.
#[test]
fn a_full_disk_costs_at_most_one_interval() {
    half_a_record_is_taken_back();
    what_does_not_fit_goes_in_later();
}

fn what_does_not_fit_goes_in_later() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("run.mprof");
    let mut recorder = Recorder::create(&path, u64::MAX, Limits::default()).unwrap();
    let names = mapprof::model::Definitions::default();
    limit_files_to(200);
    let error = recorder.header(Header::new(TargetInfo {
        exe: (0..1000_u32).map(|n| char::from_u32(0x4e00 + n * 7 % 5000).unwrap()).collect(),
        ..TargetInfo::default()
    }));
    assert!(error.is_err());
    for _ in 0..3 {
        let before = std::fs::metadata(&path).unwrap().len();
        assert!(recorder.interval(&names, &slice(2_000)).is_err());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), before);
    }
    assert_eq!(recorder.missing().unwrap().maps[0].ops.total(), 3 * 2_000);
    limit_files_to(libc::RLIM_INFINITY);
    recorder.interval(&names, &slice(2_000)).unwrap();
    assert!(recorder.missing().is_none());
    recorder.end("done").unwrap();
    let recording = read(&path).unwrap();
    assert_eq!(recording.damage, None);
    assert_eq!(recording.session.summary(1).maps[0].ops.total(), 4 * 2_000);
    assert_eq!(recording.session.target().exe.chars().count(), 1000);
}

fn half_a_record_is_taken_back() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("run.mprof");
    let mut writer = Writer::create(&path).unwrap();
    let header = Record::Header(Cow::Owned(Header::new(TargetInfo::default())));
    let (large, small) = (slice(50_000), slice(3));
    let end = Record::End { reason: "done".into() };

    writer.append(&header).unwrap();
    let before = std::fs::metadata(&path).unwrap().len();
    limit_files_to(before + 1000);
    let error = writer.append(&Record::Slice(Cow::Borrowed(&large))).unwrap_err();
    assert!(error.to_string().contains("run.mprof"), "{error}");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), before);
    writer.append(&Record::Slice(Cow::Borrowed(&small))).unwrap();
    limit_files_to(libc::RLIM_INFINITY);
    writer.append(&Record::Slice(Cow::Borrowed(&large))).unwrap();
    writer.append(&end).unwrap();

    let mut reader = Reader::open(&path).unwrap();
    let read: Vec<_> = reader.by_ref().collect();
    assert_eq!(reader.damage(), None);
    let slices = [small, large].map(|slice| Record::Slice(Cow::Owned(slice)));
    assert_eq!(read, [&[header][..], &slices, &[end]].concat());
}
