//! `snmp-master probe`: asks an agent for sysDescr and sysUpTime as an NMS does, to see that it answers.

use std::{
    fs,
    io::{self, Read as _},
    net::{SocketAddr, ToSocketAddrs as _, UdpSocket},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use async_snmp::{
    DecodeConfig, ErrorStatus, Oid, PduType, RequestPdu, Value, VarBind, Version, message::CommunityMessage, oid,
};
use bytes::Bytes;
use clap::Args;
use master_config::Secret;

/// How long each question waits for its answer before it is asked anew: datagrams may be lost.
const PATIENCE: Duration = Duration::from_secs(1);
/// A community of more octets is no community.
const MAX_COMMUNITY: u64 = 255;
/// The most octets of a UDP datagram.
const MAX_DATAGRAM: usize = 65_507;

/// Flags of `probe`.
#[derive(Debug, Clone, Args)]
pub struct ProbeArgs {
    /// File that holds the community; a line break at its end does not count
    #[arg(long, value_name = "FILE")]
    pub community_file: PathBuf,
    /// How long to go on asking, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// The agent
    #[arg(value_name = "HOST:PORT")]
    pub agent: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The community's file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file holds none.
    #[error("{}: a community has between 1 and {MAX_COMMUNITY} octets", path.display())]
    Community {
        /// The file.
        path: PathBuf,
    },
    /// No question could be made.
    #[error("the question cannot be written: {0}")]
    Question(#[from] Box<async_snmp::Error>),
    /// Nobody answered in time. A community that is not known is answered by nobody, either.
    #[error("{agent} did not answer within {timeout} s: {last}")]
    Silent {
        /// The agent.
        agent: String,
        /// How long was asked.
        timeout: u64,
        /// What was seen last.
        last: String,
    },
    /// It answered with an error.
    #[error("{agent} answered {status} for variable {index}")]
    Refused {
        /// The agent.
        agent: String,
        /// The error-status (RFC 3416 section 3).
        status: ErrorStatus,
        /// The error-index.
        index: i32,
    },
    /// It answered without what each agent has.
    #[error("{agent} answered without {object}")]
    Missing {
        /// The agent.
        agent: String,
        /// The object.
        object: &'static str,
    },
}

/// What an agent says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// sysDescr, as far as it is text.
    pub description: String,
    /// sysUpTime, in hundredths of a second.
    pub up_time: u32,
}

/// Asks until there is an answer, or the time is over.
///
/// # Errors
/// [`ProbeError`].
pub fn probe(args: &ProbeArgs) -> Result<Answer, ProbeError> {
    let community = community(&args.community_file)?;
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let mut last = "nothing came".to_owned();
    for id in 1.. {
        let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { break };
        let until = Instant::now() + left.min(PATIENCE);
        match ask(&args.agent, &question(&community, id)?, id, until) {
            Ok(Some(varbinds)) => return read(&args.agent, varbinds),
            Ok(None) => {}
            Err(error) => {
                last = error.to_string();
                // A name that is not there yet, a port that nobody has open yet: asked again, but not in a busy loop.
                thread::sleep(until.saturating_duration_since(Instant::now()));
            }
        }
    }
    Err(ProbeError::Silent { agent: args.agent.clone(), timeout: args.timeout, last })
}

fn community(path: &Path) -> Result<Secret, ProbeError> {
    let mut octets = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_COMMUNITY + 3).read_to_end(&mut octets));
    read.map_err(|error| ProbeError::File { path: path.to_owned(), error })?;
    let line = octets.strip_suffix(b"\n").unwrap_or(&octets);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok(text) if !text.is_empty() && text.len() as u64 <= MAX_COMMUNITY => Ok(Secret::new(text)),
        _ => Err(ProbeError::Community { path: path.to_owned() }),
    }
}

/// What is asked for: sysDescr.0 and sysUpTime.0 (RFC 3418).
fn names() -> [Oid; 2] {
    [oid!(1, 3, 6, 1, 2, 1, 1, 1, 0), oid!(1, 3, 6, 1, 2, 1, 1, 3, 0)]
}

fn question(community: &Secret, id: i32) -> Result<Bytes, ProbeError> {
    let pdu = RequestPdu::get(Version::V2c, id, &names())?;
    Ok(CommunityMessage::v2c(Bytes::copy_from_slice(community.expose().as_bytes()), pdu)?.encode()?)
}

/// An answer, as far as the message goes: its variables, or the error-status and error-index.
type Answered = Result<Vec<VarBind>, (ErrorStatus, i32)>;

/// The answer to the question `id`, if these octets are it.
fn answer_to(id: i32, octets: &[u8]) -> Option<Answered> {
    let message = CommunityMessage::decode(Bytes::copy_from_slice(octets), DecodeConfig::STRICT).ok()?.value;
    let pdu = message.into_pdu()?;
    if (pdu.pdu_type(), pdu.request_id()) != (PduType::Response, id) {
        return None;
    }
    Some(if pdu.is_error() { Err((pdu.error_status_enum(), pdu.error_index())) } else { Ok(pdu.into_varbinds()) })
}

