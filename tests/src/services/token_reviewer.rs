//! An API server that serves only TokenReview, over plain HTTP.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{Sandbox, services::pod_token::review, services::tcp_server::TcpServer};

/// The longest body of a request that it reads, in octets.
const LONGEST_BODY: usize = 1 << 20;
const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// A running API server on 127.0.0.1. It authenticates every [`crate::PodToken`] that has not expired.
#[derive(Debug)]
pub struct TokenReviewer {
    server: TcpServer,
    reviews: Arc<AtomicUsize>,
}

impl TokenReviewer {
    /// Starts the API server.
    pub fn start() -> Result<Self> {
        let reviews = Arc::new(AtomicUsize::new(0));
        let server = TcpServer::start({
            let reviews = Arc::clone(&reviews);
            move |stream| serve(stream, &reviews)
        })?;
        Ok(Self { server, reviews })
    }

    /// Writes a kubeconfig for it and returns the file's path.
    pub fn kubeconfig(&self, sandbox: &Sandbox) -> Result<PathBuf> {
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": format!("http://127.0.0.1:{}", self.server.port())}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        sandbox.write("kubeconfig", kubeconfig.to_string())
    }

    /// Returns the number of tokens that it has reviewed.
    pub fn reviews(&self) -> usize {
        self.reviews.load(Ordering::SeqCst)
    }
}

/// Answers requests until the connection ends.
fn serve(stream: TcpStream, reviews: &AtomicUsize) -> io::Result<()> {
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
                length = value.parse().unwrap_or(0).min(LONGEST_BODY);
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
            reviews.fetch_add(1, Ordering::SeqCst);
        }
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}", answer.len());
        stream.get_mut().write_all(format!("{head}\r\n\r\n{answer}").as_bytes())?;
    }
}

fn answer(request: &str, body: &[u8]) -> (&'static str, String) {
    let review_request: Value = serde_json::from_slice(body).unwrap_or_default();
    let token = review_request.pointer("/spec/token").and_then(Value::as_str);
    match (token, review_request.clone()) {
        (Some(token), Value::Object(mut reviewed)) if request.starts_with(&format!("POST {PATH}")) => {
            reviewed.insert("status".to_owned(), review(token));
            ("201 Created", Value::Object(reviewed).to_string())
        }
        _ => ("404 Not Found", json!({"kind": "Status", "apiVersion": "v1", "code": 404}).to_string()),
    }
}
