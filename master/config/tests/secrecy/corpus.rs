//! Runs the checks of the fuzz target on its committed corpus, so that defects that fuzzing has found do not return.

use std::{fs, path::Path};

#[path = "../../fuzz/checks/document.rs"]
pub(super) mod document;

#[test]
fn the_fuzz_corpus_keeps_the_invariants() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/document");
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 20, "{} files in the corpus", files.len());
    for file in files {
        println!("{}", file.display());
        document::check(&fs::read(file).unwrap());
    }
}
