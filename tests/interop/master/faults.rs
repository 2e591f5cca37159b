//! Subagents that hang, die or send wrong responses. Only their own objects may be affected.

use std::time::Duration;

use agentx::{Body, CloseReason, Context, Oid, Value};
use anyhow::{Context as _, Result, bail, ensure};
use async_snmp::Auth;
use harness::{
    BackgroundSubagent, COMMUNITY, MasterProgram, Mib, Process, Random, Row, Sandbox, ScriptedSubagent, SnmpAgent as _,
    SubagentFault, Walk,
};
use rstest::rstest;

use super::{Served, async_snmp_client::Nms};
use crate::sidecar_setup::{BASE, OTHER};

/// The OID of the faulty subagent. It is before [`OTHER`], so that no walk of that continues into it.
const FAULTY: &str = "1.3.6.1.4.1.8072.9999.9999.75";
/// The number of other requests while one request has no response.
const OTHERS: usize = 1_000;

/// Starts a subagent with 50 rows below [`FAULTY`], which responds correctly to the first `healthy` requests.
fn serve_faulty(
    served: &Served,
    fault: SubagentFault,
    healthy: usize,
    timeout_s: u8,
) -> Result<(BackgroundSubagent, Mib)> {
    let (base, others): (Oid, Oid) = (FAULTY.parse()?, format!("{OTHER}.1.5").parse()?);
    let mib = Mib::column(&base, 50)?;
    let (truth, mut random, mut requests) = (mib.clone(), Random::new(7), 0);
    let answer = move |subagent: &mut ScriptedSubagent, pdu: agentx::Pdu| {
        requests += 1;
        if requests <= healthy {
            return mib.serve(subagent, &pdu);
        }
        fault.answer(subagent, &pdu, &mib, &others, &mut random)
    };
    let socket = served.master.agentx_socket();
    Ok((BackgroundSubagent::start(&socket, &Context::default(), &base, timeout_s, answer)?, truth))
}

/// Requests the first row of the faulty subagent in a process, and waits until the request has reached the subagent.
fn ask_faulty(served: &Served, subagent: &BackgroundSubagent, tool: &str) -> Result<Process> {
    let before = subagent.requests();
    let mut command = served.master.v2c().with_timeout(Duration::from_mins(2), 0).command(tool, &[])?;
    let name = if tool == "snmpget" { format!("{FAULTY}.1.1") } else { FAULTY.to_owned() };
    let mut asking = served.sandbox.start(tool, command.arg(name))?;
    served.sandbox.wait_for("the request to reach the subagent", || {
        ensure!(subagent.requests() > before, "the subagent has no new request: {:?}", asking.running());
        Ok(())
    })?;
    Ok(asking)
}

/// Sends this many requests to the healthy subagent, of each kind in turn, and checks every response.
fn check_other_subagent(served: &Served, nms: &Nms, times: usize) -> Result<()> {
    let names: Vec<String> = served.rows.iter().map(|row| row.oid.to_string()).collect();
    for time in 0..times {
        let at = time % (names.len() - 1);
        let next = at + 1;
        match time % 3 {
            0 => ensure!(nms.get(&[&names[at]])? == served.rows[at..=at]),
            1 => ensure!(nms.get_next(&[&names[at]])? == served.rows[next..=next]),
            _ => ensure!(nms.get_bulk(0, 2, &[OTHER])? == served.rows[..2]),
        }
    }
    Ok(())
}

fn nms(served: &Served) -> Result<Nms> {
    Nms::new(&served.master, Auth::v2c(COMMUNITY), 1_472)
}

#[rstest]
fn a_hanging_subagent_does_not_delay_requests_to_another(
    #[values("snmpget", "snmpgetnext", "snmpbulkget")] tool: &str,
    #[values(SubagentFault::Hangs, SubagentFault::StopsReading)] fault: SubagentFault,
) -> Result<()> {
    let served = Served::start()?;
    // The timeout is longer than the test.
    let (faulty, _) = serve_faulty(&served, fault, 0, 120)?;
    let mut asking = ask_faulty(&served, &faulty, tool)?;
    check_other_subagent(&served, &nms(&served)?, OTHERS)?;
    asking.running().context("the hanging request got a response meanwhile")?;
    drop(faulty);
    served.sandbox.wait_for_end(&mut asking)?;
    Ok(())
}

