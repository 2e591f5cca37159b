//! The fuzz target over its committed corpus, so that what fuzzing once found stays found.

use std::{fs, path::Path};

#[path = "../../fuzz/checks/document.rs"]
pub(super) mod document;

#[test]
fn nothing_in_the_corpus_breaks_the_reader() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/document");
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 20, "{} files in the corpus", files.len());
    for file in files {
        println!("{}", file.display());
        document::check(&fs::read(file).unwrap());
    }
}
