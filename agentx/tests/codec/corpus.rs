//! Runs the fuzz targets on their committed corpus, so that errors that fuzzing found do not return.

use crate::samples::{Sample, frame, samples};
use std::{fs, path::PathBuf};

#[path = "../../fuzz/checks/decode.rs"]
pub(crate) mod decoder;
#[path = "../../fuzz/checks/framer.rs"]
pub(crate) mod framer;

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

fn replay(target: &str, check: fn(&[u8])) {
    let files: Vec<PathBuf> = fs::read_dir(corpus(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 12, "{} files in the corpus", files.len());
    for file in files {
        println!("{}", file.display());
        check(&fs::read(file).unwrap());
    }
}

#[test]
fn the_decoder_passes_its_corpus() {
    replay("decode", decoder::check);
}

#[test]
fn the_framer_passes_its_corpus() {
    replay("framer", framer::check);
}

/// The corpus contains the samples. `UPDATE_CORPUS=1 cargo test` writes them.
#[test]
fn the_corpus_has_every_sample() {
    let samples = samples();
    let frames = samples.iter().map(|Sample { name, octets, .. }| ("decode", (*name).to_owned(), octets.clone()));
    let hostile = hostile_frames().into_iter().map(|(name, octets)| ("decode", name.to_owned(), octets));
    let streams = samples.chunks(2).enumerate().map(|(number, pair)| {
        let split = u8::try_from(number * 5).unwrap();
        let octets = pair.iter().flat_map(|sample| sample.octets.clone());
        ("framer", format!("stream-{number}"), std::iter::once(split).chain(octets).collect())
    });
    for (target, name, octets) in frames.chain(hostile).chain(streams) {
        let file = corpus(target).join(name);
        if std::env::var_os("UPDATE_CORPUS").is_some() {
            fs::write(&file, &octets).unwrap();
        }
        assert_eq!(fs::read(&file).ok(), Some(octets), "{}", file.display());
    }
}

fn hostile_frames() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("hostile-empty", vec![]),
        ("hostile-context-in-response", frame("12 18", "00000003 637478 00 | 00000000 0000 0000")),
        ("hostile-long-oid", frame("11 10", &format!("7c 04 00 00 {}", "00000001".repeat(124)))),
        ("hostile-longest-oid", frame("11 10", &format!("7b 04 00 00 {}", "00000001".repeat(123)))),
        ("hostile-octets-past-the-end", frame("08 10", "0004 0000 | 00000000 | ffffffff")),
        ("hostile-range-position", frame("03 10", "00 7f 04 00 | 01 00 00 00 00000001 | 00000001")),
        ("hostile-ip-address", frame("08 10", "0040 0000 | 00000000 | 00000005 0102030405 000000")),
    ]
}
