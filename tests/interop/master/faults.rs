//! Subagents that hang, die or answer wrongly: it costs their own names, and nobody else anything.

use std::time::Duration;

use agentx::{Body, CloseReason, Context, Oid, Value};
use anyhow::{Context as _, Result, bail, ensure};
use async_snmp::Auth;
use harness::{
    Agent as _, COMMUNITY, Mib, Process, Random, Row, Sandbox, ServedSubagent, SnmpMaster, Subagent, SubagentFault,
    Walk,
};
use rstest::rstest;

use super::{Served, nms::Nms};
use crate::world::{BASE, OTHER};

/// Where the faulty subagent serves: before [`OTHER`], so that no walk of that ends in it.
const FAULTY: &str = "1.3.6.1.4.1.8072.9999.9999.75";
/// How many requests others make while one is not answered.
const OTHERS: usize = 1_000;

/// A subagent with 50 rows under [`FAULTY`] that answers the first `well` requests.
fn serve_faulty(served: &Served, fault: SubagentFault, well: usize, timeout_s: u8) -> Result<(ServedSubagent, Mib)> {
    let (base, others): (Oid, Oid) = (FAULTY.parse()?, format!("{OTHER}.1.5").parse()?);
    let mib = Mib::column(&base, 50)?;
    let (truth, mut random, mut asked) = (mib.clone(), Random::new(7), 0);
    let answer = move |subagent: &mut Subagent, pdu: agentx::Pdu| {
        asked += 1;
        if asked <= well {
            return mib.serve(subagent, &pdu);
        }
        fault.answer(subagent, &pdu, &mib, &others, &mut random)
    };
    let socket = served.master.agentx_socket();
    Ok((ServedSubagent::start(&socket, &Context::default(), &base, timeout_s, answer)?, truth))
}

/// Asks for the faulty subagent's first row in a process of its own, and waits until that has reached the subagent.
fn ask_faulty(served: &Served, subagent: &ServedSubagent, tool: &str) -> Result<Process> {
    let before = subagent.requests();
    let mut command = served.master.v2c().patience(Duration::from_mins(2), 0).command(tool, &[])?;
    let name = if tool == "snmpget" { format!("{FAULTY}.1.1") } else { FAULTY.to_owned() };
    let mut asking = served.sandbox.start(tool, command.arg(name))?;
    served.sandbox.wait_for("the request to reach the subagent", || {
        ensure!(subagent.requests() > before, "not yet: {:?}", asking.running());
        Ok(())
    })?;
    Ok(asking)
}

/// Asks the healthy subagent so many times, in turn in each way; every answer must be right.
fn others_are_served(served: &Served, nms: &Nms, times: usize) -> Result<()> {
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
fn while_one_hangs_a_thousand_requests_to_another_are_answered(
    #[values("snmpget", "snmpgetnext", "snmpbulkget")] tool: &str,
    #[values(SubagentFault::Hangs, SubagentFault::StopsReading)] fault: SubagentFault,
) -> Result<()> {
    let served = Served::start()?;
    // Its timeout is far away.
    let (faulty, _) = serve_faulty(&served, fault, 0, 120)?;
    let mut asking = ask_faulty(&served, &faulty, tool)?;
    others_are_served(&served, &nms(&served)?, OTHERS)?;
    asking.running().context("the request that hangs was answered meanwhile")?;
    drop(faulty);
    served.sandbox.wait_for_end(&mut asking)?;
    Ok(())
}

#[test]
fn one_that_takes_nothing_is_bounded_and_others_are_served() -> Result<()> {
    let served = Served::start()?;
    let (faulty, _) = serve_faulty(&served, SubagentFault::StopsReading, 0, 120)?;
    let nms = nms(&served)?;
    others_are_served(&served, &nms, 50)?;
    let before = served.master.memory()?.resident;
    // Far more than fits into the socket's buffers.
    let wire = super::wire::Wire::new(&served.master)?;
    let names: Vec<String> = (0..500).map(|row| format!("{FAULTY}.1.{row}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for number in 0..2_000 {
        let request = super::wire::get(async_snmp::Version::V2c, number, &names)?;
        wire.send(&super::wire::community(async_snmp::Version::V2c, COMMUNITY, request)?)?;
        if number % 20 == 0 {
            others_are_served(&served, &nms, 3)?;
        }
    }
    let grown = served.master.memory()?.peak.saturating_sub(before);
    ensure!(grown < 256 << 20, "grown by {grown} octets");
    drop(faulty);
    others_are_served(&served, &nms, 50)
}

/// What may be said of names whose subagent answers wrongly.
fn is_refusal(asked: &Result<Vec<Row>>) -> bool {
    match asked {
        Ok(rows) => rows.iter().all(|row| matches!(row.value, Value::NoSuchObject | Value::NoSuchInstance)),
        Err(error) => error.to_string().contains("genErr"),
    }
}

#[rstest]
fn a_wrong_answer_costs_the_names_of_who_gave_it(
    #[values(
        SubagentFault::Dies,
        SubagentFault::DiesInAnAnswer,
        SubagentFault::ClosesItsSession,
        SubagentFault::Garbage,
        SubagentFault::GarbagePayload,
        SubagentFault::AnnouncesTooMuch,
        SubagentFault::TooFewVariables,
        SubagentFault::TooManyVariables,
        SubagentFault::OutOfOrder,
        SubagentFault::AnothersName,
        SubagentFault::AnotherPacket,
        SubagentFault::AnotherSession,
        SubagentFault::UnknownError
    )]
    fault: SubagentFault,
) -> Result<()> {
    let served = Served::start()?;
    let (faulty, mib) = serve_faulty(&served, fault, 3, 2)?;
    let client = served.master.v2c().patience(Duration::from_secs(30), 0);
    let first = mib.rows()[..1].to_vec();
    let name = first[0].oid.to_string();
    for _ in 0..3 {
        assert_eq!(client.get(&[&name])?, first);
    }
    // Now it fails, in whatever way it is asked.
    let nms = nms(&served)?;
    let asking = ask_faulty(&served, &faulty, "snmpbulkget")?;
    others_are_served(&served, &nms, 100)?;
    for _ in 0..2 {
        let answer = client.get(&[&name]);
        ensure!(is_refusal(&answer), "{answer:?}");
        let both = client.get(&[&name, &served.rows[0].oid.to_string()]);
        ensure!(both.is_err() || both?[1] == served.rows[0], "another's variable is wrong beside it");
        let next = client.get_next(&[FAULTY]);
        let invented = |rows: &[Row]| rows.iter().any(|row| row.value == Value::Integer(666));
        ensure!(!next.is_ok_and(|rows| invented(&rows)), "what it invented was handed on");
    }
    assert_eq!(client.walk(Walk::Next, OTHER)?, served.rows);
    assert_eq!(client.walk(Walk::Bulk(10), OTHER)?, served.rows);
    drop((asking, faulty));
    // Its place is free for one that is well.
    let healthy = served.sandbox.wait_for("its names to be free", || {
        ServedSubagent::healthy(&served.master.agentx_socket(), &Context::default(), &FAULTY.parse()?, mib.clone())
    })?;
    assert_eq!(client.walk(Walk::Bulk(10), FAULTY)?, mib.rows());
    ensure!(healthy.requests() > 0);
    Ok(())
}

