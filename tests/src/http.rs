//! One HTTP request, for pages and status.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

/// Gets `path` of 127.0.0.1:`port` with HTTP/1.0 and gives the body of a 200 reply.
pub fn get(port: u16, path: &str) -> Result<String> {
    ask("GET", port, path)
}

/// Posts nothing to `path` of 127.0.0.1:`port`, and gives the body of a 200 reply.
pub fn post(port: u16, path: &str) -> Result<String> {
    ask("POST", port, path)
}

fn ask(method: &str, port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).with_context(|| format!("connecting to port {port}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    let reply = String::from_utf8(reply)?;
    let (head, body) = reply.split_once("\r\n\r\n").context("a reply without a head")?;
    let status = head.lines().next().unwrap_or_default();
    ensure!(status.split_whitespace().nth(1) == Some("200"), "{path} of port {port}: {status}: {body}");
    Ok(body.to_owned())
}
