//! A minimal HTTP client for pages on 127.0.0.1.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

/// Sends a GET for `path` to 127.0.0.1:`port` and returns the body. Returns an error if the status is not 200.
pub fn get(port: u16, path: &str) -> Result<String> {
    request("GET", port, path)
}

/// Sends an empty POST for `path` to 127.0.0.1:`port` and returns the body. Returns an error if the status is not 200.
pub fn post(port: u16, path: &str) -> Result<String> {
    request("POST", port, path)
}

fn request(method: &str, port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).with_context(|| format!("connecting to port {port}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    let reply = String::from_utf8(reply)?;
    let (head, body) = reply.split_once("\r\n\r\n").context("the reply has no header")?;
    let status = head.lines().next().unwrap_or_default();
    ensure!(status.split_whitespace().nth(1) == Some("200"), "{path} of port {port}: {status}: {body}");
    Ok(body.to_owned())
}
