//! A sidecar with two masters, one of which breaks the rules of AgentX in every way listed here. Meanwhile the sidecar
//! must serve the other master. Afterwards it must serve both again, with no more memory than before.

use std::{io::ErrorKind, thread, time::Duration};

use agentx::{
    Body, ByteOrder, CloseReason, Context as SnmpContext, GetBulk, Header, Oid, Pdu, Response, ResponseError,
    SearchRange, Value, VarBind, encode,
};
use anyhow::{Context, Result, anyhow, ensure};
use harness::{DEADLINE, Exporter, Row, Sandbox, ScriptedMaster, ScriptedMasterListener, Sidecar, SidecarOptions};

use crate::sidecar_setup::{BASE, Manifest, PAGE, WALK, render_in, rows_under};

/// The most memory, in bytes, that a sidecar may keep after an abuse, beyond what it has at the start.
const MOST_KEPT: u64 = 8 << 20;
/// The most memory, in bytes, that a sidecar may ever use beyond what it has at the start. It holds waiting requests and
/// responses, whose number is bounded.
const MOST_EVER: u64 = 16 << 20;
/// The pause between two requests of the other master.
const PAUSE: Duration = Duration::from_millis(10);

/// The actions of the abusive master on a connection whose registration it has granted. It may accept further connections.
type Abuse = fn(&ScriptedMasterListener, ScriptedMaster) -> Result<()>;

