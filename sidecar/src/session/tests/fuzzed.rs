//! What the fuzz target `session` checks, on its corpus and on any octets.

use proptest::prelude::*;

use crate::session::fuzz;

#[test]
fn the_fuzz_corpus_holds() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/session");
    let inputs: Vec<_> =
        std::fs::read_dir(corpus).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(inputs.len() >= 10, "{} files in the corpus", inputs.len());
    for input in inputs {
        fuzz(&input);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_a_master_does_the_session_does_what_it_must(input in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz(&input);
    }
}
