//! A recording whose disk fills up in the middle of a record and has room again
//! later. A test binary of its own: the limit that stands for the disk's end holds
//! for the whole process.
#![expect(unsafe_code, reason = "setrlimit and signal have no safe wrapper among the dependencies")]

use std::borrow::Cow;

use mapprof::model::{Builder, Limits, Slice, SliceMeta, TargetInfo};
use mapprof::recording::{Header, Reader, Record, Writer};
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
        builder.operation(0, Op::Insert, Some((&key, 4)), None, 0x1000);
    }
    builder.close(SliceMeta::default())
}

#[test]
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
