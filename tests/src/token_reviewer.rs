//! An API server that knows nothing but TokenReview, over plain HTTP.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{Sandbox, pod_token::review};

/// The longest request that it reads, in octets.
const LONGEST: usize = 1 << 20;
const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// A running one on 127.0.0.1. It believes every [`crate::PodToken`] that has not expired.
#[derive(Debug)]
pub struct TokenReviewer {
    port: u16,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    reviews: AtomicUsize,
    stopped: AtomicBool,
}

impl TokenReviewer {
    /// Starts one.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared::default());
        let listening = thread::spawn({
            let shared = Arc::clone(&shared);
            move || listen(&listener, &shared)
        });
        Ok(Self { port, shared, listening: Some(listening) })
    }

    /// Writes a kubeconfig that leads to it.
    pub fn kubeconfig(&self, sandbox: &Sandbox) -> Result<PathBuf> {
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": format!("http://127.0.0.1:{}", self.port)}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        sandbox.write("kubeconfig", kubeconfig.to_string())
    }

    /// How many tokens it has reviewed.
    pub fn reviews(&self) -> usize {
        self.shared.reviews.load(Ordering::SeqCst)
    }
}

impl Drop for TokenReviewer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener, so that it sees that it is to stop.
        let woken = TcpStream::connect(("127.0.0.1", self.port));
        if let (Ok(_), Some(listening)) = (woken, self.listening.take()) {
            listening.join().ok();
        }
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // Whoever asked sees for himself that there is no answer.
            serve(stream, &shared).ok();
        });
    }
}

/// Answers requests until the connection ends.
fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut request, mut line, mut length) = (String::new(), String::new(), 0);
        if stream.read_line(&mut request)? == 0 {
            return Ok(());
        }
        while line != "\r\n" {
            if let Some((name, value)) = line.trim_end().split_once(": ")
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.parse().unwrap_or(0).min(LONGEST);
            }
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let (status, answer) = answer(&request, &body);
        if status == "201 Created" {
            shared.reviews.fetch_add(1, Ordering::SeqCst);
        }
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}", answer.len());
        stream.get_mut().write_all(format!("{head}\r\n\r\n{answer}").as_bytes())?;
    }
}

fn answer(request: &str, body: &[u8]) -> (&'static str, String) {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let token = asked.pointer("/spec/token").and_then(Value::as_str);
    match (token, asked.clone()) {
        (Some(token), Value::Object(mut review_of)) if request.starts_with(&format!("POST {PATH}")) => {
            review_of.insert("status".to_owned(), review(token));
            ("201 Created", Value::Object(review_of).to_string())
        }
        _ => ("404 Not Found", json!({"kind": "Status", "apiVersion": "v1", "code": 404}).to_string()),
    }
}