const ABUSES: &[(&str, Abuse)] = &[
    ("octets that are not AgentX", |_, mut connection| {
        connection.send_octets(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        connection.wait_for_close()
    }),
    ("a PDU cut off by the end of the connection", |_, mut connection| {
        let request = request_octets(&mut connection, walk());
        connection.send_octets(&request[..30])?;
        connection.finish_sending()?;
        connection.wait_for_close()
    }),
    ("a header that announces the longest payload", |master, mut connection| {
        for len in [u32::MAX, u32::MAX - 3, (1 << 20) + 4] {
            let mut request = request_octets(&mut connection, walk());
            request[16..20].copy_from_slice(&len.to_be_bytes());
            connection.send_octets(&request)?;
            connection.wait_for_close()?;
            connection = serve(master)?;
        }
        Ok(())
    }),
    ("a long payload that is never complete", |_, mut connection| {
        let mut request = request_octets(&mut connection, Body::Get(vec![range(); 10_000]));
        request.truncate(request.len() - 4);
        connection.send_octets(&request)
    }),
    ("requests before the response to Open", |master, _| {
        let mut connection = accept(master)?;
        let open = connection.receive()?;
        for body in [walk(), Body::Ping, Body::CommitSet] {
            ensure!(connection.request(&SnmpContext::default(), body)?.error == ResponseError::NotOpen);
        }
        connection.respond(&open, ResponseError::NoError)?;
        connection.grant(1)?;
        check(&mut connection)
    }),
    ("unexpected responses, SET steps outside a SET, and PDUs that only a master receives", |_, mut connection| {
        for packet_id in 0..100 {
            let header = Header { packet_id: u32::MAX - packet_id, ..connection.next_header() };
            let response =
                agentx::Response { sys_up_time: 0, error: ResponseError::NotOpen, index: 0, varbinds: vec![] };
            connection.send_octets(&encoded(header, Body::Response(response)))?;
        }
        let cleanup = request_octets(&mut connection, Body::CleanupSet);
        connection.send_octets(&cleanup)?;
        let varbind = VarBind { name: BASE.parse()?, value: Value::Integer(1) };
        for (body, error) in [
            (Body::CommitSet, ResponseError::CommitFailed),
            (Body::UndoSet, ResponseError::UndoFailed),
            (Body::TestSet(vec![varbind]), ResponseError::NotWritable),
            (Body::Notify(Vec::new()), ResponseError::ProcessingError),
        ] {
            ensure!(
                connection.request(&SnmpContext::default(), body)?.error == error,
                "the response has another error than {error:?}"
            );
        }
        check(&mut connection)
    }),
    ("an octet at a time", |_, mut connection| {
        for octet in request_octets(&mut connection, walk()) {
            connection.send_octets(&[octet])?;
        }
        check_response(&connection.receive_response()?.1)
    }),
    ("another byte order in each PDU", |_, mut connection| {
        for number in 0..100 {
            connection.set_byte_order(if number % 2 == 0 { ByteOrder::Little } else { ByteOrder::Big });
            check(&mut connection)?;
        }
        Ok(())
    }),
    ("the same packet a thousand times", |_, mut connection| {
        let header = connection.next_header();
        connection.send_octets(&encoded(header, walk()).repeat(1000))?;
        for _ in 0..1000 {
            let (answered, response) = connection.receive_response()?;
            ensure!(answered == header, "the response to {header:?} has the header {answered:?}");
            check_response(&response)?;
        }
        Ok(())
    }),
    ("many requests at once", |_, mut connection| {
        let first = connection.next_header().packet_id + 1;
        let requests: Vec<u8> =
            (0..20_000).flat_map(|_| request_octets(&mut connection, Body::GetNext(vec![range()]))).collect();
        connection.send_octets(&requests)?;
        let expected = &rows_under(BASE, &WALK[..1])[0];
        for packet_id in first..first + 20_000 {
            let (answered, response) = connection.receive_response()?;
            ensure!(answered.packet_id == packet_id, "the response to packet {packet_id} has the header {answered:?}");
            let [varbind] = &response.varbinds[..] else { return Err(anyhow!("{response:?}")) };
            ensure!((&varbind.name, &varbind.value) == (&expected.oid, &expected.value), "{varbind:?}");
        }
        Ok(())
    }),
    ("the largest GetBulk requests, with many ranges", |_, mut connection| {
        let ranges = vec![range(); 1000];
        let bulk = Body::GetBulk(GetBulk { non_repeaters: 0, max_repetitions: u16::MAX, ranges });
        let requests: Vec<u8> = (0..10).flat_map(|_| request_octets(&mut connection, bulk.clone())).collect();
        connection.send_octets(&requests)?;
        let rows = rows_under(BASE, WALK);
        for _ in 0..10 {
            let (_, response) = connection.receive_response()?;
            ensure!(response.error == ResponseError::NoError && response.varbinds.len() > 4000, "{:?}", response.error);
            for (varbinds, row) in response.varbinds.chunks(1000).zip(&rows) {
                let same = varbinds.iter().all(|v| (&v.name, &v.value) == (&row.oid, &row.value));
                ensure!(same, "expected {row:?} for each range: {varbinds:?}");
            }
        }
        Ok(())
    }),
    ("as many ranges as a PDU may have", |_, mut connection| {
        let range = SearchRange::default();
        let bulk = GetBulk { non_repeaters: 0, max_repetitions: u16::MAX, ranges: vec![range; 16_384] };
        let response = connection.request(&SnmpContext::default(), Body::GetBulk(bulk))?;
        ensure!(response.error == ResponseError::NoError && response.varbinds.len() > 4000, "{:?}", response.error);
        check(&mut connection)
    }),
    ("every error code in response to Register", |master, mut connection| {
        for code in (0..=18).chain(256..=268).chain([999]) {
            drop(connection);
            let error = ResponseError::from_code(code);
            connection = open(master)?;
            loop {
                let pdu = connection.receive()?;
                connection.respond(&pdu, error)?;
                if matches!(pdu.body, Body::Register(_)) || error == ResponseError::NotOpen {
                    break;
                }
            }
            if error == ResponseError::NotOpen {
                connection.wait_for_close()?;
            } else {
                check(&mut connection).with_context(|| format!("after {error:?}"))?;
            }
        }
        Ok(())
    }),
    ("a refused Open", |master, mut connection| {
        for error in [ResponseError::OpenFailed, ResponseError::RequestDenied, ResponseError::ParseError] {
            drop(connection);
            connection = accept(master)?;
            let open = connection.receive()?;
            connection.respond(&open, error)?;
            connection.wait_for_close()?;
        }
        Ok(())
    }),
    ("sessions closed immediately", |master, mut connection| {
        for reason in (0..=7).map(CloseReason::from_code) {
            let close = request_octets(&mut connection, Body::Close(reason));
            connection.send_octets(&close)?;
            connection.wait_for_close()?;
            connection = open(master)?;
        }
        Ok(())
    }),
    ("connections closed immediately", |master, _| (0..20).try_for_each(|_| accept(master).map(drop))),
    ("no response to Open", |master, _| accept(master)?.wait_for_close()),
    ("no response to anything", |_, mut connection| connection.wait_for_close()),
    ("requests whose responses are never read", |_, mut connection| {
        let bulk = Body::GetBulk(GetBulk { non_repeaters: 0, max_repetitions: u16::MAX, ranges: vec![range(); 1000] });
        loop {
            let request = request_octets(&mut connection, bulk.clone());
            let Err(error) = connection.send_octets(&request) else { continue };
            let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
            ensure!(matches!(kind, Some(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)), "{error:#}");
            return Ok(());
        }
    }),
];

#[test]
fn an_abusive_master_harms_neither_another_master_nor_the_sidecar() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let exporter = Exporter::with_page(PAGE)?;
    let config = render_in(&sandbox, "config", &[Manifest { port: exporter.port(), ..Manifest::default() }.yaml()])?;
    let abusive = ScriptedMasterListener::unix(&sandbox.path("abusive"))?;
    let good = ScriptedMasterListener::unix(&sandbox.path("good"))?;
    let masters = vec![abusive.url()?, good.url()?];
    let sidecar = Sidecar::start_unready(&sandbox, SidecarOptions { config, masters, ..Default::default() })?;
    let (mut connection, mut served) = (serve(&abusive)?, serve(&good)?);
    check(&mut connection)?;
    check(&mut served)?;
    let start = sidecar.memory()?;
    for (what, abuse) in ABUSES {
        abuse_beside(&abusive, connection, *abuse, &mut served).with_context(|| what.to_string())?;
        connection = serve(&abusive).with_context(|| format!("after {what}"))?;
        check(&mut connection).with_context(|| format!("after {what}"))?;
        let kept = sidecar.memory()?.resident.saturating_sub(start.resident);
        ensure!(kept <= MOST_KEPT, "the sidecar keeps {kept} bytes more after {what}");
    }
    let ever = sidecar.memory()?.peak.saturating_sub(start.resident);
    ensure!(ever <= MOST_EVER, "the sidecar used {ever} bytes more at its peak");
    Ok(())
}