#[test]
fn requests_to_a_subagent_that_does_not_read_use_bounded_memory() -> Result<()> {
    let served = Served::start()?;
    let (faulty, _) = serve_faulty(&served, SubagentFault::StopsReading, 0, 120)?;
    let nms = nms(&served)?;
    check_other_subagent(&served, &nms, 50)?;
    let before = served.master.memory()?.resident;
    // The requests are far larger than the buffers of the socket.
    let wire = super::wire::Wire::new(&served.master)?;
    let names: Vec<String> = (0..500).map(|row| format!("{FAULTY}.1.{row}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for number in 0..2_000 {
        let request = super::wire::get(async_snmp::Version::V2c, number, &names)?;
        wire.send(&super::wire::community(async_snmp::Version::V2c, COMMUNITY, request)?)?;
        if number % 20 == 0 {
            check_other_subagent(&served, &nms, 3)?;
        }
    }
    let grown = served.master.memory()?.peak.saturating_sub(before);
    ensure!(grown < 256 << 20, "the memory grew by {grown} octets");
    drop(faulty);
    check_other_subagent(&served, &nms, 50)
}

/// Returns whether the master has refused a request for objects whose subagent responds wrongly.
fn is_refusal(response: &Result<Vec<Row>>) -> bool {
    match response {
        Ok(rows) => rows.iter().all(|row| matches!(row.value, Value::NoSuchObject | Value::NoSuchInstance)),
        Err(error) => error.to_string().contains("genErr"),
    }
}

#[rstest]
fn a_wrong_response_affects_only_the_objects_of_its_subagent(
    #[values(
        SubagentFault::Dies,
        SubagentFault::DiesWithinAResponse,
        SubagentFault::ClosesItsSession,
        SubagentFault::Garbage,
        SubagentFault::GarbagePayload,
        SubagentFault::AnnouncesTooMuch,
        SubagentFault::TooFewVariables,
        SubagentFault::TooManyVariables,
        SubagentFault::OutOfOrder,
        SubagentFault::OidOfAnotherSubagent,
        SubagentFault::AnotherPacket,
        SubagentFault::AnotherSession,
        SubagentFault::UnknownError
    )]
    fault: SubagentFault,
) -> Result<()> {
    let served = Served::start()?;
    let (faulty, mib) = serve_faulty(&served, fault, 3, 2)?;
    let client = served.master.v2c().with_timeout(Duration::from_secs(30), 0);
    let first = mib.rows()[..1].to_vec();
    let name = first[0].oid.to_string();
    for _ in 0..3 {
        assert_eq!(client.get(&[&name])?, first);
    }
    // From now on, its response to every request is wrong.
    let nms = nms(&served)?;
    let asking = ask_faulty(&served, &faulty, "snmpbulkget")?;
    check_other_subagent(&served, &nms, 100)?;
    for _ in 0..2 {
        let answer = client.get(&[&name]);
        ensure!(is_refusal(&answer), "{answer:?}");
        let both = client.get(&[&name, &served.rows[0].oid.to_string()]);
        ensure!(
            both.is_err() || both?[1] == served.rows[0],
            "the varbind of another subagent in the same request is wrong"
        );
        let next = client.get_next(&[FAULTY]);
        let invented = |rows: &[Row]| rows.iter().any(|row| row.value == Value::Integer(666));
        ensure!(!next.is_ok_and(|rows| invented(&rows)), "the master passed on a wrong value of the subagent");
    }
    assert_eq!(client.walk(Walk::Next, OTHER)?, served.rows);
    assert_eq!(client.walk(Walk::Bulk(10), OTHER)?, served.rows);
    drop((asking, faulty));
    // A healthy subagent can register its subtree.
    let healthy = served.sandbox.wait_for("the subtree of the faulty subagent to be free", || {
        BackgroundSubagent::healthy(&served.master.agentx_socket(), &Context::default(), &FAULTY.parse()?, mib.clone())
    })?;
    assert_eq!(client.walk(Walk::Bulk(10), FAULTY)?, mib.rows());
    ensure!(healthy.requests() > 0);
    Ok(())
}

