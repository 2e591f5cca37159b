//! Test of the program with a fake API server, which it finds by KUBECONFIG.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    client::{Client, DEADLINE, Subagent},
    master::{new_ca, write_certificate},
    tokens::{Claims, review},
};

/// A running process, killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Starts a fake API server over plain HTTP, which only serves TokenReview. It runs until the test process ends.
fn api_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            thread::spawn(move || {
                loop {
                    let (mut line, mut length) = (String::new(), 0);
                    if stream.read_line(&mut line).is_err() || line.is_empty() {
                        return;
                    }
                    assert!(line.starts_with("POST /apis/authentication.k8s.io/v1/tokenreviews"), "{line}");
                    while line != "\r\n" {
                        if let Some((name, value)) = line.trim_end().split_once(": ")
                            && name.eq_ignore_ascii_case("content-length")
                        {
                            length = value.parse().unwrap();
                        }
                        line.clear();
                        stream.read_line(&mut line).unwrap();
                    }
                    let mut body = vec![0; length];
                    stream.read_exact(&mut body).unwrap();
                    let mut body: Value = serde_json::from_slice(&body).unwrap();
                    assert_eq!(body["spec"]["audiences"], json!(["snmp-operator.dev"]));
                    body["status"] = review(body["spec"]["token"].as_str().unwrap()).unwrap();
                    let body = body.to_string();
                    let head = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: ";
                    write!(stream.get_mut(), "{head}{}\r\n\r\n{body}", body.len()).unwrap();
                }
            });
        }
    });
    address
}

#[test]
fn the_program_reviews_tokens_at_the_api_server_of_kubeconfig() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": format!("http://{}", api_server())}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    });
    fs::write(path("kubeconfig"), kubeconfig.to_string()).unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let document = json!({
        "version": 1,
        "listeners": {"snmp": ["127.0.0.1:0"], "agentxTls": address},
        "contexts": [{"name": "acme", "grants": [{"namespace": "acme", "subtrees": [crate::A]}]}],
    });
    fs::write(path("master.json"), document.to_string()).unwrap();
    let ca = new_ca();
    write_certificate(&ca, directory.path());
    let start = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snmp-master"));
        command.arg("--config").arg(path("master.json")).arg("--state").arg(directory.path()).args(args);
        command.args(["--listen", "127.0.0.1:0", "--local-listen", "127.0.0.1:0"]);
        command.env("KUBECONFIG", path("kubeconfig"));
        command
    };
    let without = start(&[]).output().unwrap();
    let errors = String::from_utf8_lossy(&without.stderr);
    assert!(!without.status.success() && errors.contains("--tls"), "{errors}");

    let tls = directory.path().to_str().unwrap();
    let _running = Running(start(&["--tls", tls]).stderr(Stdio::null()).spawn().unwrap());
    let deadline = Instant::now() + DEADLINE;
    let client = loop {
        match Client::at(address, &ca.pem()) {
            Ok(client) => break client,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        thread::sleep(Duration::from_millis(50));
    };
    let mut subagent = Subagent::upgrade(client, &Claims::of("acme", "web-0")).expect("the upgrade is accepted");
    subagent.open();
    assert_eq!(subagent.register("acme", crate::A), agentx::ResponseError::NoError);
    assert_eq!(subagent.register("acme", crate::B), agentx::ResponseError::RequestDenied);
    let mut client = Client::at(address, &ca.pem()).unwrap();
    let token = Claims::of("acme", "web-0").signed("forged");
    let upgrade = "Connection: Upgrade\r\nUpgrade: agentx";
    client.send(
        format!("GET /agentx HTTP/1.1\r\nHost: m\r\n{upgrade}\r\nAuthorization: Bearer {token}\r\n\r\n").as_bytes(),
    );
    assert_eq!(client.response().0, 401);
}