/// Asks once, and waits for the answer `until` then; none in time is `None`.
fn ask(agent: &str, question: &[u8], id: i32, until: Instant) -> io::Result<Option<Answered>> {
    let address = agent.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("the name has no address"))?;
    let any = if address.is_ipv4() { SocketAddr::from(([0; 4], 0)) } else { SocketAddr::from(([0; 16], 0)) };
    let socket = UdpSocket::bind(any)?;
    // Connected, it takes datagrams of the agent alone, and hears that nobody has the port open.
    socket.connect(address)?;
    socket.send(question)?;
    let mut octets = vec![0; MAX_DATAGRAM];
    loop {
        let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
            return Ok(None);
        };
        socket.set_read_timeout(Some(left))?;
        match socket.recv(&mut octets) {
            Ok(len) => {
                if let Some(answer) = octets.get(..len).and_then(|octets| answer_to(id, octets)) {
                    return Ok(Some(answer));
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(None);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn read(agent: &str, answered: Answered) -> Result<Answer, ProbeError> {
    let agent = agent.to_owned();
    let varbinds = match answered {
        Ok(varbinds) => varbinds,
        Err((status, index)) => return Err(ProbeError::Refused { agent, status, index }),
    };
    let [description_name, up_time_name] = names();
    let value = |name: &Oid| varbinds.iter().find(|varbind| varbind.oid == *name).map(|varbind| &varbind.value);
    let Some(Value::OctetString(description)) = value(&description_name) else {
        return Err(ProbeError::Missing { agent, object: "sysDescr" });
    };
    let Some(&Value::TimeTicks(up_time)) = value(&up_time_name) else {
        return Err(ProbeError::Missing { agent, object: "sysUpTime" });
    };
    // What came from elsewhere must not steer a terminal.
    let description = String::from_utf8_lossy(description).chars().filter(|c| !c.is_control()).collect();
    Ok(Answer { description, up_time })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use async_snmp::{Pdu, PduBody, StandardPduType};
    use tempfile::NamedTempFile;

    use super::*;

    fn file(contents: &[u8]) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(contents).unwrap();
        file
    }

    /// The response that an agent gives to a question.
    fn response(question: &[u8], varbinds: Vec<VarBind>, error: (i32, i32)) -> Vec<u8> {
        let message = CommunityMessage::decode(Bytes::copy_from_slice(question), DecodeConfig::STRICT).unwrap().value;
        let (_, community, pdu) = message.into_parts();
        assert_eq!(community.as_bytes(), b"public");
        let body =
            PduBody::Standard { pdu_type: StandardPduType::Response, error_status: error.0, error_index: error.1 };
        let pdu = Pdu::from_raw_parts(pdu.standard().unwrap().request_id(), body, varbinds);
        CommunityMessage::v2c(community, pdu).unwrap().encode().unwrap().to_vec()
    }

    fn system() -> Vec<VarBind> {
        let [description, up_time] = names();
        vec![
            VarBind::new(description, Value::OctetString(Bytes::from_static(b"an\x1b agent"))),
            VarBind::new(up_time, Value::TimeTicks(4_200)),
        ]
    }

    /// Runs the probe against an agent that answers each question by what `answers` makes of it, until it has ended.
    fn against(timeout: u64, mut answers: impl FnMut(&[u8]) -> Vec<Vec<u8>>) -> Result<Answer, ProbeError> {
        let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
        agent.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let community_file = file(b"public\n");
        let args = ProbeArgs {
            community_file: community_file.path().to_owned(),
            timeout,
            agent: agent.local_addr().unwrap().to_string(),
        };
        let prober = thread::spawn(move || probe(&args));
        let mut octets = [0; 2_000];
        while !prober.is_finished() {
            let Ok((len, from)) = agent.recv_from(&mut octets) else { continue };
            for answer in answers(&octets[..len]) {
                agent.send_to(&answer, from).unwrap();
            }
        }
        prober.join().unwrap()
    }

    #[test]
    fn an_agent_that_answers_is_told() {
        let answer = against(30, |question| vec![response(question, system(), (0, 0))]).unwrap();
        assert_eq!(answer, Answer { description: "an agent".to_owned(), up_time: 4_200 });
    }

    #[test]
    fn a_lost_datagram_is_asked_again_and_what_is_no_answer_is_passed_by() {
        let mut asked = 0;
        let mut first = Vec::new();
        let answer = against(30, |question| {
            asked += 1;
            if asked == 1 {
                first = response(question, Vec::new(), (0, 0));
                return Vec::new();
            }
            vec![
                b"nonsense".to_vec(),
                Vec::new(),
                question.to_vec(),
                first.clone(),
                response(question, system(), (0, 0)),
            ]
        });
        assert_eq!(answer.unwrap().up_time, 4_200);
    }

    #[test]
    fn an_error_an_empty_answer_and_silence_are_told_apart() {
        let refused = against(30, |question| vec![response(question, system(), (5, 2))]).unwrap_err().to_string();
        assert!(refused.contains("genErr") && refused.contains("variable 2"), "{refused}");
        let missing = against(30, |question| vec![response(question, Vec::new(), (0, 0))]).unwrap_err();
        assert!(matches!(missing, ProbeError::Missing { object: "sysDescr", .. }), "{missing}");
        let silent = against(1, |_| Vec::new()).unwrap_err().to_string();
        assert!(silent.contains("did not answer within 1 s") && !silent.contains("public"), "{silent}");
    }

    #[test]
    fn a_file_without_a_community_is_named() {
        for contents in [&b""[..], b"\n", b"\xFF\xFE", &[b'a'; 300]] {
            let file = file(contents);
            let error = community(file.path()).unwrap_err().to_string();
            assert!(error.starts_with(&file.path().display().to_string()), "{error}");
        }
        for contents in [&b"public"[..], b"public\n", b"public\r\n"] {
            assert_eq!(community(file(contents).path()).unwrap().expose(), "public");
        }
        assert!(community(Path::new("/nowhere/community")).unwrap_err().to_string().contains("/nowhere/community"));
    }
}
