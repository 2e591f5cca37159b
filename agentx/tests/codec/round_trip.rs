//! What is written is what is read.

use crate::arbitrary::pdu;
use agentx::{FrameHeader, Limits, decode, encode};
use proptest::prelude::*;

proptest! {
    #[test]
    fn every_pdu_is_read_as_it_was_written(pdu in pdu()) {
        let mut buf = Vec::new();
        encode(&pdu, &mut buf).unwrap();
        prop_assert_eq!(decode(&buf, &Limits::default()).unwrap(), pdu);
    }

    #[test]
    fn every_payload_is_as_long_as_announced_and_a_multiple_of_four(pdu in pdu()) {
        let mut buf = Vec::new();
        encode(&pdu, &mut buf).unwrap();
        let announced = FrameHeader::parse(&buf).unwrap().payload_len;
        prop_assert_eq!(usize::try_from(announced).unwrap(), buf.len() - FrameHeader::LEN);
        prop_assert_eq!(announced % 4, 0);
    }
}
