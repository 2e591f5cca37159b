//! Tests of the program as a process.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use agentx::{Body, ByteOrder, Header, Open, Pdu};

/// Longest wait of a test.
const DEADLINE: Duration = Duration::from_mins(1);

const DOCUMENT: &str = r#"{"version": 1, "listeners": {"snmp": ["127.0.0.1:0"]}}"#;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_snmp-master"))
}

fn serving(dir: &Path) -> Command {
    let mut command = program();
    command.arg("--config").arg(dir.join("master.json")).arg("--state").arg(dir);
    command.args(["--listen", "127.0.0.1:0", "--local-listen", "127.0.0.1:0"]);
    command
}

/// Returns whether the process succeeded, and its standard error.
fn result(output: &Output) -> (bool, String) {
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A running process, killed when this is dropped.
struct Running(Child);

impl Running {
    fn start(dir: &Path) -> Self {
        Self(serving(dir).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Sends SIGTERM as the kubelet does, and returns the exit code.
    fn terminate(&mut self) -> Option<i32> {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.0.id().cast_signed()), nix::sys::signal::SIGTERM)
            .unwrap();
        until("the process ends", || self.0.try_wait().unwrap()).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(seen) = check() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn check_reports_all_violations_with_their_fields() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.json");
    fs::write(&path, DOCUMENT).unwrap();
    assert!(program().arg("check").arg(&path).output().unwrap().status.success());
    fs::write(&path, r#"{"version": 1, "listeners": {"snmp": []}, "limits": {"sessions": 0}, "contextts": []}"#)
        .unwrap();
    let (succeeded, errors) = result(&program().arg("check").arg(&path).output().unwrap());
    assert!(!succeeded);
    for field in ["listeners.snmp", "limits.sessions", "contextts"] {
        let named = |line: &str| line.starts_with(&format!("{}: {field}", path.display()));
        assert!(errors.lines().any(named), "{field} in {errors}");
    }
}

#[test]
fn an_invalid_engine_state_is_an_error_at_startup() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("master.json"), DOCUMENT).unwrap();
    fs::write(dir.path().join("engine.json"), "invalid").unwrap();
    let (succeeded, errors) = result(&serving(dir.path()).output().unwrap());
    assert!(!succeeded && errors.contains("engine.json"), "{errors}");
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    fs::write(dir.path().join("master.json"), DOCUMENT.replace("127.0.0.1:0", &address)).unwrap();
    let (succeeded, errors) = result(&serving(dir.path()).output().unwrap());
    assert!(!succeeded && errors.contains(&format!("cannot listen for SNMP at {address}")), "{errors}");
}

#[test]
fn each_start_is_a_boot_of_the_engine_and_sigterm_shuts_it_down() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agentx.sock");
    let document = serde_json::json!({
        "version": 1,
        "listeners": {"snmp": ["127.0.0.1:0"], "agentxUnix": {"path": socket}},
    });
    fs::write(dir.path().join("master.json"), document.to_string()).unwrap();
    for boots in 1..=2 {
        let mut running = Running::start(dir.path());
        until("it listens", || UnixStream::connect(&socket).ok());
        let state = fs::read_to_string(dir.path().join("engine.json")).unwrap();
        assert!(state.contains(&format!("\"engineBoots\":{boots}")), "{state}");
        assert_eq!(running.terminate(), Some(0));
        assert!(!socket.exists());
    }
}

/// Opens a session on `stream`. Returns whether there is a response within two seconds.
fn opens(mut stream: &UnixStream) -> bool {
    let header = Header { byte_order: ByteOrder::Big, session_id: 0, transaction_id: 0, packet_id: 1 };
    let open = Open { timeout_s: 0, id: agentx::Oid::default(), description: Vec::new() };
    let mut octets = Vec::new();
    agentx::encode(&Pdu { header, context: "".into(), body: Body::Open(open) }, &mut octets).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    stream.write_all(&octets).unwrap();
    stream.read(&mut [0; 64]).is_ok_and(|len| len > 0)
}

#[test]
fn connections_wait_only_while_no_file_descriptors_are_free() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agentx.sock");
    let document = serde_json::json!({
        "version": 1,
        "listeners": {"snmp": ["127.0.0.1:0"], "agentxUnix": {"path": socket}},
    });
    fs::write(dir.path().join("master.json"), document.to_string()).unwrap();
    let serving = serving(dir.path());
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 40 && exec \"$@\"", "sh"]).arg(serving.get_program()).args(serving.get_args());
    let mut running = Running(limited.stderr(Stdio::null()).spawn().unwrap());
    until("it listens", || UnixStream::connect(&socket).ok());
    let mut open = Vec::new();
    let waiting = loop {
        let stream = UnixStream::connect(&socket).unwrap();
        if !opens(&stream) {
            break stream;
        }
        open.push(stream);
        assert!(open.len() < 40, "more connections than file descriptors");
    };
    assert!(!open.is_empty());
    open.clear();
    waiting.set_read_timeout(Some(DEADLINE)).unwrap();
    assert!((&waiting).read(&mut [0; 64]).is_ok_and(|len| len > 0), "it is served after the others closed");
    assert_eq!(running.terminate(), Some(0));
}

#[test]
fn the_program_waits_for_a_document() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agentx.sock");
    let mut running = Running::start(dir.path());
    until("it has started", || dir.path().join("engine.json").exists().then_some(()));
    let document = serde_json::json!({
        "version": 1,
        "listeners": {"snmp": ["127.0.0.1:0"], "agentxUnix": {"path": socket}},
    });
    fs::write(dir.path().join("master.json"), document.to_string()).unwrap();
    until("it listens", || socket.exists().then_some(()));
    assert_eq!(running.terminate(), Some(0));
}
