//! An SNMPv3 client that costs little. Its messages are authenticated and encrypted before the measurement, and it checks only
//! the message id and the length of a response. A first pass decrypts and checks every response.

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use async_snmp::{
    AuthProtocol, DecodeConfig, MessageSize, PrivProtocol,
    ber::Decoder,
    message::{MsgFlags, MsgGlobalData, RawMsgData, RawV3Message, ScopedPdu, SecurityLevel, V3Message},
    pdu::PduType,
    v3::{DerivedKeys, SaltCounter, UsmConfig, UsmSecurityParams, auth},
};
use bytes::Bytes;
use harness::{AUTH_PASSPHRASE, PRIV_PASSPHRASE, USER_NAME};

use crate::requests::snmp::{Asker, LONGEST, Question, REQUEST_TIMEOUT, compare_pdu};

/// usmStatsUnknownUserNames.0.
const UNKNOWN_USER_NAMES: [u32; 11] = [1, 3, 6, 1, 6, 3, 15, 1, 1, 3, 0];

/// The engine of an agent (RFC 3414 section 4), and the localized keys of the user.
struct Engine {
    /// The engine's id, boots and time in its response to the discovery.
    discovered: UsmSecurityParams,
    /// When it was discovered.
    discovered_at: Instant,
    keys: DerivedKeys,
    salt: SaltCounter,
}

/// Returns whether an agent knows a user, which it reports without authentication (RFC 3414 section 3.2).
///
/// # Errors
/// Returns an error if it does not respond.
pub fn is_known(address: &str, user: &str) -> Result<bool> {
    let (socket, mut buffer) = (connect(address)?, vec![0; LONGEST]);
    let discovered = discover(&socket, &mut buffer)?;
    let user = Bytes::copy_from_slice(user.as_bytes());
    let (id, boots, time) = (discovered.engine_id().clone(), discovered.engine_boots(), discovered.engine_time());
    let parameters = UsmSecurityParams::new(id, boots, time, user)?;
    let question = Question::get(1, vec![(UNKNOWN_USER_NAMES.to_vec(), agentx::Value::Null)])?;
    let scoped = ScopedPdu::new(discovered.engine_id().clone(), Bytes::new(), question.pdu().clone());
    let flags = MsgFlags::new(SecurityLevel::NoAuthNoPriv, true);
    let global = MsgGlobalData::new(2, MessageSize::new(LONGEST)?, flags)?;
    let request = V3Message::new(global, parameters.encode()?, scoped)?.encode()?;
    let answer = Bytes::copy_from_slice(exchange(&socket, &mut buffer, &request)?);
    let answer = V3Message::decode(answer, DecodeConfig::STRICT)?.value;
    let pdu = answer.pdu().context("the response is encrypted")?;
    let is_report = pdu.pdu_type() == PduType::Report;
    Ok(!(is_report && pdu.varbinds().iter().any(|varbind| varbind.oid.arcs() == UNKNOWN_USER_NAMES)))
}

fn connect(address: &str) -> Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    Ok(socket)
}

fn discover(socket: &UdpSocket, buffer: &mut [u8]) -> Result<UsmSecurityParams> {
    let request = V3Message::discovery_request(1, MessageSize::new(LONGEST)?)?.encode()?;
    let report = exchange(socket, buffer, &request)?;
    let report = RawV3Message::decode(Bytes::copy_from_slice(report), DecodeConfig::STRICT)?.value;
    Ok(UsmSecurityParams::decode(report.security_params().clone(), DecodeConfig::STRICT)?.value)
}

/// A client of one agent, with requests.
pub struct Client {
    socket: UdpSocket,
    engine: Engine,
    questions: Vec<Question>,
    /// The lengths of the right responses. The engine time in a response may become longer.
    lengths: Vec<usize>,
    buffer: Vec<u8>,
}

impl Client {
    /// Sends every request once and checks the responses.
    ///
    /// # Errors
    /// Returns an error if a response is wrong or missing.
    pub fn check(address: &str, questions: &[Question]) -> Result<Self> {
        let (socket, mut buffer) = (connect(address)?, vec![0; LONGEST]);
        let engine = Engine::new(discover(&socket, &mut buffer)?)?;
        let mut client = Self { socket, engine, questions: questions.to_vec(), lengths: Vec::new(), buffer };
        for (request, question) in client.requests()?.iter().zip(questions) {
            let answer = Bytes::copy_from_slice(exchange(&client.socket, &mut client.buffer, request)?);
            client.lengths.push(answer.len());
            compare_pdu(&client.engine.open(answer)?, question.answer())?;
        }
        Ok(client)
    }

