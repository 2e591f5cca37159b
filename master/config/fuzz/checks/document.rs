//! The body of the fuzz target `document`, which `cargo test` also runs over the committed corpus.

use master_config::{MAX_VIOLATIONS, ParseError, Violation, parse, parse_strict, read};

/// What all secrets in the corpus begin with.
pub(crate) const MARK: &str = "golden-";

/// Any octets as documents, which a NUL parts: no panic; nothing that is told of them has the mark in it; what is
/// valid can be written, and reads the same, by a strict reader too.
pub(crate) fn check(octets: &[u8]) {
    let mut all = Vec::new();
    for octets in octets.split(|octet| *octet == 0) {
        check_one(octets);
        all.extend(read(octets));
    }
    let mut all = all.into_iter();
    if let Some(first) = all.next()
        && let Err(violations) = first.join(all).validate()
    {
        keep_secrets(&violations);
    }
}

fn check_one(octets: &[u8]) {
    let lenient = parse(octets);
    match (&lenient, parse_strict(octets)) {
        (Ok(valid), strict) => {
            assert!(strict.is_err() || strict.as_ref() == Ok(valid));
            let written = serde_json::to_vec(valid).unwrap_or_default();
            assert_eq!(parse_strict(&written).as_ref(), Ok(valid));
        }
        (Err(ParseError::Invalid(violations)), Err(ParseError::Invalid(mut strict))) => {
            keep_secrets(violations);
            // The names of unknown fields are told, and may be anything.
            strict.retain(|violation| violation.message != "unknown field");
            assert_eq!(&strict, violations);
        }
        (Err(error), strict) => {
            assert_eq!(Err(error), strict.as_ref());
            assert_eq!(read(octets).as_ref(), Err(error));
            assert!(!format!("{error}\n{error:?}").contains(MARK), "{error}");
        }
    }
}

fn keep_secrets(violations: &[Violation]) {
    assert!((1..=MAX_VIOLATIONS).contains(&violations.len()));
    assert!(!format!("{violations:?}").contains(MARK), "{violations:?}");
}
