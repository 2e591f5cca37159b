//! An SNMPv2c client that costs next to nothing: its requests were encoded beforehand, and what answers them is known,
//! octet by octet, from a first pass that decoded and checked every answer.

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use agentx::{SubId, Value};
use anyhow::{Context, Result, bail, ensure};
use async_snmp::{
    DecodeConfig, Oid, VarBind, Version,
    message::CommunityMessage,
    pdu::{GetBulkPdu, Pdu, RequestPdu},
};
use bytes::Bytes;
use harness::COMMUNITY;

/// A datagram is never longer.
const LONGEST: usize = 65_507;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A name and its value.
pub type Variable = (Vec<SubId>, Value);

/// One request and what is the right answer to it.
#[derive(Debug, Clone)]
pub struct Question {
    request: Bytes,
    answer: Vec<Variable>,
}

impl Question {
    /// A Get of all these.
    ///
    /// # Errors
    /// Where it cannot be encoded.
    pub fn get(number: i32, answer: Vec<Variable>) -> Result<Self> {
        let names: Vec<Oid> = answer.iter().map(|(name, _)| Oid::from_slice(name)).collect();
        let request = encode(RequestPdu::get(Version::V2c, number, &names)?.into_raw())?;
        Ok(Self { request, answer })
    }

    /// A GetBulk of what follows these names.
    ///
    /// # Errors
    /// Where it cannot be encoded.
    pub fn get_bulk(number: i32, repetitions: u32, after: &[Vec<SubId>], answer: Vec<Variable>) -> Result<Self> {
        let names = after.iter().map(|name| VarBind::null(Oid::from_slice(name))).collect();
        let request = encode(GetBulkPdu::new(Version::V2c, number, 0, repetitions, names)?.into_raw())?;
        Ok(Self { request, answer })
    }
}

fn encode(pdu: Pdu) -> Result<Bytes> {
    Ok(CommunityMessage::v2c(COMMUNITY.as_bytes(), pdu)?.encode()?)
}

/// A client of one agent, with questions and their answers.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
    questions: Vec<Question>,
    /// The right answers, as this agent encodes them.
    answers: Vec<Vec<u8>>,
    buffer: Vec<u8>,
}

impl Client {
    /// Asks everything once, and checks that the answers are right.
    ///
    /// # Errors
    /// Where one is not, or does not come.
    pub fn check(address: &str, questions: &[Question]) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut client = Self { socket, questions: questions.to_vec(), answers: Vec::new(), buffer: vec![0; LONGEST] };
        for question in questions {
            client.socket.send(&question.request)?;
            let length = client.socket.recv(&mut client.buffer).context("no answer")?;
            let answer = client.buffer.get(..length).unwrap_or_default();
            compare(answer, &question.answer)?;
            client.answers.push(answer.to_vec());
        }
        Ok(client)
    }

    /// Asks one question after the other for this long, and gives the variables answered in a second. Every answer is
    /// compared with the right one.
    ///
    /// # Errors
    /// Where an answer is not the right one, or does not come.
    #[allow(clippy::cast_precision_loss)]
    pub fn rate(&mut self, time: Duration) -> Result<f64> {
        let (start, mut variables) = (Instant::now(), 0);
        for (question, answer) in self.questions.iter().zip(&self.answers).cycle() {
            self.socket.send(&question.request)?;
            let length = self.socket.recv(&mut self.buffer).context("no answer")?;
            ensure!(self.buffer.get(..length) == Some(answer.as_slice()), "an answer changed");
            variables += question.answer.len();
            if start.elapsed() >= time {
                break;
            }
        }
        Ok(variables as f64 / start.elapsed().as_secs_f64())
    }
}

fn compare(answer: &[u8], right: &[Variable]) -> Result<()> {
    let message = CommunityMessage::decode(Bytes::copy_from_slice(answer), DecodeConfig::STRICT)?.value;
    let pdu = message.into_pdu().context("a trap")?;
    ensure!(!pdu.is_error(), "{:?}", pdu.error_status_enum());
    ensure!(pdu.varbinds().len() == right.len(), "{} variables, not {}", pdu.varbinds().len(), right.len());
    for (varbind, (name, value)) in pdu.varbinds().iter().zip(right) {
        ensure!(varbind.oid.arcs() == name.as_slice(), "{} where {name:?} is next", varbind.oid);
        let same = match (&varbind.value, value) {
            (async_snmp::Value::Counter64(seen), Value::Counter64(right)) => seen == right,
            (async_snmp::Value::Gauge32(seen), Value::Gauge32(right)) => seen == right,
            _ => false,
        };
        if !same {
            bail!("{} is {:?}, not {value:?}", varbind.oid, varbind.value);
        }
    }
    Ok(())
}