/// A walk by GetNext from `from` up to the end of [`BASE`], which asks once more where it gets an error.
fn walk_on(nms: &Nms, from: &str) -> Result<Vec<Row>> {
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
fn a_walk_goes_on_behind_one_that_died_in_its_middle(
    #[values(SubagentFault::Dies, SubagentFault::DiesInAnAnswer, SubagentFault::ClosesItsSession)] fault: SubagentFault,
) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let master = SnmpMaster::start(&sandbox)?;
    let socket = master.agentx_socket();
    // Before, in the middle, and behind.
    let bases: Vec<Oid> =
        [1, 2, 3].map(|n| Ok(BASE.parse::<Oid>()?.join(&[1, n])?)).into_iter().collect::<Result<_>>()?;
    let mibs: Vec<Mib> = bases.iter().map(|base| Mib::column(base, 10)).collect::<Result<_>>()?;
    let context = Context::default();
    let _before = ServedSubagent::healthy(&socket, &context, &bases[0], mibs[0].clone())?;
    let _behind = ServedSubagent::healthy(&socket, &context, &bases[2], mibs[2].clone())?;
    let (mib, others, mut random, mut asked) = (mibs[1].clone(), bases[0].clone(), Random::new(3), 0);
    let _dying = ServedSubagent::start(&socket, &context, &bases[1], 2, move |subagent, pdu| {
        asked += 1;
        if asked <= 5 {
            return mib.serve(subagent, &pdu);
        }
        fault.answer(subagent, &pdu, &mib, &others, &mut random)
    })?;
    let rows = walk_on(&Nms::new(&master, Auth::v2c(COMMUNITY), 1_472)?, BASE)?;
    let expected = [mibs[0].rows(), mibs[1].rows()[..5].to_vec(), mibs[2].rows()].concat();
    assert_eq!(rows, expected);
    Ok(())
}

#[test]
fn three_timeouts_in_a_row_close_the_session() -> Result<()> {
    let served = Served::start()?;
    let mut hanging = Subagent::open(&served.master.agentx_socket())?;
    hanging.register(&Context::default(), &BASE.parse()?, 1)?;
    let client = served.master.v2c().patience(Duration::from_secs(30), 0);
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
fn a_late_answer_is_nobodys() -> Result<()> {
    let served = Served::start()?;
    let mut late = Subagent::open(&served.master.agentx_socket())?;
    let base: Oid = BASE.parse()?;
    late.register(&Context::default(), &base, 1)?;
    let mib = Mib::column(&base, 3)?;
    let client = served.master.v2c().patience(Duration::from_secs(30), 0);
    let name = format!("{BASE}.1.1");
    client.get(&[&name]).expect_err("it is not answered in time");
    let missed = late.receive()?;
    let answered = std::thread::spawn({
        let (client, name) = (client.clone(), format!("{BASE}.1.2"));
        move || client.get(&[&name])
    });
    let asked = late.receive()?;
    // First what comes too late, then what is asked for.
    for pdu in [missed, asked] {
        late.respond(pdu.header, agentx::ResponseError::NoError, mib.answer(&pdu.body))?;
    }
    let rows = answered.join().map_err(|_| anyhow::anyhow!("it panicked"))??;
    assert_eq!(rows, mib.rows()[1..2]);
    Ok(())
}
