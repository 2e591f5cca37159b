//! No input makes the codec panic, and errors have a position inside the input.

use crate::{
    arbitrary::pdu,
    corpus::decoder::check,
    samples::{Sample, frame, frame_of, octets, samples},
};
use agentx::{DecodeError, DecodeErrorKind, Limits, decode, encode};
use proptest::{collection::vec, prelude::*, sample::Index};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_octets_give_a_pdu_or_an_error_inside_them(octets in vec(any::<u8>(), 0..200)) {
        check(&octets);
    }

    #[test]
    fn any_payload_gives_a_pdu_or_an_error_inside_it(pdu_type in 0..20_u8, flags in 0..0x20_u8, words in vec(any::<[u8; 4]>(), 0..40)) {
        // Small octets give plausible lengths and types.
        let payload: Vec<u8> =
            words.into_iter().flatten().map(|octet| if octet % 3 == 0 { octet } else { octet % 8 }).collect();
        check(&frame_of([pdu_type, flags], &payload));
    }

    #[test]
    fn a_pdu_with_changed_octets_gives_a_pdu_or_an_error_inside_it(pdu in pdu(), changes in vec(any::<(Index, u8)>(), 1..4)) {
        let mut octets = Vec::new();
        encode(&pdu, &mut octets).unwrap();
        for (at, octet) in changes {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        check(&octets);
    }
}

#[test]
fn a_frame_that_is_too_short_or_too_long_is_an_error() {
    for Sample { name, octets, .. } in samples() {
        for len in 0..octets.len() {
            assert!(decode(&octets[..len], &Limits::default()).is_err(), "{name} cut to {len}");
        }
        let actual = octets.len() - 20 + 1;
        let error = decode(&[octets.as_slice(), &[0]].concat(), &Limits::default()).unwrap_err();
        assert!(
            matches!(error.kind, DecodeErrorKind::PayloadMismatch { actual: a, .. } if a == actual),
            "{name}: {error}"
        );
    }
}

#[test]
fn an_error_has_a_kind_and_a_position() {
    use DecodeErrorKind as Kind;
    let limits = Limits { payload: 1024, varbinds: 2, octets: 16 };
    let varbind = "0005 0000 | 00 00 00 00";
    let range = "00 00 00 00 | 00 00 00 00";
    let string_of_17 = format!("00000011 {}", "41".repeat(20));
    let arcs = |arcs: usize| "00000001".repeat(arcs);
    let cases = [
        ("no header", octets("01 05 10"), 3, Kind::Truncated),
        ("version", octets(&format!("02 {}", "00".repeat(19))), 0, Kind::Version(2)),
        ("PDU type 0", frame("00 10", ""), 1, Kind::UnknownPduType(0)),
        ("PDU type 19", frame("13 10", ""), 1, Kind::UnknownPduType(19)),
        (
            "payload over the limit",
            frame("0d 10", &"00".repeat(1028)),
            16,
            Kind::PayloadOverLimit { len: 1028, limit: 1024 },
        ),
        ("context past the end", frame("0d 18", "00000008 63747800"), 24, Kind::Truncated),
        ("context over the limit", frame("0d 18", &string_of_17), 20, Kind::OctetsOverLimit { len: 17, limit: 16 }),
        ("no reason", frame("02 10", ""), 20, Kind::Truncated),
        ("after a Close", frame("02 10", "01000000 00000000"), 24, Kind::Trailing(4)),
        ("after a Ping", frame("0d 10", "00000000"), 20, Kind::Trailing(4)),
        ("after a CommitSet", frame("09 10", "00000000 00000000"), 20, Kind::Trailing(8)),
        ("no OID", frame("11 10", ""), 20, Kind::Truncated),
        ("arcs past the end", frame("11 10", "02 00 00 00 00000001"), 24, Kind::Truncated),
        ("129 arcs", frame("11 10", &format!("81 00 00 00 {}", arcs(129))), 20, Kind::OidTooLong { len: 129 }),
        (
            "129 arcs with the prefix",
            frame("11 10", &format!("7c 04 00 00 {}", arcs(124))),
            20,
            Kind::OidTooLong { len: 129 },
        ),
        ("no description", frame("10 10", "00 00 00 00"), 24, Kind::Truncated),
        (
            "description over the limit",
            frame("10 10", &format!("00 00 00 00 {string_of_17}")),
            24,
            Kind::OctetsOverLimit { len: 17, limit: 16 },
        ),
        ("padding past the end", frame("10 10", "00 00 00 00 00000005 41414141"), 28, Kind::Truncated),
        (
            "position past the subtree",
            frame("03 10", "00 7f 02 00 | 01 00 00 00 00000001 | 00000009"),
            22,
            Kind::RangePosition { position: 2, len: 1 },
        ),
        (
            "position in a null subtree, in a context",
            frame("04 18", "00000001 61000000 | 00 7f 01 00 | 00 00 00 00 | 00000009"),
            30,
            Kind::RangePosition { position: 1, len: 0 },
        ),
        ("no upper bound", frame("03 10", "00 7f 01 00 | 01 00 00 00 00000001"), 32, Kind::Truncated),
        ("half a range", frame("05 10", "00 00 00 00"), 24, Kind::Truncated),
        ("three ranges", frame("06 10", &range.repeat(3)), 36, Kind::TooManyVarBinds { limit: 2 }),
        ("no repetitions", frame("07 10", ""), 20, Kind::Truncated),
        ("half a varbind", frame("08 10", "0002 0000 | 00 00 00 00"), 28, Kind::Truncated),
        ("value type 3", frame("08 10", &format!("{varbind} | 0003 0000 | 00000000")), 28, Kind::UnknownValueType(3)),
        ("three varbinds", frame("0c 10", &varbind.repeat(3)), 36, Kind::TooManyVarBinds { limit: 2 }),
        ("half a Counter64", frame("08 10", "0046 0000 | 00000000 | 00000000"), 28, Kind::Truncated),
        (
            "an IpAddress of five",
            frame("08 10", "0040 0000 | 00000000 | 00000005 4141414141 000000"),
            28,
            Kind::IpAddressLength { len: 5 },
        ),
        (
            "string over the limit",
            frame("08 10", &format!("0004 0000 | 00000000 | {string_of_17}")),
            28,
            Kind::OctetsOverLimit { len: 17, limit: 16 },
        ),
        ("no error", frame("12 10", "00000000"), 24, Kind::Truncated),
    ];
    for (what, octets, offset, kind) in cases {
        assert_eq!(decode(&octets, &limits), Err(DecodeError { offset, kind }), "{what}");
    }
}

#[test]
fn lengths_at_the_limits_are_accepted() {
    let limits = Limits { payload: 44, varbinds: 2, octets: 16 };
    let varbind = format!("0004 0000 | 00000000 | 00000010 {}", "41".repeat(16));
    let null = "0005 0000 | 00000000";
    assert!(decode(&frame("0c 10", &format!("{varbind} {null}")), &limits).is_ok());
}

#[test]
fn an_error_is_displayed_with_its_position() {
    let error = decode(&frame("11 10", "02 00 00 00 00000001"), &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "at octet 24: the frame ends too early");
}
