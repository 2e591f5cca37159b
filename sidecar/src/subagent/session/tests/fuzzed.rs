//! The checks of the fuzz target `session`, on its corpus and on random octets.

use proptest::prelude::*;

use crate::subagent::session::fuzz::fuzz;

#[test]
fn fuzz_corpus_passes() {
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
    fn session_behaves_correctly_whatever_the_master_does(input in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz(&input);
    }
}
