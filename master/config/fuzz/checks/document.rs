//! The checks of the fuzz target `document`. `cargo test` also runs them on the committed corpus.

use master_config::{MAX_VIOLATIONS, ParseError, Violation, parse, parse_strict, read};

/// The prefix of all secrets in the corpus.
pub(crate) const MARK: &str = "golden-";

/// Parses octets as documents, separated by NUL, and checks the invariants: parsing does not panic, errors do not
/// contain [`MARK`], and a valid document is equal after it is written and parsed strictly.
///
/// # Panics
/// Panics if an invariant is violated.
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
        assert_no_secrets(&violations);
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
            assert_no_secrets(violations);
            // The errors of unknown fields contain their names, which can be any text.
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

fn assert_no_secrets(violations: &[Violation]) {
    assert!((1..=MAX_VIOLATIONS).contains(&violations.len()));
    assert!(!format!("{violations:?}").contains(MARK), "{violations:?}");
}
