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
pub(crate) const LONGEST: usize = 65_507;
/// How long an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A name and its value.
pub type Variable = (Vec<SubId>, Value);

/// One request and what is the right answer to it.
#[derive(Debug, Clone)]
pub struct Question {
    pdu: Pdu,
    answer: Vec<Variable>,
}

impl Question {
    /// A Get of all these.
    ///
    /// # Errors
    /// Where it cannot be encoded.
    pub fn get(number: i32, answer: Vec<Variable>) -> Result<Self> {
        let names: Vec<Oid> = answer.iter().map(|(name, _)| Oid::from_slice(name)).collect();
        Ok(Self { pdu: RequestPdu::get(Version::V2c, number, &names)?.into_raw(), answer })
    }

    /// A GetBulk of what follows these names.
    ///
    /// # Errors
    /// Where it cannot be encoded.
    pub fn get_bulk(number: i32, repetitions: u32, after: &[Vec<SubId>], answer: Vec<Variable>) -> Result<Self> {
        let names = after.iter().map(|name| VarBind::null(Oid::from_slice(name))).collect();
        Ok(Self { pdu: GetBulkPdu::new(Version::V2c, number, 0, repetitions, names)?.into_raw(), answer })
    }

    /// The request.
    #[must_use]
    pub fn pdu(&self) -> &Pdu {
        &self.pdu
    }

    /// What is the right answer to it.
    #[must_use]
    pub fn answer(&self) -> &[Variable] {
        &self.answer
    }
}

/// Who asks one question after the other.
pub trait Asker {
    /// Asks for this long, and gives the variables answered in a second. Every answer is checked.
    ///
    /// # Errors
    /// Where an answer is not the right one, or does not come.
    fn rate(&mut self, time: Duration) -> Result<f64>;
}

/// A client of one agent, with questions and their answers.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
    questions: Vec<Question>,
    requests: Vec<Bytes>,
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
        let encode = |question: &Question| -> Result<Bytes> {
            Ok(CommunityMessage::v2c(COMMUNITY.as_bytes(), question.pdu.clone())?.encode()?)
        };
        let requests = questions.iter().map(encode).collect::<Result<Vec<_>>>()?;
        let (answers, buffer) = (Vec::new(), vec![0; LONGEST]);
        let mut client = Self { socket, questions: questions.to_vec(), requests, answers, buffer };
        for (request, question) in client.requests.iter().zip(questions) {
            client.socket.send(request)?;
            let length = client.socket.recv(&mut client.buffer).context("no answer")?;
            let answer = client.buffer.get(..length).unwrap_or_default();
            compare(answer, &question.answer)?;
            client.answers.push(answer.to_vec());
        }
        Ok(client)
    }
}

impl Client {
    /// Asks for this long, and gives how long each answer took, in seconds.
    ///
    /// # Errors
    /// Where an answer is not the right one, or does not come.
    pub fn delays(&mut self, time: Duration) -> Result<Vec<f64>> {
        let (start, mut delays) = (Instant::now(), Vec::new());
        for number in (0..self.questions.len()).cycle() {
            let asked = Instant::now();
            self.ask(number)?;
            delays.push(asked.elapsed().as_secs_f64());
            if start.elapsed() >= time {
                break;
            }
        }
        Ok(delays)
    }

    /// Asks one question, and gives the number of variables answered. The answer must be that of the first pass.
    fn ask(&mut self, number: usize) -> Result<usize> {
        let (request, answer) = self.requests.get(number).zip(self.answers.get(number)).context("no such question")?;
        self.socket.send(request)?;
        let length = self.socket.recv(&mut self.buffer).context("no answer")?;
        ensure!(self.buffer.get(..length) == Some(answer.as_slice()), "an answer changed");
        Ok(self.questions.get(number).map_or(0, |question| question.answer.len()))
    }
}

impl Asker for Client {
    #[allow(clippy::cast_precision_loss)]
    fn rate(&mut self, time: Duration) -> Result<f64> {
        let (start, mut variables) = (Instant::now(), 0);
        for number in (0..self.questions.len()).cycle() {
            variables += self.ask(number)?;
            if start.elapsed() >= time {
                break;
            }
        }
        Ok(variables as f64 / start.elapsed().as_secs_f64())
    }
}

fn compare(answer: &[u8], right: &[Variable]) -> Result<()> {
    let message = CommunityMessage::decode(Bytes::copy_from_slice(answer), DecodeConfig::STRICT)?.value;
    compare_pdu(&message.into_pdu().context("a trap")?, right)
}

/// Whether a PDU has these variables, and no error.
///
/// # Errors
/// Where it has not.
pub(crate) fn compare_pdu(pdu: &Pdu, right: &[Variable]) -> Result<()> {
    ensure!(!pdu.is_error(), "{:?}", pdu.error_status_enum());
    ensure!(pdu.varbinds().len() == right.len(), "{} variables, not {}", pdu.varbinds().len(), right.len());
    for (varbind, (name, value)) in pdu.varbinds().iter().zip(right) {
        ensure!(varbind.oid.arcs() == name.as_slice(), "{} where {name:?} is next", varbind.oid);
        let same = match (&varbind.value, value) {
            (async_snmp::Value::Counter64(seen), Value::Counter64(right)) => seen == right,
            (async_snmp::Value::Gauge32(seen), Value::Gauge32(right)) => seen == right,
            (async_snmp::Value::Integer(seen), Value::Integer(right)) => seen == right,
            _ => false,
        };
        if !same {
            bail!("{} is {:?}, not {value:?}", varbind.oid, varbind.value);
        }
    }
    Ok(())
}
