use std::borrow::Cow;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::format::{FILE_HEAD, FRAME_HEAD, MAGIC, OLDEST, VERSION};
use super::*;
use crate::model::fixture;

fn records() -> Vec<Record<'static>> {
    let slices = fixture::slices().into_iter().map(|slice| Record::Slice(Cow::Owned(slice)));
    [
        Record::Header(Cow::Owned(Header::new(fixture::target()))),
        Record::Definitions(Cow::Owned(fixture::definitions())),
    ]
    .into_iter()
    .chain(slices)
    .chain([Record::End { reason: "done".into() }])
    .collect()
}

/// The fixture's recording, with the offset of each frame and of the end.
fn recorded() -> (TempDir, PathBuf, Vec<u64>) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("run.mprof");
    let mut writer = Writer::create(&path).unwrap();
    let mut offsets = vec![fs::metadata(&path).unwrap().len()];
    for record in records() {
        writer.append(&record).unwrap();
        offsets.push(fs::metadata(&path).unwrap().len());
    }
    (dir, path, offsets)
}

fn read_back(path: &Path) -> (Vec<Record<'static>>, Option<Damage>) {
    let mut reader = Reader::open(path).unwrap();
    let records = reader.by_ref().collect();
    (records, reader.damage())
}

#[test]
fn what_is_written_is_read() {
    let (_dir, path, _) = recorded();
    assert_eq!(read_back(&path), (records(), None));
}

#[test]
fn a_replay_sums_up_like_the_run() {
    let (_dir, path, _) = recorded();
    let recording = read(&path).unwrap();
    assert_eq!(recording.session.summary(50), fixture::session().summary(50));
    assert_eq!(recording.session.last_summary(50), fixture::session().last_summary(50));
    assert_eq!(recording.end.as_deref(), Some("done"));
    assert_eq!(
        (recording.tool_version.as_str(), recording.damage),
        (env!("CARGO_PKG_VERSION"), None)
    );
}

#[test]
fn a_recording_without_an_end_says_so() {
    let (_dir, path, offsets) = recorded();
    let end = offsets[offsets.len() - 2];
    fs::File::options().write(true).open(&path).unwrap().set_len(end).unwrap();
    let (read, damage) = read_back(&path);
    assert_eq!(read.len(), records().len() - 1);
    let damage = damage.unwrap();
    assert_eq!((damage.offset, damage.skipped), (end, 0));
    assert!(damage.to_string().contains("no end"), "{damage}");
}

#[test]
fn a_damaged_frame_costs_only_itself() {
    let (_dir, path, offsets) = recorded();
    let mut bytes = fs::read(&path).unwrap();
    bytes[offsets[2] as usize + FRAME_HEAD + 5] ^= 0x40;
    fs::write(&path, bytes).unwrap();
    let (read, damage) = read_back(&path);
    let mut expected = records();
    expected.remove(2);
    assert_eq!(read, expected);
    let damage = damage.unwrap();
    assert_eq!((damage.offset, damage.skipped), (offsets[2], offsets[3] - offsets[2]));
    assert!(damage.to_string().contains("checksum"), "{damage}");
}

#[test]
fn a_damaged_length_ends_the_reading() {
    let (_dir, path, offsets) = recorded();
    let mut bytes = fs::read(&path).unwrap();
    bytes[offsets[3] as usize + 3] = 0xff;
    fs::write(&path, &bytes).unwrap();
    let (read, damage) = read_back(&path);
    assert_eq!(read, records()[..3]);
    let damage = damage.unwrap();
    assert_eq!((damage.offset, damage.skipped), (offsets[3], bytes.len() as u64 - offsets[3]));
}

#[test]
fn a_valid_frame_of_something_else_is_passed_over() {
    let (_dir, path, offsets) = recorded();
    let body = zstd::encode_all(&b"\x7fno such record"[..], 1).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let mut frame = (body.len() as u32).to_le_bytes().to_vec();
    frame.extend(crc32fast::hash(&body).to_le_bytes());
    frame.extend(&body);
    bytes.splice(offsets[1] as usize..offsets[1] as usize, frame);
    fs::write(&path, bytes).unwrap();
    let (read, damage) = read_back(&path);
    assert_eq!((read, damage.unwrap().offset), (records(), offsets[1]));
}

#[test]
fn a_lost_header_leaves_the_figures() {
    let (_dir, path, offsets) = recorded();
    let mut bytes = fs::read(&path).unwrap();
    bytes[offsets[0] as usize + FRAME_HEAD] ^= 1;
    fs::write(&path, bytes).unwrap();
    let recording = read(&path).unwrap();
    let (with, without) = (fixture::session().summary(9), recording.session.summary(9));
    assert_eq!((without.maps, without.target.pid), (with.maps, 0));
    assert_eq!(recording.damage.unwrap().offset, offsets[0]);
}

