//! How index values become sub-identifiers (RFC 2578 section 7.7).

use std::net::Ipv4Addr;

use agentx::{Oid, SubId};
use sidecar_config::IndexEncoding;

/// The highest value of an integer index.
pub(super) const HIGHEST: SubId = i32::MAX.cast_unsigned();

/// A decimal integer of 0 to 2³¹ − 1: digits only, without leading zeros, so that no two texts are one index.
pub(super) fn integer(text: &str) -> Option<SubId> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|value| canonical && *value <= HIGHEST)
}

/// 31 bits of a hash: the 64-bit FNV-1a hash of the text's octets, modulo 2³¹ − 1, plus 1. It never changes.
pub(super) fn hash(text: &str) -> SubId {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3));
    u32::try_from(hash % u64::from(HIGHEST)).unwrap_or(0) + 1
}

/// Appends the sub-identifiers of `text`. `assign` gives the number for [`IndexEncoding::Assigned`].
///
/// Returns whether the text has any in this encoding. Of a text that is longer than any OID only so much is appended
/// as to make the OID too long.
pub(super) fn encode(
    encoding: IndexEncoding,
    text: &str,
    assign: impl FnOnce() -> Option<SubId>,
    arcs: &mut Vec<SubId>,
) -> bool {
    let octets = || text.bytes().take(Oid::MAX_LEN + 1).map(SubId::from);
    match encoding {
        IndexEncoding::Integer => return push(integer(text), arcs),
        IndexEncoding::Hash => arcs.push(hash(text)),
        IndexEncoding::Assigned => return push(assign(), arcs),
        IndexEncoding::ImpliedString => arcs.extend(octets()),
        IndexEncoding::String => {
            arcs.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
            arcs.extend(octets());
        }
        IndexEncoding::IpAddress => match text.parse::<Ipv4Addr>() {
            Ok(address) => arcs.extend(address.octets().map(SubId::from)),
            Err(_) => return false,
        },
    }
    true
}

fn push(arc: Option<SubId>, arcs: &mut Vec<SubId>) -> bool {
    arcs.extend(arc);
    arc.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::integer(IndexEncoding::Integer, "7", Some(&[7][..]))]
    #[case::integer_zero(IndexEncoding::Integer, "0", Some(&[0][..]))]
    #[case::the_highest_integer(IndexEncoding::Integer, "2147483647", Some(&[2_147_483_647][..]))]
    #[case::an_integer_beyond(IndexEncoding::Integer, "2147483648", None)]
    #[case::an_integer_below(IndexEncoding::Integer, "-1", None)]
    #[case::an_integer_with_a_plus(IndexEncoding::Integer, "+1", None)]
    #[case::an_integer_with_leading_zeros(IndexEncoding::Integer, "007", None)]
    #[case::no_integer(IndexEncoding::Integer, "eth0", None)]
    #[case::no_digits(IndexEncoding::Integer, "", None)]
    #[case::string(IndexEncoding::String, "ab", Some(&[2, 97, 98][..]))]
    #[case::string_in_octets(IndexEncoding::String, "é", Some(&[2, 195, 169][..]))]
    #[case::implied_string(IndexEncoding::ImpliedString, "ab", Some(&[97, 98][..]))]
    #[case::address(IndexEncoding::IpAddress, "10.0.0.255", Some(&[10, 0, 0, 255][..]))]
    #[case::no_address(IndexEncoding::IpAddress, "10.0.0", None)]
    #[case::assigned(IndexEncoding::Assigned, "x", Some(&[9][..]))]
    fn texts_become_arcs(#[case] encoding: IndexEncoding, #[case] text: &str, #[case] expected: Option<&[SubId]>) {
        let mut arcs = Vec::new();
        let encoded = encode(encoding, text, || Some(9), &mut arcs);
        assert_eq!(encoded.then_some(arcs.as_slice()), expected);
    }

    #[test]
    fn hashes_never_change_and_lie_between_one_and_the_highest() {
        // Computed independently: FNV-1a's published 64-bit test vectors, reduced.
        for (text, fnv) in
            [("", 0xcbf2_9ce4_8422_2325_u64), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(u64::from(hash(text)), fnv % 2_147_483_647 + 1, "{text:?}");
        }
        assert_eq!(hash("eth0"), 39_686_857);
    }

    #[test]
    fn a_text_of_any_length_takes_bounded_room() {
        let mut arcs = Vec::new();
        assert!(encode(IndexEncoding::String, &"x".repeat(1_000_000), || None, &mut arcs));
        assert!(arcs.len() > Oid::MAX_LEN && arcs.len() < 200);
    }
}
