//! `snmp-master probe`: reads sysDescr and sysUpTime of an agent, to check that it responds.

use std::{
    fs,
    io::{self, Read as _},
    net::{SocketAddr, ToSocketAddrs as _, UdpSocket},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use async_snmp::{
    DecodeConfig, ErrorStatus, Oid, PduType, RequestPdu, Value, VarBind, Version, message::CommunityMessage, oid,
};
use bytes::Bytes;
use clap::Args;
use master_config::Secret;

use super::print;

/// Timeout of one request. A datagram may be lost, so the request is then sent again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest community in octets.
const MAX_COMMUNITY: u64 = 255;
/// Longest UDP datagram in octets.
const MAX_DATAGRAM: usize = 65_507;

/// Flags of `probe`.
#[derive(Debug, Clone, Args)]
pub struct ProbeArgs {
    /// File that contains the community; a line break at its end is ignored
    #[arg(long, value_name = "FILE")]
    pub community_file: PathBuf,
    /// How long to try, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// Address of the agent
    #[arg(value_name = "HOST:PORT")]
    pub agent: String,
}

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// The community file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file contains no valid community.
    #[error("{}: a community has between 1 and {MAX_COMMUNITY} octets", path.display())]
    Community {
        /// The file.
        path: PathBuf,
    },
    /// The request cannot be encoded.
    #[error("cannot encode the request: {0}")]
    Request(#[from] Box<async_snmp::Error>),
    /// The agent did not respond in time. Agents also do not respond to an unknown community.
    #[error("{agent} did not respond within {timeout} s: {last}")]
    NoResponse {
        /// The agent.
        agent: String,
        /// The timeout in seconds.
        timeout: u64,
        /// The last error.
        last: String,
    },
    /// The agent responded with an error.
    #[error("{agent} responded with the error {status} for varbind {index}")]
    ErrorStatus {
        /// The agent.
        agent: String,
        /// The error-status (RFC 3416 section 3).
        status: ErrorStatus,
        /// The error-index.
        index: i32,
    },
    /// The response has no value for a mandatory object.
    #[error("the response of {agent} has no {object}")]
    Missing {
        /// The agent.
        agent: String,
        /// The object.
        object: &'static str,
    },
}

/// The response of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SystemGroup {
    /// sysDescr, without control characters.
    description: String,
    /// sysUpTime in hundredths of a second.
    up_time: u32,
}

/// Runs `probe`: queries an agent and prints its response.
pub(crate) fn probe(args: &ProbeArgs) -> anyhow::Result<ExitCode> {
    let SystemGroup { description, up_time } = query(args)?;
    print(&format!("{description}, up for {}.{:02} s", up_time / 100, up_time % 100))
}