#[test]
fn foreign_older_and_newer_files_are_refused_by_name() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("x.mprof");
    for foreign in [&b""[..], b"map", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0", &MAGIC] {
        fs::write(&path, foreign).unwrap();
        let error = Reader::open(&path).unwrap_err();
        match foreign {
            [] => assert!(matches!(error, ReadError::Empty { .. }), "{error}"),
            _ => assert!(matches!(error, ReadError::Foreign { .. }), "{error}"),
        }
        assert!(error.to_string().contains("x.mprof"));
    }
    for (other, advice) in
        [(OLDEST - 1, "use the mapprof that recorded it"), (VERSION + 1, "newer mapprof")]
    {
        fs::write(&path, [&MAGIC[..], &other.to_le_bytes()].concat()).unwrap();
        let error = Reader::open(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("version {other},")), "{error}");
        assert!(error.contains("x.mprof") && error.contains(advice), "{error}");
    }
    let error = read(&dir.path().join("missing")).unwrap_err();
    assert!(
        matches!(error, ReadError::Io { .. }) && error.to_string().contains("missing"),
        "{error}"
    );
    let error = read(dir.path()).unwrap_err();
    assert!(matches!(error, ReadError::Io { .. }), "a directory: {error}");
}

#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    // Linux's own always-full device.
    let error = match Writer::create(Path::new("/dev/full")) {
        Ok(mut writer) => writer.append(&records()[0]).unwrap_err(),
        Err(error) => error,
    };
    assert!(
        error.to_string().contains("/dev/full") && error.to_string().contains("No space left"),
        "{error}"
    );
    let error = Writer::create(Path::new("/nonexistent/run.mprof")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/run.mprof"), "{error}");
}

/// Every byte in turn: nothing panics, what stands before is read, and what is wrong is
/// named at the frame that it is in.
#[test]
fn every_byte_is_flipped_in_turn() {
    let (dir, path, offsets) = recorded();
    let (whole, all) = (fs::read(&path).unwrap(), records());
    let damaged = dir.path().join("damaged.mprof");
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        fs::write(&damaged, &bytes).unwrap();
        let mut reader = match Reader::open(&damaged) {
            Ok(reader) => reader,
            Err(error) => {
                assert!(at < FILE_HEAD, "{at}: {error}");
                continue;
            }
        };
        assert!(at >= FILE_HEAD, "{at} is in the head");
        let read: Vec<_> = reader.by_ref().collect();
        let frame = offsets.iter().rposition(|&offset| offset <= at as u64).unwrap();
        assert_eq!(read[..frame], all[..frame], "{at}");
        // Of a length that is damaged, what follows cannot be found either.
        let rest = &read[frame..];
        assert!(rest.is_empty() || *rest == all[frame + 1..], "{at}");
        assert_eq!(reader.damage().unwrap().offset, offsets[frame], "{at}");
    }
}

#[test]
fn the_first_bytes_of_a_frame_tell_what_it_is() {
    use super::format::{Brief, brief, encode};
    for record in records() {
        let expected = match &record {
            Record::Slice(slice) => {
                Brief::Slice { start_unix_ns: slice.start_unix_ns, duration_ns: slice.duration_ns }
            }
            _ => Brief::Other,
        };
        assert_eq!(brief(&encode(&record).unwrap()[FRAME_HEAD..]), Some(expected));
    }
    assert_eq!(brief(b"no frame"), None);
}

#[test]
fn a_lying_header_of_many_records_is_no_allocation() {
    let (_dir, path, offsets) = recorded();
    let mut file = fs::File::options().append(true).open(&path).unwrap();
    file.write_all(&(super::format::MOST_COMPRESSED).to_le_bytes()).unwrap();
    file.write_all(&[0; 4]).unwrap();
    let (read, damage) = read_back(&path);
    assert_eq!((read.len(), damage.unwrap().offset), (records().len(), *offsets.last().unwrap()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cut_anywhere_it_is_read_up_to_there(cut in any::<prop::sample::Index>()) {
        let (_dir, path, offsets) = recorded();
        let len = FILE_HEAD + cut.index(*offsets.last().unwrap() as usize - FILE_HEAD);
        fs::File::options().write(true).open(&path).unwrap().set_len(len as u64).unwrap();
        let (read, damage) = read_back(&path);
        let whole = offsets[1..].iter().filter(|&&end| end <= len as u64).count();
        prop_assert_eq!(&read[..], &records()[..whole]);
        prop_assert_eq!(damage.map(|damage| damage.offset), Some(offsets[whole]));
    }

    #[test]
    fn damaged_anywhere_it_never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let (_dir, path, offsets) = recorded();
        let mut bytes = fs::read(&path).unwrap();
        let first = changes.iter().map(|(at, _)| at.index(bytes.len())).min().unwrap() as u64;
        for (at, value) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        fs::write(&path, &bytes).unwrap();
        if let Ok(mut reader) = Reader::open(&path) {
            let read: Vec<_> = reader.by_ref().collect();
            let untouched = offsets[1..].iter().filter(|&&end| end <= first).count();
            prop_assert_eq!(&read[..untouched], &records()[..untouched]);
        }
    }

    /// With a checksum that matches: not damaged, but made up.
    #[test]
    fn lying_records_never_panic(
        which in 0_usize..5,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let mut plain = postcard::to_stdvec(&records()[which]).unwrap();
        for (at, value) in &changes {
            let at = at.index(plain.len());
            plain[at] = *value;
        }
        let decoded = super::format::decode(&zstd::encode_all(&plain[..], 1).unwrap(), VERSION);
        prop_assert!(decoded.is_ok() || !changes.is_empty());
        let mut session = fixture::session();
        match decoded.map(|(record, _)| record) {
            Ok(Record::Slice(slice)) => session.push(slice.into_owned()),
            Ok(Record::Definitions(names)) => session.define(names.into_owned()),
            _ => {}
        }
        session.summary(10);
        session.last_summary(10);
    }
}
