//! The encoding of index values as arcs (RFC 2578 section 7.7).

use std::{hash::Hasher as _, net::Ipv4Addr};

use agentx::SubId;
use fnv::FnvHasher;
use sidecar_config::IndexEncoding;

/// The highest value of an integer index.
pub(super) const HIGHEST: SubId = i32::MAX.cast_unsigned();

/// Parses a decimal integer from 0 to 2³¹ − 1. Leading zeros and signs are not allowed, so that different texts have
/// different indexes.
pub(super) fn integer(text: &str) -> Option<SubId> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|value| canonical && *value <= HIGHEST)
}

/// Returns the 64-bit FNV-1a hash of the text's octets, modulo 2³¹ − 1, plus 1. This function must never change:
/// managers store the indexes.
pub(super) fn hash(text: &str) -> SubId {
    let mut hasher = FnvHasher::default();
    hasher.write(text.as_bytes());
    u32::try_from(hasher.finish() % u64::from(HIGHEST)).unwrap_or(0) + 1
}

/// Appends the encoding of `text` to `arcs`. `assign` returns the number for [`IndexEncoding::Assigned`].
///
/// Returns false if the text cannot be encoded.
pub(super) fn encode(
    encoding: IndexEncoding,
    text: &str,
    assign: impl FnOnce() -> Option<SubId>,
    arcs: &mut Vec<SubId>,
) -> bool {
    let octets = || text.bytes().map(SubId::from);
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
    #[case::an_integer_above_the_range(IndexEncoding::Integer, "2147483648", None)]
    #[case::a_negative_integer(IndexEncoding::Integer, "-1", None)]
    #[case::an_integer_with_a_plus_sign(IndexEncoding::Integer, "+1", None)]
    #[case::an_integer_with_leading_zeros(IndexEncoding::Integer, "007", None)]
    #[case::a_text_that_is_not_an_integer(IndexEncoding::Integer, "eth0", None)]
    #[case::an_empty_text(IndexEncoding::Integer, "", None)]
    #[case::string(IndexEncoding::String, "ab", Some(&[2, 97, 98][..]))]
    #[case::string_in_octets(IndexEncoding::String, "é", Some(&[2, 195, 169][..]))]
    #[case::implied_string(IndexEncoding::ImpliedString, "ab", Some(&[97, 98][..]))]
    #[case::address(IndexEncoding::IpAddress, "10.0.0.255", Some(&[10, 0, 0, 255][..]))]
    #[case::an_incomplete_address(IndexEncoding::IpAddress, "10.0.0", None)]
    #[case::assigned(IndexEncoding::Assigned, "x", Some(&[9][..]))]
    fn texts_are_encoded_as_arcs(
        #[case] encoding: IndexEncoding,
        #[case] text: &str,
        #[case] expected: Option<&[SubId]>,
    ) {
        let mut arcs = Vec::new();
        let encoded = encode(encoding, text, || Some(9), &mut arcs);
        assert_eq!(encoded.then_some(arcs.as_slice()), expected);
    }

    #[test]
    fn hashes_are_stable_and_within_range() {
        // The published 64-bit test vectors of FNV-1a, reduced.
        for (text, fnv) in
            [("", 0xcbf2_9ce4_8422_2325_u64), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(u64::from(hash(text)), fnv % 2_147_483_647 + 1, "{text:?}");
        }
        assert_eq!(hash("eth0"), 39_686_857);
    }
}
