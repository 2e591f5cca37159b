//! Object identifiers as text and as arcs.

use crate::samples::oid;
use agentx::{Oid, OidError};

#[test]
fn dotted_arcs_are_parsed_and_displayed() {
    let cases =
        [("1", "1"), (".1.3", "1.3"), ("1.3.6.1.4.1.99999", "1.3.6.1.4.1.99999"), ("0.4294967295", "0.4294967295")];
    for (text, written) in cases {
        assert_eq!(oid(text).to_string(), written);
    }
    assert_eq!(format!("{:?}", oid("1.3")), "Oid(1.3)");
}

#[test]
fn an_invalid_arc_is_reported_with_its_position() {
    let cases = [
        ("", 1, ""),
        (".", 1, ""),
        ("1.", 2, ""),
        ("1..3", 2, ""),
        ("..1", 1, ""),
        ("1.x", 2, "x"),
        ("+1", 1, "+1"),
        ("1.-3", 2, "-3"),
        ("01", 1, "01"),
        ("1.4294967296", 2, "4294967296"),
        ("1.3 ", 2, "3 "),
    ];
    for (text, position, arc) in cases {
        assert_eq!(text.parse::<Oid>(), Err(OidError::Arc { position, arc: arc.to_owned() }), "{text:?}");
    }
}

#[test]
fn an_oid_has_at_most_128_arcs() {
    let too_long = Err(OidError::TooLong { len: 129 });
    let longest = Oid::new(vec![1; 128]).unwrap();
    assert_eq!(Oid::new(vec![1; 129]), too_long);
    assert_eq!(longest.join(&[1]), too_long);
    assert_eq!(vec!["1"; 129].join(".").parse(), too_long);
    let mut assigned = oid("1.3");
    assert_eq!(assigned.assign(&[1; 129]), Err(OidError::TooLong { len: 129 }));
    assert_eq!(assigned, oid("1.3"));
}

#[test]
fn assigning_arcs_reuses_the_memory() {
    let mut assigned = oid("1.2.3");
    let memory = assigned.as_ptr();
    assigned.assign(&[4, 5]).unwrap();
    assert_eq!(assigned, oid("4.5"));
    assert_eq!(assigned.as_ptr(), memory);
}

#[test]
fn oids_are_ordered_like_a_walk() {
    let mut oids = ["1.10", "1.2.1", "2", "1.2", "1.4294967295", "1"].map(oid);
    oids.sort();
    assert_eq!(oids, ["1", "1.2", "1.2.1", "1.10", "1.4294967295", "2"].map(oid));
    assert!(Oid::default() < oid("0"));
}

#[cfg(feature = "serde")]
#[test]
fn json_has_dotted_arcs() {
    assert_eq!(serde_json::to_string(&oid("1.3.6")).unwrap(), r#""1.3.6""#);
    assert_eq!(serde_json::from_str::<Oid>(r#""1.3.6""#).unwrap(), oid("1.3.6"));
    assert!(serde_json::from_str::<Oid>(r#""1.x""#).is_err());
}
