//! What is written is what is read.
use agentx::*;

#[test]
fn a_response_is_read_as_it_was_written() {
    let mut buf = Vec::new();
    let header = Header { byte_order: ByteOrder::Big, session_id: 1, transaction_id: 2, packet_id: 3 };
    let mut encoder = ResponseEncoder::begin(&mut buf, header, 0);
    encoder.varbind(&[1, 3, 6, 1, 2, 1, 1], ValueRef::OctetString(b"hello")).unwrap();
    encoder.finish(ResponseError::NoError, 0).unwrap();
    let mut framer = Framer::new(Limits::default());
    framer.feed(&buf);
    let frame = framer.next_frame().unwrap().unwrap().to_vec();
    let pdu = decode(&frame, &Limits::default()).unwrap();
    let mut again = Vec::new();
    encode(&pdu, &mut again).unwrap();
    assert_eq!(buf, again);
}