    /// Returns all requests as messages within the current time window.
    fn requests(&self) -> Result<Vec<Vec<u8>>> {
        let numbers = 1..;
        numbers.zip(&self.questions).map(|(number, question)| self.engine.seal(number, question)).collect()
    }
}

impl Asker for Client {
    #[allow(clippy::cast_precision_loss)]
    fn rate(&mut self, time: Duration) -> Result<f64> {
        let requests = self.requests()?;
        let (start, mut variables) = (Instant::now(), 0);
        let rounds = (1..).zip(requests.iter().zip(&self.questions).zip(&self.lengths)).cycle();
        for (number, ((request, question), length)) in rounds {
            let answer = exchange(&self.socket, &mut self.buffer, request)?;
            ensure!(answer.len().abs_diff(*length) <= 4, "the response has {} octets, not {length}", answer.len());
            let message = RawV3Message::decode(Bytes::copy_from_slice(answer), DecodeConfig::STRICT)?.value;
            ensure!(message.msg_id() == number, "the response has the message id {}, not {number}", message.msg_id());
            variables += question.answer().len();
            if start.elapsed() >= time {
                break;
            }
        }
        Ok(variables as f64 / start.elapsed().as_secs_f64())
    }
}

fn exchange<'b>(socket: &UdpSocket, buffer: &'b mut [u8], request: &[u8]) -> Result<&'b [u8]> {
    socket.send(request)?;
    let length = socket.recv(buffer).context("the agent did not respond")?;
    Ok(buffer.get(..length).unwrap_or_default())
}

impl Engine {
    fn new(discovered: UsmSecurityParams) -> Result<Self> {
        let (auth, privacy) = (AuthProtocol::Sha256, PrivProtocol::Aes128);
        let user = UsmConfig::new(USER_NAME).auth_priv(auth, AUTH_PASSPHRASE, privacy, PRIV_PASSPHRASE)?;
        let keys = user.derive_keys(discovered.engine_id())?;
        Ok(Self { discovered, discovered_at: Instant::now(), keys, salt: SaltCounter::new()? })
    }

    /// Returns a request as a message, authenticated and encrypted.
    fn seal(&self, number: i32, question: &Question) -> Result<Vec<u8>> {
        let auth_key = self.keys.auth_key.as_ref().context("the user has no key")?;
        let priv_key = self.keys.priv_key.as_ref().context("the user has no key")?;
        let (id, boots) = (self.discovered.engine_id().clone(), self.discovered.engine_boots());
        let time = self.discovered.engine_time() + u32::try_from(self.discovered_at.elapsed().as_secs())?;
        let scoped = ScopedPdu::new(id.clone(), Bytes::new(), question.pdu().clone()).encode_to_bytes()?;
        let (encrypted, salt) = priv_key.encrypt_aes(&scoped, boots, time, &self.salt)?;
        let parameters = UsmSecurityParams::new(id, boots, time, Bytes::from_static(USER_NAME.as_bytes()))?
            .with_auth_placeholder(auth_key.mac_len())?
            .with_priv_params(salt)?;
        let flags = MsgFlags::new(SecurityLevel::AuthPriv, true);
        let global = MsgGlobalData::new(number, MessageSize::new(LONGEST)?, flags)?;
        let message =
            V3Message::new_with_opaque_encrypted_scoped_pdu(global, parameters.encode()?, encrypted)?.encode()?;
        let mut octets = message.to_vec();
        let (offset, length) =
            UsmSecurityParams::find_auth_params_offset(&octets).context("the message has no field for the MAC")?;
        auth::authenticate_message(auth_key, &mut octets, offset, length)?;
        Ok(octets)
    }

    /// Verifies and decrypts a response, and returns its PDU.
    fn open(&self, answer: Bytes) -> Result<async_snmp::pdu::Pdu> {
        let auth_key = self.keys.auth_key.as_ref().context("the user has no key")?;
        let priv_key = self.keys.priv_key.as_ref().context("the user has no key")?;
        let (offset, length) =
            UsmSecurityParams::find_auth_params_offset(&answer).context("the response has no MAC")?;
        ensure!(auth::verify_message(auth_key, &answer, offset, length)?, "the MAC of the response is wrong");
        let message = RawV3Message::decode(answer, DecodeConfig::STRICT)?.value;
        let parameters = UsmSecurityParams::decode(message.security_params().clone(), DecodeConfig::STRICT)?.value;
        let RawMsgData::Encrypted(encrypted) = message.msg_data() else { bail!("the response is not encrypted") };
        let (boots, time) = (parameters.engine_boots(), parameters.engine_time());
        let scoped = priv_key.decrypt(encrypted, boots, time, parameters.priv_params())?;
        Ok(ScopedPdu::decode(&mut Decoder::new(scoped))?.pdu)
    }
}
