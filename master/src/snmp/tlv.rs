//! Reading of BER elements (X.690) around varbinds, borrowed and without allocation. A datagram of an
//! unauthenticated sender is decoded only by this.

use crate::pdu::ber::tag;

/// A sequence of elements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Elements<'a>(pub(crate) &'a [u8]);

impl<'a> Elements<'a> {
    /// Returns the next element's tag and content. Returns `None` at the end and if the element is incomplete or its
    /// form is not supported: tags are single octets, and lengths are definite and have at most four octets.
    pub(crate) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        if tag & 0x1F == 0x1F {
            return None;
        }
        let (len, rest) = match first {
            0..=0x7F => (usize::from(first), rest),
            0x81..=0x84 => {
                let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
                (octets.iter().fold(0, |len, &octet| len << 8 | usize::from(octet)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// Returns the next element's content if the element has this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|element| element.0 == tag).map(|element| element.1)
    }

    /// Returns the next element including its tag and length.
    pub(crate) fn next_whole(&mut self) -> Option<&'a [u8]> {
        let before = self.0;
        self.next()?;
        before.get(..before.len() - self.0.len())
    }

    /// Returns the next element if it is an INTEGER that fits into 32 bits.
    pub(crate) fn integer(&mut self) -> Option<i32> {
        let content = self.expect(tag::INTEGER).filter(|content| (1..=8).contains(&content.len()))?;
        let sign = if content.first()? & 0x80 == 0 { 0 } else { -1 };
        i32::try_from(content.iter().fold(sign, |value: i64, &octet| value << 8 | i64::from(octet))).ok()
    }

    /// Returns `Some` if no elements are left.
    pub(crate) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::pdu::ber::{push_integer, push_octets};

    #[rstest]
    #[case::empty(&[])]
    #[case::tag_only(&[4])]
    #[case::truncated_content(&[4, 2, 0])]
    #[case::indefinite(&[0x30, 0x80, 0, 0])]
    #[case::long_tag(&[0x1F, 0x81, 0, 0])]
    #[case::truncated_length(&[4, 0x82, 1])]
    #[case::length_of_five_octets(&[4, 0x85, 0, 0, 0, 0, 0])]
    #[case::length_exceeds_input(&[4, 0x84, 0xFF, 0xFF, 0xFF, 0xFF, 0])]
    fn incomplete_or_unsupported_elements_are_rejected(#[case] octets: &[u8]) {
        assert_eq!(Elements(octets).next(), None);
        assert_eq!(Elements(octets).next_whole(), None);
    }

    #[rstest]
    #[case(&[2, 1, 0x80], Some(-128))]
    #[case(&[2, 2, 0, 0x80], Some(128))]
    #[case(&[2, 5, 0, 0x7F, 0xFF, 0xFF, 0xFF], Some(i32::MAX))]
    #[case::too_large(&[2, 5, 0, 0x80, 0, 0, 0], None)]
    #[case::empty(&[2, 0], None)]
    #[case::too_long(&[2, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1], None)]
    #[case::not_an_integer(&[4, 1, 1], None)]
    fn integers_are_limited_to_32_bits(#[case] octets: &[u8], #[case] value: Option<i32>) {
        assert_eq!(Elements(octets).integer(), value);
    }

    proptest! {
        #[test]
        fn elements_are_read_as_written(value: i32, octets in proptest::collection::vec(any::<u8>(), 0..70_000)) {
            let mut written = Vec::new();
            push_integer(&mut written, value);
            let start = written.len();
            push_octets(&mut written, 4, &octets);
            let mut elements = Elements(&written);
            prop_assert_eq!(elements.integer(), Some(value));
            prop_assert_eq!(Elements(elements.0).expect(4), Some(&octets[..]));
            prop_assert_eq!(elements.next_whole(), written.get(start..));
            prop_assert_eq!(elements.end(), Some(()));
        }
    }
}