/// Runs an abuse, and checks meanwhile that the sidecar answers the other master.
fn abuse_beside(
    abusive: &ScriptedMasterListener,
    connection: ScriptedMaster,
    abuse: Abuse,
    served: &mut ScriptedMaster,
) -> Result<()> {
    thread::scope(|scope| {
        let abused = scope.spawn(move || abuse(abusive, connection));
        let mut requests = 0;
        while requests < 3 || !abused.is_finished() {
            check(served).context("the other master")?;
            requests += 1;
            thread::sleep(PAUSE);
        }
        abused.join().map_err(|_| anyhow!("the abuse panicked"))?
    })
}

/// Accepts the next connection and reads nothing from it.
fn accept(listener: &ScriptedMasterListener) -> Result<ScriptedMaster> {
    let mut connection =
        listener.accept(DEADLINE)?.with_context(|| format!("no connection of the sidecar within {DEADLINE:?}"))?;
    connection.set_timeout(DEADLINE)?;
    connection.set_byte_order(ByteOrder::Big);
    Ok(connection)
}

/// Accepts the next connection and grants its Open, but nothing else.
fn open(listener: &ScriptedMasterListener) -> Result<ScriptedMaster> {
    let mut connection = accept(listener)?;
    let open = connection.receive()?;
    ensure!(matches!(open.body, Body::Open(_)), "the first PDU of a connection is no Open: {open:?}");
    connection.respond(&open, ResponseError::NoError)?;
    Ok(connection)
}

/// Accepts the next connection and grants its Open and the registration of [`BASE`].
fn serve(listener: &ScriptedMasterListener) -> Result<ScriptedMaster> {
    let mut connection = open(listener)?;
    connection.grant(1)?;
    Ok(connection)
}

fn request_octets(connection: &mut ScriptedMaster, body: Body) -> Vec<u8> {
    encoded(connection.next_header(), body)
}

fn encoded(header: Header, body: Body) -> Vec<u8> {
    let mut octets = Vec::new();
    encode(&Pdu { header, context: SnmpContext::default(), body }, &mut octets)
        .expect("the PDUs of this test can be encoded");
    octets
}

/// Returns a search range from [`BASE`] to the end of the OID tree.
fn range() -> SearchRange {
    SearchRange { start: BASE.parse().expect("BASE is an OID"), include: false, end: Oid::default() }
}

/// Returns a request for all objects below [`BASE`].
fn walk() -> Body {
    let max_repetitions = u16::try_from(WALK.len()).expect("WALK has few rows");
    Body::GetBulk(GetBulk { non_repeaters: 0, max_repetitions, ranges: vec![range()] })
}

/// Walks [`BASE`] and checks the response.
fn check(connection: &mut ScriptedMaster) -> Result<()> {
    check_response(&connection.request(&SnmpContext::default(), walk())?)
}

/// Checks the response to [`walk`].
fn check_response(response: &Response) -> Result<()> {
    let rows: Vec<Row> =
        response.varbinds.iter().map(|v| Row { oid: v.name.clone(), value: v.value.clone() }).collect();
    ensure!(response.error == ResponseError::NoError && rows == rows_under(BASE, WALK), "not the walk: {response:?}");
    Ok(())
}
