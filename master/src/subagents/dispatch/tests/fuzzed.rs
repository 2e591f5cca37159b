//! Runs the fuzz target `subagents` on its corpus and on random inputs.

use proptest::prelude::*;

use crate::subagents::dispatch::fuzz;

#[test]
fn the_fuzz_corpus_keeps_the_invariants() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/subagents");
    let inputs: Vec<_> =
        std::fs::read_dir(corpus).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(inputs.len() >= 10, "only {} files in the corpus", inputs.len());
    for input in inputs {
        fuzz::run(&input);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_request_is_answered_once_whatever_subagents_do(input in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz::run(&input);
    }
}
