//! Measures the codec and compares it with the crate `agentx`. Run it with `cargo bench -p snmp-operator-agentx`.

use agentx::{
    Body, ByteOrder, Context, Header, Limits, Oid, Pdu, RequestRef, ResponseEncoder, ResponseError, ResponseRef,
    SearchRange, ValueRef, VarBindScratch, decode, encode,
};
use agentx_peer::{encodings as peer, pdu::Response as PeerResponse};
use std::{error::Error, hint::black_box, time::Instant};

type Done = Result<(), Box<dyn Error>>;

const HEADER: Header = Header { byte_order: ByteOrder::Little, session_id: 1, transaction_id: 2, packet_id: 3 };

fn main() -> Done {
    let names: Vec<Vec<u32>> = (1..=100).map(|row| vec![1, 3, 6, 1, 4, 1, 8072, 9999, 1, 2, 1, 3, row]).collect();
    let limits = Limits::default();
    let mut buf = Vec::with_capacity(16 << 10);

    report("encode a Response of 100 Counter64, little-endian", || {
        response(&mut buf, &names, ByteOrder::Little, ValueRef::Counter64(7))
    })?;
    report("encode a Response of 100 Counter64, big-endian", || {
        response(&mut buf, &names, ByteOrder::Big, ValueRef::Counter64(7))
    })?;
    report("encode a Response of 100 strings of 16", || {
        response(&mut buf, &names, ByteOrder::Little, ValueRef::OctetString(b"sixteen octets !"))
    })?;

    let mut scratch = VarBindScratch::default();
    report("read a Response of 100 strings of 16, borrowed", || {
        let mut varbinds = ResponseRef::parse(&buf, &limits)?.varbinds();
        while let Some(varbind) = varbinds.next_in(&mut scratch) {
            black_box(varbind);
        }
        Ok(())
    })?;
    report("read a Response of 100 strings of 16, owned", || {
        black_box(decode(&buf, &limits)?);
        Ok(())
    })?;

    let request = get_next(&names)?;
    let mut range = SearchRange::default();
    report("read a GetNext of 100 ranges, borrowed", || {
        let mut ranges = RequestRef::parse(&request, &limits)?.ranges();
        while ranges.next_into(&mut range) {
            black_box(&range);
        }
        Ok(())
    })?;

    report("agentx 0.1.1: encode a Response of 100 Counter64", || {
        let varbinds = names.iter().map(|name| {
            peer::ID::try_from(name.clone()).map(|name| peer::VarBind::new(name, peer::Value::Counter64(7)))
        });
        let mut response = PeerResponse::new();
        response.vb = Some(peer::VarBindList(varbinds.collect::<Result<_, _>>()?));
        black_box(response.to_bytes()?);
        Ok(())
    })
}

fn response(buf: &mut Vec<u8>, names: &[Vec<u32>], byte_order: ByteOrder, value: ValueRef<'_>) -> Done {
    buf.clear();
    let mut response = ResponseEncoder::begin(buf, Header { byte_order, ..HEADER }, 0);
    for name in names {
        response.varbind(black_box(name), value)?;
    }
    Ok(response.finish(ResponseError::NoError, 0)?)
}

fn get_next(names: &[Vec<u32>]) -> Result<Vec<u8>, Box<dyn Error>> {
    let end: Oid = "1.3.6.1.4.1.8073".parse()?;
    let ranges = names.iter().map(|name| {
        Oid::try_from(name.as_slice()).map(|start| SearchRange { start, include: false, end: end.clone() })
    });
    let body = Body::GetNext(ranges.collect::<Result<_, _>>()?);
    let mut buf = Vec::new();
    encode(&Pdu { header: HEADER, context: Context::default(), body }, &mut buf)?;
    Ok(buf)
}

/// Prints the time of the fastest of many rounds, which other work on the machine disturbed least.
fn report(what: &str, mut work: impl FnMut() -> Done) -> Done {
    let mut best = f64::INFINITY;
    for _ in 0..200 {
        let start = Instant::now();
        for _ in 0..200 {
            work()?;
        }
        best = best.min(start.elapsed().as_secs_f64() / 200.0);
    }
    println!("{what:55} {:8.2} µs", best * 1e6);
    Ok(())
}