/// Walks by GetNext from `from` to the end of [`BASE`]. Repeats a request once if it gets an error.
fn walk_with_retry(nms: &Nms, from: &str) -> Result<Vec<Row>> {
    let end: Oid = format!("{BASE}.2").parse()?;
    let (mut at, mut rows, mut failed) = (from.to_owned(), Vec::new(), false);
    loop {
        match nms.get_next(&[&at]) {
            Ok(found) => {
                let [row] = &found[..] else { bail!("{found:?}") };
                if row.oid >= end || row.value == Value::EndOfMibView {
                    return Ok(rows);
                }
                at = row.oid.to_string();
                rows.push(row.clone());
            }
            Err(error) if failed => return Err(error.context(format!("after {at}"))),
            Err(_) => failed = true,
        }
    }
}

#[rstest]
fn a_walk_continues_after_a_subagent_that_dies_during_it(
    #[values(SubagentFault::Dies, SubagentFault::DiesWithinAResponse, SubagentFault::ClosesItsSession)]
    fault: SubagentFault,
) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let master = MasterProgram::start(&sandbox)?;
    let socket = master.agentx_socket();
    // The subtrees before, of, and after the subagent that dies.
    let bases: Vec<Oid> =
        [1, 2, 3].map(|n| Ok(BASE.parse::<Oid>()?.join(&[1, n])?)).into_iter().collect::<Result<_>>()?;
    let mibs: Vec<Mib> = bases.iter().map(|base| Mib::column(base, 10)).collect::<Result<_>>()?;
    let context = Context::default();
    let _before = BackgroundSubagent::healthy(&socket, &context, &bases[0], mibs[0].clone())?;
    let _after = BackgroundSubagent::healthy(&socket, &context, &bases[2], mibs[2].clone())?;
    let (mib, others, mut random, mut requests) = (mibs[1].clone(), bases[0].clone(), Random::new(3), 0);
    let _dying = BackgroundSubagent::start(&socket, &context, &bases[1], 2, move |subagent, pdu| {
        requests += 1;
        if requests <= 5 {
            return mib.serve(subagent, &pdu);
        }
        fault.answer(subagent, &pdu, &mib, &others, &mut random)
    })?;
    let rows = walk_with_retry(&Nms::new(&master, Auth::v2c(COMMUNITY), 1_472)?, BASE)?;
    let expected = [mibs[0].rows(), mibs[1].rows()[..5].to_vec(), mibs[2].rows()].concat();
    assert_eq!(rows, expected);
    Ok(())
}

#[test]
fn three_timeouts_in_a_row_close_the_session() -> Result<()> {
    let served = Served::start()?;
    let mut hanging = ScriptedSubagent::open(&served.master.agentx_socket())?;
    hanging.register(&Context::default(), &BASE.parse()?, 1)?;
    let client = served.master.v2c().with_timeout(Duration::from_secs(30), 0);
    for number in 1..=3 {
        let answer = client.get(&[&format!("{BASE}.1.1")]);
        ensure!(answer.as_ref().is_err_and(|error| error.to_string().contains("genErr")), "{number}: {answer:?}");
    }
    let closed = loop {
        if let Body::Close(reason) = hanging.receive()?.body {
            break reason;
        }
    };
    assert_eq!(closed, CloseReason::Timeouts);
    assert_eq!(client.walk(Walk::Next, BASE)?, []);
    assert_eq!(client.walk(Walk::Next, OTHER)?, served.rows);
    Ok(())
}

#[test]
fn a_late_response_is_discarded() -> Result<()> {
    let served = Served::start()?;
    let mut late = ScriptedSubagent::open(&served.master.agentx_socket())?;
    let base: Oid = BASE.parse()?;
    late.register(&Context::default(), &base, 1)?;
    let mib = Mib::column(&base, 3)?;
    let client = served.master.v2c().with_timeout(Duration::from_secs(30), 0);
    let name = format!("{BASE}.1.1");
    client.get(&[&name]).expect_err("the response is late");
    let missed = late.receive()?;
    let answered = std::thread::spawn({
        let (client, name) = (client.clone(), format!("{BASE}.1.2"));
        move || client.get(&[&name])
    });
    let current = late.receive()?;
    // The late response comes first, then the response to the current request.
    for pdu in [missed, current] {
        late.respond(pdu.header, agentx::ResponseError::NoError, mib.varbinds(&pdu.body))?;
    }
    let rows = answered.join().map_err(|_| anyhow::anyhow!("the thread panicked"))??;
    assert_eq!(rows, mib.rows()[1..2]);
    Ok(())
}
