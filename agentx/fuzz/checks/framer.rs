//! The body of the fuzz target `framer`, which `cargo test` also runs over the committed corpus.

use agentx::{DecodeError, FrameHeader, Framer, Limits};

/// Any octets as a stream: the frames are the same however the stream is split (its first octet says how), each is as
/// long as its header says, and no more memory is offered than what came explains.
pub(crate) fn check(octets: &[u8]) {
    let Some((&seed, stream)) = octets.split_first() else { return };
    let limits = Limits { payload: 1 << 20, ..Limits::default() };
    let (whole, whole_end) = frames(stream, stream.len().max(1), limits);
    let (pieces, pieces_end) = frames(stream, usize::from(seed % 64) + 1, limits);
    assert_eq!(whole, pieces);
    assert_eq!(whole_end, pieces_end);
    let framed: usize = whole.iter().map(Vec::len).sum();
    assert!(framed <= stream.len());
    assert_eq!(whole.concat(), stream.get(..framed).unwrap_or_default());
}

/// The frames of a stream that comes in pieces of `piece`, and the error at which it ends, if it does.
fn frames(stream: &[u8], piece: usize, limits: Limits) -> (Vec<Vec<u8>>, Option<DecodeError>) {
    let mut framer = Framer::new(limits);
    let mut taken = Vec::new();
    for (number, mut octets) in stream.chunks(piece).enumerate() {
        // Both ways to put octets in, in turn.
        if number % 2 == 0 {
            framer.feed(octets);
            octets = &[];
        }
        while !octets.is_empty() {
            let space = framer.space();
            assert!(!space.is_empty() && space.len() <= stream.len().max(32 << 10));
            let now = octets.len().min(space.len());
            let (read, later) = octets.split_at(now);
            space.iter_mut().zip(read).for_each(|(to, from)| *to = *from);
            framer.filled(now);
            octets = later;
        }
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => {
                    let header = FrameHeader::parse(frame);
                    let len = header.map(|header| usize::try_from(header.payload_len));
                    assert_eq!(len, Ok(Ok(frame.len() - FrameHeader::LEN)));
                    taken.push(frame.to_vec());
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(framer.next_frame(), Err(error), "a broken stream stays broken");
                    return (taken, Some(error));
                }
            }
        }
    }
    (taken, None)
}
