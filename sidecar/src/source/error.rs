//! Why a scrape failed.

use std::{fmt, io, time::Duration};

use super::prometheus::ParseError;
use crate::sample::TooLarge;

/// A scrape that failed: of which source, where it is, and why. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("source {source_name}, {location}: {cause}")]
pub struct ScrapeError {
    /// The source's name.
    pub source_name: String,
    /// Where it is: a URL without its query, or what stands for one.
    pub location: String,
    /// What went wrong.
    pub cause: Cause,
}

/// What went wrong in a scrape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The port's name is not among the named ports.
    #[error("no container port is named {0:?}")]
    UnknownPort(String),
    /// Host, port and path do not make a URL.
    #[error("not a URL: {0}")]
    Url(String),
    /// A credential or certificate that cannot be read.
    #[error("cannot read the file {name:?}: {error}")]
    UnreadableFile {
        /// Its name in the configuration folder.
        name: String,
        /// What the system says.
        error: io::ErrorKind,
    },
    /// A credential or certificate that cannot be used.
    #[error("the file {name:?} {problem}")]
    BadFile {
        /// Its name in the configuration folder.
        name: String,
        /// What is the matter with it.
        problem: &'static str,
    },
    /// Settings that make no TLS client.
    #[error("TLS settings: {0}")]
    TlsSettings(String),
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// A connection, but no TLS over it.
    #[error("TLS: {0}")]
    Tls(String),
    /// The server breaks off, or does not speak HTTP.
    #[error("HTTP: {0}")]
    Http(String),
    /// A redirect, which is not followed.
    #[error("the server redirects to {location} (status {status}); redirects are not followed")]
    Redirect {
        /// The response's status.
        status: u16,
        /// Where it points, without query.
        location: String,
    },
    /// Any other status than 200.
    #[error("the server answers with status {0}")]
    Status(u16),
    /// A body that is not in a format that is read.
    #[error("the content type {0:?} is neither text/plain nor application/openmetrics-text")]
    ContentType(String),
    /// A version of OpenMetrics that is not read.
    #[error("OpenMetrics version {0:?} is not 1.0.0 or 0.0.1")]
    Version(String),
    /// Another charset than UTF-8.
    #[error("the charset {0:?} is not UTF-8")]
    Charset(String),
    /// Another encoding than gzip.
    #[error("the content encoding {0:?} is not gzip")]
    ContentEncoding(String),
    /// The body is too long.
    #[error("the body is longer than {limit} bytes")]
    BodyTooLong {
        /// The most that is accepted, before and after decompression.
        limit: u64,
    },
    /// The body is not what gzip makes.
    #[error("gzip: {0}")]
    Gzip(String),
    /// The end of the connection is the end of the body, and the last line is not whole.
    #[error("the body was cut off: its last line does not end, and its length was not announced")]
    CutOff,
    /// The server goes on behind the length that it announced.
    #[error("the body is longer than its Content-Length")]
    BeyondContentLength,
    /// The body is malformed, or has too many samples.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The body is not JSON.
    #[error("the body is not JSON (its content type is {content_type:?}): {error}")]
    NotJson {
        /// What is wrong, and where.
        error: String,
        /// What the server says that it is.
        content_type: String,
    },
    /// A document of JSON takes more memory than it may.
    #[error("the document takes more than 16 MiB of memory")]
    JsonTooLarge,
    /// What a database refuses, or answers otherwise than was asked.
    #[error("{}{error}", query.as_ref().map(|query| format!("the query {query}: ")).unwrap_or_default())]
    Database {
        /// The query's name; none where it came to none.
        query: Option<String>,
        /// What is the matter.
        error: String,
    },
    /// More than one reading may take in.
    #[error("the server sends more than {limit} bytes")]
    IntakeTooLong {
        /// The most that is taken in.
        limit: u64,
    },
    /// The samples of one reading have more text than they may.
    #[error("the texts of the samples are longer than {limit} bytes in all")]
    TextsTooLong {
        /// The most that is accepted.
        limit: usize,
    },
    /// A file of the system that cannot be understood.
    #[error("{path}: {problem}")]
    SystemFile {
        /// The file.
        path: String,
        /// What is the matter with it, and in which line.
        problem: String,
    },
    /// A metric that cannot be made from what came.
    #[error("the metric {metric}: {problem}")]
    Metric {
        /// Its name.
        metric: String,
        /// What is the matter with it.
        problem: String,
    },
    /// More samples than the source may yield.
    #[error("there are more than {limit} samples")]
    TooManySamples {
        /// The most that are accepted.
        limit: u64,
    },
    /// More than fits into memory that is addressed by 32 bits.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The scrape took too long.
    #[error("not done within {timeout:?}, while {phase}")]
    Timeout {
        /// How long it may take.
        timeout: Duration,
        /// What was under way.
        phase: Phase,
    },
}

/// The phase that a scrape is in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Name resolution, connection, TLS.
    #[default]
    Connecting,
    /// The request was sent.
    AwaitingResponse,
    /// Files of the machine are read.
    ReadingFiles,
    /// A query of several runs, or its rows are coming.
    Querying {
        /// Which, from 1 on.
        query: usize,
        /// How many there are.
        of: usize,
    },
    /// The body is coming.
    ReadingBody {
        /// How many bytes of it came, as they are on the wire.
        received: u64,
    },
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => f.write_str("connecting"),
            Self::AwaitingResponse => f.write_str("waiting for the response"),
            Self::ReadingFiles => f.write_str("reading the machine's files"),
            Self::Querying { query, of } => write!(f, "waiting for query {query} of {of}"),
            Self::ReadingBody { received } => write!(f, "reading the body, {received} bytes of which came"),
        }
    }
}

/// An error with all its causes, in one line.
pub(crate) fn in_full(error: &(dyn std::error::Error + 'static)) -> String {
    let causes: Vec<_> = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    let mut line = String::new();
    for cause in causes {
        // Some errors tell their cause themselves.
        if !line.ends_with(&cause) {
            let separator = if line.is_empty() { "" } else { ": " };
            line = format!("{line}{separator}{cause}");
        }
    }
    line
}
