//! What the fuzz target `subagents` checks, on its corpus and on any octets.

use proptest::prelude::*;

use crate::dispatch::fuzz;

#[test]
fn the_fuzz_corpus_holds() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/subagents");
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
    fn whatever_subagents_do_every_request_is_answered_once(input in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz(&input);
    }
}
