//! Masters that do what no master should. While one does, another of the same sidecar is served; when it behaves again,
//! so is it; and the sidecar's memory is as it was.

mod master;

use std::{io::ErrorKind, net::Shutdown, thread, time::Duration};

use agentx::{Body, ByteOrder, CloseReason, GetBulk, Header, ResponseError, SearchRange, Value, VarBind};
use anyhow::{Context, Result, anyhow, ensure};
use harness::{Exporter, Sandbox, Sidecar, SidecarOptions};

use self::master::{Connection, Master, check, encoded, range, walk};
use crate::world::{BASE, Manifest, PAGE, WALK, render_in, rows_under};

/// How much more memory than at the start a sidecar may have when an abuse is over, in bytes.
const MOST_KEPT: u64 = 8 << 20;
/// How much more it may ever have: the requests and answers that wait, which are bounded, and the room to grow them.
const MOST_EVER: u64 = 16 << 20;
/// How often the other master asks.
const PACE: Duration = Duration::from_millis(10);

/// What a master does to a connection on which everything was granted; it may take others.
type Abuse = fn(&mut Master, Connection) -> Result<()>;

const ABUSES: &[(&str, Abuse)] = &[
    ("octets that are no AgentX", |_, mut connection| {
        connection.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        connection.wait_for_close()
    }),
    ("a PDU cut off by the end of the connection", |_, mut connection| {
        let request = connection.pdu(walk());
        connection.write(&request[..30])?;
        connection.stream.shutdown(Shutdown::Write)?;
        connection.wait_for_close()
    }),
    ("a payload as long as can be said", |master, mut connection| {
        for len in [u32::MAX, u32::MAX - 3, (1 << 20) + 4] {
            let mut request = connection.pdu(walk());
            request[16..20].copy_from_slice(&len.to_be_bytes());
            connection.write(&request)?;
            connection.wait_for_close()?;
            connection = master.serve()?;
        }
        Ok(())
    }),
    ("a long payload that never comes whole", |_, mut connection| {
        let mut request = connection.pdu(Body::Get(vec![range(); 10_000]));
        request.truncate(request.len() - 4);
        connection.write(&request)
    }),
    ("requests before the answer to Open", |master, _| {
        let mut connection = master.accept()?;
        let open = connection.receive()?;
        for body in [walk(), Body::Ping, Body::CommitSet] {
            ensure!(connection.ask(body)?.error == ResponseError::NotOpen);
        }
        connection.answer(&open, ResponseError::NoError)?;
        connection.grant()?;
        connection.check()
    }),
    ("answers to nothing, steps of no SET, and what only masters get", |_, mut connection| {
        for packet_id in 0..100 {
            let header = Header { packet_id: u32::MAX - packet_id, ..connection.header() };
            let response =
                agentx::Response { sys_up_time: 0, error: ResponseError::NotOpen, index: 0, varbinds: vec![] };
            connection.write(&encoded(header, Body::Response(response)))?;
        }
        let cleanup = connection.pdu(Body::CleanupSet);
        connection.write(&cleanup)?;
        let written = VarBind { name: BASE.parse()?, value: Value::Integer(1) };
        for (body, error) in [
            (Body::CommitSet, ResponseError::CommitFailed),
            (Body::UndoSet, ResponseError::UndoFailed),
            (Body::TestSet(vec![written]), ResponseError::NotWritable),
            (Body::Notify(Vec::new()), ResponseError::ProcessingError),
        ] {
            ensure!(connection.ask(body)?.error == error, "not {error:?}");
        }
        connection.check()
    }),
    ("an octet at a time", |_, mut connection| {
        for octet in connection.pdu(walk()) {
            connection.write(&[octet])?;
        }
        check(&connection.response()?.1)
    }),
    ("another byte order in each PDU", |_, mut connection| {
        for number in 0..100 {
            connection.byte_order = if number % 2 == 0 { ByteOrder::Little } else { ByteOrder::Big };
            connection.check()?;
        }
        Ok(())
    }),
    ("the same packet again and again", |_, mut connection| {
        let header = connection.header();
        connection.write(&encoded(header, walk()).repeat(1000))?;
        for _ in 0..1000 {
            let (answered, response) = connection.response()?;
            ensure!(answered == header, "{answered:?}");
            check(&response)?;
        }
        Ok(())
    }),
    ("many requests at once", |_, mut connection| {
        let first = connection.header().packet_id + 1;
        let requests: Vec<u8> = (0..20_000).flat_map(|_| connection.pdu(Body::GetNext(vec![range()]))).collect();
        connection.write(&requests)?;
        let expected = &rows_under(BASE, &WALK[..1])[0];
        for packet_id in first..first + 20_000 {
            let (answered, response) = connection.response()?;
            ensure!(answered.packet_id == packet_id, "{answered:?}, not {packet_id}");
            let [varbind] = &response.varbinds[..] else { return Err(anyhow!("{response:?}")) };
            ensure!((&varbind.name, &varbind.value) == (&expected.oid, &expected.value), "{varbind:?}");
        }
        Ok(())
    }),
    ("the largest bulks, of many ranges", |_, mut connection| {
        let ranges = vec![range(); 1000];
        let bulk = Body::GetBulk(GetBulk { non_repeaters: 0, max_repetitions: u16::MAX, ranges });
        let requests: Vec<u8> = (0..10).flat_map(|_| connection.pdu(bulk.clone())).collect();
        connection.write(&requests)?;
        let rows = rows_under(BASE, WALK);
        for _ in 0..10 {
            let (_, response) = connection.response()?;
            ensure!(response.error == ResponseError::NoError && response.varbinds.len() > 4000, "{:?}", response.error);
            for (varbinds, row) in response.varbinds.chunks(1000).zip(&rows) {
                let same = varbinds.iter().all(|v| (&v.name, &v.value) == (&row.oid, &row.value));
                ensure!(same, "not {row:?}: {varbinds:?}");
            }
        }
        Ok(())
    }),
    ("as many ranges as a PDU may have", |_, mut connection| {
        let range = SearchRange::default();
        let bulk = GetBulk { non_repeaters: 0, max_repetitions: u16::MAX, ranges: vec![range; 16_384] };
        let response = connection.ask(Body::GetBulk(bulk))?;
        ensure!(response.error == ResponseError::NoError && response.varbinds.len() > 4000, "{:?}", response.error);
        connection.check()
    }),
    ("every error in answer to Register", |master, mut connection| {
        for code in (0..=18).chain(256..=268).chain([999]) {
            drop(connection);
            let error = ResponseError::from_code(code);
            connection = master.open()?;
            loop {
                let pdu = connection.receive()?;
                connection.answer(&pdu, error)?;
                if matches!(pdu.body, Body::Register(_)) || error == ResponseError::NotOpen {
                    break;
                }
            }
            if error == ResponseError::NotOpen {
                connection.wait_for_close()?;
            } else {
                connection.check().with_context(|| format!("after {error:?}"))?;
            }
        }
        Ok(())
    }),
    ("no session", |master, mut connection| {
        for error in [ResponseError::OpenFailed, ResponseError::RequestDenied, ResponseError::ParseError] {
            drop(connection);
            connection = master.accept()?;
            let open = connection.receive()?;
            connection.answer(&open, error)?;
            connection.wait_for_close()?;
        }
        Ok(())
    }),
    ("sessions that are closed at once", |master, mut connection| {
        for reason in (0..=7).map(CloseReason::from_code) {
            let close = connection.pdu(Body::Close(reason));
            connection.write(&close)?;
            connection.wait_for_close()?;
            connection = master.open()?;
        }
        Ok(())
    }),
    ("connections that are closed at once", |master, _| (0..20).try_for_each(|_| master.accept().map(drop))),
    ("no answer to Open", |master, _| master.accept()?.wait_for_close()),
    ("no answer to anything any more", |_, mut connection| connection.wait_for_close()),
    ("requests whose answers are never read", |_, mut connection| {
        let bulk = Body::GetBulk(GetBulk { non_repeaters: 0, max_repetitions: u16::MAX, ranges: vec![range(); 1000] });
        loop {
            let request = connection.pdu(bulk.clone());
            let Err(error) = connection.write(&request) else { continue };
            let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
            ensure!(matches!(kind, Some(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)), "{error:#}");
            return Ok(());
        }
    }),
];

