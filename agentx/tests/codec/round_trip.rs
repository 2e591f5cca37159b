//! Decoding reverses encoding.

use crate::arbitrary::pdu;
use agentx::{FrameHeader, Limits, decode, encode};
use proptest::prelude::*;

proptest! {
    #[test]
    fn every_pdu_survives_a_round_trip(pdu in pdu()) {
        let mut buf = Vec::new();
        encode(&pdu, &mut buf).unwrap();
        prop_assert_eq!(decode(&buf, &Limits::default()).unwrap(), pdu);
    }

    #[test]
    fn the_length_of_every_payload_matches_its_header_and_is_a_multiple_of_four(pdu in pdu()) {
        let mut buf = Vec::new();
        encode(&pdu, &mut buf).unwrap();
        let announced = FrameHeader::parse(&buf).unwrap().payload_len;
        prop_assert_eq!(usize::try_from(announced).unwrap(), buf.len() - FrameHeader::LEN);
        prop_assert_eq!(announced % 4, 0);
    }
}
