//! Check of the fuzz target `framer`. `cargo test` also runs it on the committed corpus.

use agentx::{DecodeError, FrameHeader, Framer, Limits};

/// Checks any octets as a stream. The frames do not depend on how the stream is split (the first octet selects the split),
/// each has the length in its header, and the memory is proportional to the octets that arrived.
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

/// Returns the frames of a stream that arrives in pieces of `piece` octets, and the error at its end, if any.
fn frames(stream: &[u8], piece: usize, limits: Limits) -> (Vec<Vec<u8>>, Option<DecodeError>) {
    let mut framer = Framer::new(limits);
    let mut taken = Vec::new();
    for (number, mut octets) in stream.chunks(piece).enumerate() {
        // Uses both ways to add octets in turn.
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
