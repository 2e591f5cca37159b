//! An SNMPv2c client that costs very little. Its requests are encoded in advance. A first pass decodes and checks every
//! response, and later responses are compared with these, octet by octet.

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

/// The longest datagram.
pub(crate) const LONGEST: usize = 65_507;
/// The timeout of a request.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// An OID and its value.
pub type Variable = (Vec<SubId>, Value);

/// A request and its right response.
#[derive(Debug, Clone)]
pub struct Question {
    pdu: Pdu,
    answer: Vec<Variable>,
}

impl Question {
    /// Returns a Get of all these OIDs.
    ///
    /// # Errors
    /// Returns an error if it cannot be encoded.
    pub fn get(number: i32, answer: Vec<Variable>) -> Result<Self> {
        let names: Vec<Oid> = answer.iter().map(|(name, _)| Oid::from_slice(name)).collect();
        Ok(Self { pdu: RequestPdu::get(Version::V2c, number, &names)?.into_raw(), answer })
    }

    /// Returns a GetBulk of these OIDs.
    ///
    /// # Errors
    /// Returns an error if it cannot be encoded.
    pub fn get_bulk(number: i32, repetitions: u32, after: &[Vec<SubId>], answer: Vec<Variable>) -> Result<Self> {
        let names = after.iter().map(|name| VarBind::null(Oid::from_slice(name))).collect();
        Ok(Self { pdu: GetBulkPdu::new(Version::V2c, number, 0, repetitions, names)?.into_raw(), answer })
    }

    /// Returns the request.
    #[must_use]
    pub fn pdu(&self) -> &Pdu {
        &self.pdu
    }

    /// Returns the varbinds of the right response.
    #[must_use]
    pub fn answer(&self) -> &[Variable] {
        &self.answer
    }
}

/// A client that sends one request after the other.
pub trait Asker {
    /// Sends requests for this long and checks every response. Returns the varbinds per second.
    ///
    /// # Errors
    /// Returns an error if a response is wrong or missing.
    fn rate(&mut self, time: Duration) -> Result<f64>;
}

/// A client of one agent, with requests and their responses.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
    questions: Vec<Question>,
    requests: Vec<Bytes>,
    /// The right responses, as this agent encodes them.
    answers: Vec<Vec<u8>>,
    buffer: Vec<u8>,
}

impl Client {
    /// Sends every request once and checks the responses.
    ///
    /// # Errors
    /// Returns an error if a response is wrong or missing.
    pub fn check(address: &str, questions: &[Question]) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(REQUEST_TIMEOUT))?;
        let encode = |question: &Question| -> Result<Bytes> {
            Ok(CommunityMessage::v2c(COMMUNITY.as_bytes(), question.pdu.clone())?.encode()?)
        };
        let requests = questions.iter().map(encode).collect::<Result<Vec<_>>>()?;
        let (answers, buffer) = (Vec::new(), vec![0; LONGEST]);
        let mut client = Self { socket, questions: questions.to_vec(), requests, answers, buffer };
        for (request, question) in client.requests.iter().zip(questions) {
            client.socket.send(request)?;
            let length = client.socket.recv(&mut client.buffer).context("the agent did not respond")?;
            let answer = client.buffer.get(..length).unwrap_or_default();
            compare(answer, &question.answer)?;
            client.answers.push(answer.to_vec());
        }
        Ok(client)
    }
}

impl Client {
    /// Sends requests for this long. Returns how long each response took, in seconds.
    ///
    /// # Errors
    /// Returns an error if a response is wrong or missing.
    pub fn delays(&mut self, time: Duration) -> Result<Vec<f64>> {
        let (start, mut delays) = (Instant::now(), Vec::new());
        for number in (0..self.questions.len()).cycle() {
            let sent = Instant::now();
            self.ask(number)?;
            delays.push(sent.elapsed().as_secs_f64());
            if start.elapsed() >= time {
                break;
            }
        }
        Ok(delays)
    }

    /// Sends one request and returns the number of varbinds in the response, which must be that of the first pass.
    fn ask(&mut self, number: usize) -> Result<usize> {
        let (request, answer) =
            self.requests.get(number).zip(self.answers.get(number)).context("there is no request with this number")?;
        self.socket.send(request)?;
        let length = self.socket.recv(&mut self.buffer).context("the agent did not respond")?;
        ensure!(self.buffer.get(..length) == Some(answer.as_slice()), "a response differs from that of the first pass");
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
    compare_pdu(&message.into_pdu().context("the message is a trap")?, right)
}

/// Checks that a PDU has these varbinds, and no error.
///
/// # Errors
/// Returns an error if it does not.
pub(crate) fn compare_pdu(pdu: &Pdu, right: &[Variable]) -> Result<()> {
    ensure!(!pdu.is_error(), "{:?}", pdu.error_status_enum());
    ensure!(
        pdu.varbinds().len() == right.len(),
        "the response has {} varbinds, not {}",
        pdu.varbinds().len(),
        right.len()
    );
    for (varbind, (name, value)) in pdu.varbinds().iter().zip(right) {
        ensure!(varbind.oid.arcs() == name.as_slice(), "the response has {} instead of {name:?}", varbind.oid);
        let same = match (&varbind.value, value) {
            (async_snmp::Value::Counter64(seen), Value::Counter64(right)) => seen == right,
            (async_snmp::Value::Gauge32(seen), Value::Gauge32(right)) => seen == right,
            (async_snmp::Value::Integer(seen), Value::Integer(right)) => seen == right,
            _ => false,
        };
        if !same {
            bail!("{} has the value {:?}, not {value:?}", varbind.oid, varbind.value);
        }
    }
    Ok(())
}
