//! The ways in which a metrics endpoint fails.

use std::{
    fmt,
    io::{self, Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use rustix::net::sockopt::set_socket_linger;

use crate::{Random, Reply};

/// A way in which an endpoint fails. A scraper must discard everything that such an endpoint sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceFault {
    /// Reads the request and never replies.
    Hang,
    /// Sends one octet at a time, so slowly that the scrape times out.
    Drip,
    /// Resets the connection in the middle of the page.
    Reset,
    /// Sends the page with status 500.
    ServerError,
    /// Sends a redirect.
    Redirect,
    /// Sends HTML with status 200.
    Html,
    /// Sends random octets instead of HTTP.
    Garbage,
    /// Sends a page that continues with random octets.
    GarbageBody,
    /// Sends a page that ends with a malformed line.
    MalformedLine,
    /// Sends less of the page than the header announces.
    CutBody,
    /// Sends the first half of a compressed page.
    CutGzip,
    /// Sends a page of more than a gibibyte.
    HugeBody,
    /// Sends a small compressed body that expands to a huge page.
    GzipBomb,
    /// Sends more samples than a source may have.
    TooManySamples,
}

impl SourceFault {
    /// All faults.
    pub const ALL: [Self; 14] = [
        Self::Hang,
        Self::Drip,
        Self::Reset,
        Self::ServerError,
        Self::Redirect,
        Self::Html,
        Self::Garbage,
        Self::GarbageBody,
        Self::MalformedLine,
        Self::CutBody,
        Self::CutGzip,
        Self::HugeBody,
        Self::GzipBomb,
        Self::TooManySamples,
    ];

    /// Returns the reply of an endpoint with this fault. The samples in it, if any, are those of `page`. `metric` is the
    /// name of a metric that the scraper reads.
    pub fn reply(self, page: String, metric: &str, random: &mut Random) -> Reply {
        match self {
            Self::Hang => Reply::Hang,
            Self::Html => Reply::Html,
            Self::CutBody => Reply::Cut(page),
            Self::MalformedLine => Reply::Page(page + "this is no sample line {\n"),
            Self::TooManySamples => Reply::Page(many_samples(page, metric)),
            Self::Drip => Reply::acted(move |stream| drip(stream, &page)),
            Self::Reset => Reply::acted(move |stream| reset(stream, &page)),
            Self::ServerError => Reply::acted(move |stream| respond(stream, "500 Oops", "", page.as_bytes())),
            Self::Redirect => {
                Reply::acted(move |stream| respond(stream, "302 Found", "Location: /elsewhere\r\n", page.as_bytes()))
            }
            Self::Garbage => {
                let octets = random.octets(5_000);
                Reply::acted(move |stream| stream.write_all(&octets))
            }
            Self::GarbageBody => {
                let octets = [page.as_bytes(), &random.octets(5_000)].concat();
                Reply::acted(move |stream| respond(stream, "200 OK", "", &octets))
            }
            Self::CutGzip => {
                let whole = gzip(page.as_bytes(), 1);
                let cut = whole.get(..whole.len() / 2).unwrap_or_default().to_vec();
                Reply::acted(move |stream| respond(stream, "200 OK", GZIP, &cut))
            }
            Self::HugeBody => Reply::acted(move |stream| huge(stream, &page)),
            Self::GzipBomb => {
                let bomb = gzip(&[b'#'; 4 << 10], 8 << 10);
                Reply::acted(move |stream| respond(stream, "200 OK", GZIP, &bomb))
            }
        }
    }
}

impl fmt::Display for SourceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source: {self:?}")
    }
}

const GZIP: &str = "Content-Encoding: gzip\r\n";
const TEXT: &str = "Content-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";

fn respond(stream: &mut TcpStream, status: &str, fields: &str, body: &[u8]) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\n{TEXT}{fields}Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

/// Compresses `piece`, repeated `times` times.
fn gzip(piece: &[u8], times: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..times {
        // Writing to a vector cannot fail.
        _ = encoder.write_all(piece);
    }
    encoder.finish().unwrap_or_default()
}

fn many_samples(page: String, metric: &str) -> String {
    (0..20_000).fold(page, |page, number| page + metric + "{one_of_many=\"" + &number.to_string() + "\"} 1\n")
}

fn drip(stream: &mut TcpStream, page: &str) -> io::Result<()> {
    stream.write_all(format!("HTTP/1.1 200 OK\r\n{TEXT}Content-Length: {}\r\n\r\n", page.len()).as_bytes())?;
    for octet in page.bytes() {
        stream.write_all(&[octet])?;
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn reset(stream: &mut TcpStream, page: &str) -> io::Result<()> {
    stream.write_all(format!("HTTP/1.1 200 OK\r\n{TEXT}Content-Length: {}\r\n\r\n", 2 * page.len()).as_bytes())?;
    stream.write_all(page.as_bytes())?;
    // Closing with a linger time of 0 sends a reset.
    Ok(set_socket_linger(&*stream, Some(Duration::ZERO))?)
}

/// Sends lines until the scraper closes the connection, or after a gibibyte.
fn huge(stream: &mut TcpStream, page: &str) -> io::Result<()> {
    stream.write_all(format!("HTTP/1.1 200 OK\r\n{TEXT}\r\n{page}").as_bytes())?;
    let comment = format!("# {}\n", "x".repeat(62)).repeat(1 << 10);
    for _ in 0..16 << 10 {
        stream.write_all(comment.as_bytes())?;
    }
    stream.read(&mut [0]).map(drop)
}
