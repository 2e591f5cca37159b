//! The program as a person or the kubelet starts it.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Nothing takes longer, unless it never comes.
const DEADLINE: Duration = Duration::from_secs(60);

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

/// Standard error, and whether all was well.
fn said(output: &Output) -> (bool, String) {
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Ends with this, also when the test fails.
struct Running(Child);

impl Running {
    fn start(dir: &Path) -> Self {
        Self(serving(dir).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Ends it as the kubelet does, and gives its exit status.
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

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn check_says_everything_that_is_wrong_with_a_document_and_where() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.json");
    fs::write(&path, DOCUMENT).unwrap();
    assert!(program().arg("check").arg(&path).output().unwrap().status.success());
    fs::write(&path, r#"{"version": 1, "listeners": {"snmp": []}, "limits": {"sessions": 0}, "contextts": []}"#)
        .unwrap();
    let (sound, errors) = said(&program().arg("check").arg(&path).output().unwrap());
    assert!(!sound);
    for field in ["listeners.snmp", "limits.sessions", "contextts"] {
        let named = |line: &str| line.starts_with(&format!("{}: {field}", path.display()));
        assert!(errors.lines().any(named), "{field} in {errors}");
    }
}

#[test]
fn an_engine_that_cannot_be_read_keeps_the_program_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("master.json"), DOCUMENT).unwrap();
    fs::write(dir.path().join("engine.json"), "gone").unwrap();
    let (sound, errors) = said(&serving(dir.path()).output().unwrap());
    assert!(!sound && errors.contains("engine.json"), "{errors}");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fs::write(dir.path().join("master.json"), DOCUMENT.replace("127.0.0.1:0", &address)).unwrap();
    let (sound, errors) = said(&serving(dir.path()).output().unwrap());
    assert!(!sound && errors.contains(&format!("cannot listen for SNMP at {address}")), "{errors}");
}

#[test]
fn each_start_is_a_boot_of_the_engine_and_sigterm_ends_it_in_good_order() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agentx.sock");
    let document = serde_json::json!({
        "version": 1,
        "listeners": {"snmp": ["127.0.0.1:0"], "agentxUnix": {"path": socket}},
    });
    fs::write(dir.path().join("master.json"), document.to_string()).unwrap();
    for boots in 1..=2 {
        let mut running = Running::start(dir.path());
        until("it listens", || std::os::unix::net::UnixStream::connect(&socket).ok());
        let state = fs::read_to_string(dir.path().join("engine.json")).unwrap();
        assert!(state.contains(&format!("\"engineBoots\":{boots}")), "{state}");
        assert_eq!(running.terminate(), Some(0));
        assert!(!socket.exists());
    }
}

#[test]
fn without_a_document_it_waits_for_one_and_ends_when_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agentx.sock");
    let mut running = Running::start(dir.path());
    until("it has begun", || dir.path().join("engine.json").exists().then_some(()));
    let document = serde_json::json!({
        "version": 1,
        "listeners": {"snmp": ["127.0.0.1:0"], "agentxUnix": {"path": socket}},
    });
    fs::write(dir.path().join("master.json"), document.to_string()).unwrap();
    until("it listens", || socket.exists().then_some(()));
    assert_eq!(running.terminate(), Some(0));
}
