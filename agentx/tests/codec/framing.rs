//! A stream gives the same frames for every split into pieces.

use crate::{
    arbitrary::pdu,
    corpus::framer::check,
    samples::{Sample, frame, samples},
};
use agentx::{DecodeError, DecodeErrorKind, FrameHeader, Framer, Limits, encode};
use proptest::{collection::vec, prelude::*};

/// Returns the frames that are complete after feeding `octets`.
fn frames_after(framer: &mut Framer, octets: &[u8]) -> Vec<Vec<u8>> {
    framer.feed(octets);
    let mut taken = Vec::new();
    while let Some(frame) = framer.next_frame().unwrap() {
        taken.push(frame.to_vec());
    }
    taken
}

proptest! {
    #[test]
    fn any_split_of_a_stream_gives_its_frames(
        pdus in vec(pdu(), 1..6),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let frames: Vec<Vec<u8>> = pdus.iter().map(|pdu| {
            let mut buf = Vec::new();
            encode(pdu, &mut buf).unwrap();
            buf
        }).collect();
        let stream = frames.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let mut framer = Framer::new(Limits::default());
        let got: Vec<Vec<u8>> = cuts.windows(2).flat_map(|cut| frames_after(&mut framer, &stream[cut[0]..cut[1]])).collect();
        prop_assert_eq!(got, frames);
    }

    #[test]
    fn any_stream_gives_the_same_frames_in_pieces(octets in vec(any::<u8>(), 0..400)) {
        check(&octets);
    }
}

#[test]
fn a_frame_is_returned_when_its_last_octet_arrives() {
    for Sample { name, octets, .. } in samples() {
        let mut framer = Framer::new(Limits::default());
        let (last, before) = octets.split_last().unwrap();
        for octet in before {
            assert!(frames_after(&mut framer, &[*octet]).is_empty(), "{name}");
        }
        assert_eq!(frames_after(&mut framer, &[*last]), [octets], "{name}");
    }
}

#[test]
fn a_frame_of_an_unknown_type_does_not_end_the_stream() {
    let (unknown, ping) = (frame("63 10", "ffffffff"), frame("0d 10", ""));
    let mut framer = Framer::new(Limits::default());
    assert_eq!(frames_after(&mut framer, &[unknown.as_slice(), &ping].concat()), [unknown, ping]);
}

#[test]
fn an_invalid_header_ends_the_stream_before_its_payload_arrives() {
    let with = |at: usize, octets: &[u8]| {
        let mut frame = frame("0d 10", "");
        frame[at..at + octets.len()].copy_from_slice(octets);
        frame
    };
    let limit = Limits::default().payload;
    let cases = [
        (with(0, &[2]), 0, DecodeErrorKind::Version(2)),
        (with(16, &5_u32.to_be_bytes()), 16, DecodeErrorKind::UnalignedPayload { len: 5 }),
        (with(16, &(limit + 4).to_be_bytes()), 16, DecodeErrorKind::PayloadOverLimit { len: limit + 4, limit }),
    ];
    for (octets, offset, kind) in cases {
        let error = DecodeError { offset, kind };
        let mut framer = Framer::new(Limits::default());
        framer.feed(&frame("0d 10", ""));
        framer.feed(&octets);
        assert!(framer.next_frame().unwrap().is_some(), "the frame before it is complete");
        assert_eq!(framer.next_frame(), Err(error));
        framer.feed(&frame("0d 10", ""));
        assert_eq!(framer.next_frame(), Err(error));
    }
}

#[test]
fn a_long_frame_allocates_memory_as_it_arrives_and_releases_it() {
    let mut long = frame("12 10", "");
    long[16..20].copy_from_slice(&(1_u32 << 20).to_be_bytes());
    long.resize(FrameHeader::LEN + (1 << 20), 0);
    let mut framer = Framer::new(Limits::default());
    let mut received = 0;
    while received < long.len() {
        let space = framer.space();
        assert!(space.len() <= received.max(16 << 10) * 2, "{} octets of space after {received}", space.len());
        let len = space.len().min(long.len() - received);
        space[..len].copy_from_slice(&long[received..received + len]);
        framer.filled(len);
        received += len;
        assert_eq!(framer.next_frame().unwrap().is_some(), received == long.len());
    }
    assert!(framer.space().len() <= 32 << 10);
}

#[test]
fn filling_more_than_the_space_counts_as_the_space() {
    let mut framer = Framer::new(Limits::default());
    let space = framer.space().len();
    framer.filled(usize::MAX);
    assert!(framer.next_frame().is_err(), "{space} zeros are not a header of version 1");
}