#[test]
fn what_one_master_does_is_nothing_to_another_and_nothing_that_lasts() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let exporter = Exporter::with_page(PAGE)?;
    let config = render_in(&sandbox, "config", &[Manifest { port: exporter.port(), ..Manifest::default() }.yaml()])?;
    let (mut abusive, mut good) = (Master::listen(&sandbox, "abusive")?, Master::listen(&sandbox, "good")?);
    let masters = vec![abusive.url(), good.url()];
    let sidecar = Sidecar::start_unready(&sandbox, SidecarOptions { config, masters, ..Default::default() })?;
    let (mut connection, mut served) = (abusive.serve()?, good.serve()?);
    connection.check()?;
    served.check()?;
    let start = sidecar.memory()?;
    for (what, abuse) in ABUSES {
        abuse_beside(&mut abusive, connection, *abuse, &mut served).with_context(|| what.to_string())?;
        connection = abusive.serve().with_context(|| format!("after {what}"))?;
        connection.check().with_context(|| format!("after {what}"))?;
        let kept = sidecar.memory()?.resident.saturating_sub(start.resident);
        ensure!(kept <= MOST_KEPT, "{kept} bytes more are resident after {what}");
    }
    let ever = sidecar.memory()?.peak.saturating_sub(start.resident);
    ensure!(ever <= MOST_EVER, "{ever} bytes more were resident at one time");
    Ok(())
}

/// Runs an abuse while the other master asks again and again, and is answered.
fn abuse_beside(abusive: &mut Master, connection: Connection, abuse: Abuse, served: &mut Connection) -> Result<()> {
    thread::scope(|scope| {
        let abused = scope.spawn(move || abuse(abusive, connection));
        let mut asked = 0;
        while asked < 3 || !abused.is_finished() {
            served.check().context("the other master")?;
            asked += 1;
            thread::sleep(PACE);
        }
        abused.join().map_err(|_| anyhow!("it panicked"))?
    })
}