/// Sends a request every second until there is a response.
fn query(args: &ProbeArgs) -> Result<SystemGroup, ProbeError> {
    let community = community(&args.community_file)?;
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let mut last = "no response".to_owned();
    for id in 1.. {
        let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { break };
        let until = Instant::now() + left.min(REQUEST_TIMEOUT);
        match exchange(&args.agent, &request(&community, id)?, id, until) {
            Ok(Some(varbinds)) => return read(&args.agent, varbinds),
            Ok(None) => {}
            Err(error) => {
                last = error.to_string();
                // The name or the port may not exist yet. Wait before the next try.
                thread::sleep(until.saturating_duration_since(Instant::now()));
            }
        }
    }
    Err(ProbeError::NoResponse { agent: args.agent.clone(), timeout: args.timeout, last })
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

/// Returns the names of the instances to read: sysDescr.0 and sysUpTime.0 (RFC 3418).
fn names() -> [Oid; 2] {
    [oid!(1, 3, 6, 1, 2, 1, 1, 1, 0), oid!(1, 3, 6, 1, 2, 1, 1, 3, 0)]
}

fn request(community: &Secret, id: i32) -> Result<Bytes, ProbeError> {
    let pdu = RequestPdu::get(Version::V2c, id, &names())?;
    Ok(CommunityMessage::v2c(Bytes::copy_from_slice(community.expose().as_bytes()), pdu)?.encode()?)
}

/// The varbinds of a response, or its error-status and error-index.
type ResponseResult = Result<Vec<VarBind>, (ErrorStatus, i32)>;

/// Decodes the response to the request `id`. Returns `None` if the datagram is something else.
fn decode(id: i32, octets: &[u8]) -> Option<ResponseResult> {
    let message = CommunityMessage::decode(Bytes::copy_from_slice(octets), DecodeConfig::STRICT).ok()?.value;
    let pdu = message.into_pdu()?;
    if (pdu.pdu_type(), pdu.request_id()) != (PduType::Response, id) {
        return None;
    }
    Some(if pdu.is_error() { Err((pdu.error_status_enum(), pdu.error_index())) } else { Ok(pdu.into_varbinds()) })
}

/// Sends the request once. Returns `None` if there is no response until `until`.
fn exchange(agent: &str, request: &[u8], id: i32, until: Instant) -> io::Result<Option<ResponseResult>> {
    let address = agent.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("the host name has no address"))?;
    let any = if address.is_ipv4() { SocketAddr::from(([0; 4], 0)) } else { SocketAddr::from(([0; 16], 0)) };
    let socket = UdpSocket::bind(any)?;
    // A connected socket receives only datagrams of the agent, and reports a closed port.
    socket.connect(address)?;
    socket.send(request)?;
    let mut octets = vec![0; MAX_DATAGRAM];
    loop {
        let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
            return Ok(None);
        };
        socket.set_read_timeout(Some(left))?;
        match socket.recv(&mut octets) {
            Ok(len) => {
                if let Some(response) = octets.get(..len).and_then(|octets| decode(id, octets)) {
                    return Ok(Some(response));
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

fn read(agent: &str, response: ResponseResult) -> Result<SystemGroup, ProbeError> {
    let agent = agent.to_owned();
    let varbinds = match response {
        Ok(varbinds) => varbinds,
        Err((status, index)) => return Err(ProbeError::ErrorStatus { agent, status, index }),
    };
    let [description_name, up_time_name] = names();
    let value = |name: &Oid| varbinds.iter().find(|varbind| varbind.oid == *name).map(|varbind| &varbind.value);
    let Some(Value::OctetString(description)) = value(&description_name) else {
        return Err(ProbeError::Missing { agent, object: "sysDescr" });
    };
    let Some(&Value::TimeTicks(up_time)) = value(&up_time_name) else {
        return Err(ProbeError::Missing { agent, object: "sysUpTime" });
    };
    // Control characters from another host must not reach the terminal.
    let description = String::from_utf8_lossy(description).chars().filter(|c| !c.is_control()).collect();
    Ok(SystemGroup { description, up_time })
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

    /// Builds the response to a request.
    fn response(request: &[u8], varbinds: Vec<VarBind>, error: (i32, i32)) -> Vec<u8> {
        let message = CommunityMessage::decode(Bytes::copy_from_slice(request), DecodeConfig::STRICT).unwrap().value;
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

    /// Runs the probe against an agent that sends the datagrams of `respond` for each request.
    fn run(timeout: u64, mut respond: impl FnMut(&[u8]) -> Vec<Vec<u8>>) -> Result<SystemGroup, ProbeError> {
        let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
        agent.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let community_file = file(b"public\n");
        let args = ProbeArgs {
            community_file: community_file.path().to_owned(),
            timeout,
            agent: agent.local_addr().unwrap().to_string(),
        };
        let prober = thread::spawn(move || query(&args));
        let mut octets = [0; 2_000];
        while !prober.is_finished() {
            let Ok((len, from)) = agent.recv_from(&mut octets) else { continue };
            for datagram in respond(&octets[..len]) {
                agent.send_to(&datagram, from).unwrap();
            }
        }
        prober.join().unwrap()
    }

    #[test]
    fn the_response_of_an_agent_is_read() {
        let system_group = run(30, |request| vec![response(request, system(), (0, 0))]).unwrap();
        assert_eq!(system_group, SystemGroup { description: "an agent".to_owned(), up_time: 4_200 });
    }

    #[test]
    fn a_lost_request_is_sent_again_and_other_datagrams_are_ignored() {
        let mut requests = 0;
        let mut first = Vec::new();
        let system_group = run(30, |request| {
            requests += 1;
            if requests == 1 {
                first = response(request, Vec::new(), (0, 0));
                return Vec::new();
            }
            vec![b"nonsense".to_vec(), Vec::new(), request.to_vec(), first.clone(), response(request, system(), (0, 0))]
        });
        assert_eq!(system_group.unwrap().up_time, 4_200);
    }

    #[test]
    fn error_responses_empty_responses_and_timeouts_are_different_errors() {
        let error_status = run(30, |request| vec![response(request, system(), (5, 2))]).unwrap_err().to_string();
        assert!(error_status.contains("genErr") && error_status.contains("varbind 2"), "{error_status}");
        let missing = run(30, |request| vec![response(request, Vec::new(), (0, 0))]).unwrap_err();
        assert!(matches!(missing, ProbeError::Missing { object: "sysDescr", .. }), "{missing}");
        let silent = run(1, |_| Vec::new()).unwrap_err().to_string();
        assert!(silent.contains("did not respond within 1 s") && !silent.contains("public"), "{silent}");
    }

    #[test]
    fn a_file_without_a_community_is_an_error_that_names_it() {
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
