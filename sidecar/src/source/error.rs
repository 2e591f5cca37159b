//! Errors of sources.

use std::{fmt, io, time::Duration};

use super::exposition::ParseError;
use crate::sample::CapacityError;

/// A failed collection: the source, its location and the error. It contains no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("source {source_name}, {location}: {cause}")]
pub struct CollectionError {
    /// The name of the source.
    pub source_name: String,
    /// The location of the source: a URL without its query, or a description.
    pub location: String,
    /// What went wrong.
    pub cause: SourceError,
}

/// The reason why a collection failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No container port has the name of the port.
    #[error("no container port is named {0:?}")]
    UnknownPort(String),
    /// Host, port and path do not make a URL.
    #[error("the URL is invalid: {0}")]
    Url(String),
    /// A file with a credential, certificate or ConfigMap key cannot be read.
    #[error("cannot read the file {name:?}: {error}")]
    UnreadableFile {
        /// The file name in the configuration directory.
        name: String,
        /// The error of the operating system.
        error: io::ErrorKind,
    },
    /// A file with a credential, certificate or ConfigMap key cannot be used.
    #[error("the file {name:?} {problem}")]
    BadFile {
        /// The file name in the configuration directory.
        name: String,
        /// What is wrong with the content.
        problem: &'static str,
    },
    /// No TLS client can be built from the settings.
    #[error("the TLS settings are invalid: {0}")]
    TlsSettings(String),
    /// The connection cannot be established.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The TLS handshake failed.
    #[error("TLS error: {0}")]
    Tls(String),
    /// The server closed the connection early, or does not speak HTTP.
    #[error("HTTP error: {0}")]
    Http(String),
    /// The server redirects. Redirects are not followed.
    #[error("the server redirects to {location} (status {status}); redirects are not followed")]
    Redirect {
        /// The status of the response.
        status: u16,
        /// The target of the redirect, without its query.
        location: String,
    },
    /// The server returned another status than 200.
    #[error("the server returned status {0}")]
    Status(u16),
    /// The format of the body is not supported.
    #[error("the content type {0:?} is neither text/plain nor application/openmetrics-text")]
    ContentType(String),
    /// The version of OpenMetrics is not supported.
    #[error("OpenMetrics version {0:?} is not supported, only 1.0.0 and 0.0.1")]
    Version(String),
    /// The charset is not UTF-8.
    #[error("the charset {0:?} is not supported, only UTF-8")]
    Charset(String),
    /// The body is compressed in another format than gzip.
    #[error("the content encoding {0:?} is not supported, only gzip")]
    ContentEncoding(String),
    /// The body is too long.
    #[error("the body is longer than {limit} bytes")]
    BodyTooLong {
        /// The limit, which applies before and after decompression.
        limit: u64,
    },
    /// The body cannot be decompressed.
    #[error("cannot decompress the body: {0}")]
    Gzip(String),
    /// The body ends with the connection, and its last line or value is not complete.
    #[error("the body is truncated: its length was not announced, and its last line or value is incomplete")]
    Truncated,
    /// The server sent more than it announced.
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
        /// The content type of the response.
        content_type: String,
    },
    /// A JSON document takes too much memory.
    #[error("the document takes more than 16 MiB of memory")]
    JsonTooLarge,
    /// The database returned an error, or a result that does not match the query.
    #[error("{}{error}", query.as_ref().map(|query| format!("the query {query}: ")).unwrap_or_default())]
    Database {
        /// The name of the query; `None` if the error occurred before the first query.
        query: Option<String>,
        /// The error.
        error: String,
    },
    /// The database server sent too much.
    #[error("the server sent more than {limit} bytes")]
    ResponseTooLong {
        /// The limit for one collection.
        limit: u64,
    },
    /// The samples of one collection have too much text.
    #[error("the texts of all samples take more than {limit} bytes")]
    TextsTooLong {
        /// The limit for one collection.
        limit: usize,
    },
    /// A file of the host cannot be parsed.
    #[error("{path}: {problem}")]
    SystemFile {
        /// The path of the file.
        path: String,
        /// What is wrong, and in which line.
        problem: String,
    },
    /// A metric cannot be extracted from the response.
    #[error("the metric {metric}: {problem}")]
    Metric {
        /// The name of the metric.
        metric: String,
        /// What is wrong.
        problem: String,
    },
    /// The source has too many samples.
    #[error("there are more than {limit} samples")]
    TooManySamples {
        /// The maximum number of samples.
        limit: u64,
    },
    /// The samples exceed what 32-bit offsets can address.
    #[error(transparent)]
    TooLarge(#[from] CapacityError),
    /// The collection took too long.
    #[error("timed out after {timeout:?} while {phase}")]
    Timeout {
        /// The timeout of the source.
        timeout: Duration,
        /// The phase in which the timeout occurred.
        phase: Phase,
    },
}

/// The phase of a collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Name resolution, connection and TLS handshake.
    #[default]
    Connecting,
    /// The request was sent, and the response has not begun.
    AwaitingResponse,
    /// Files of the host are being read.
    ReadingFiles,
    /// A query is running, or its rows are being received.
    Querying {
        /// The number of the query, from 1.
        query: usize,
        /// The number of queries.
        of: usize,
    },
    /// The body is being received.
    ReadingBody {
        /// The number of bytes received, before decompression.
        received: u64,
    },
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => f.write_str("connecting"),
            Self::AwaitingResponse => f.write_str("waiting for the response"),
            Self::ReadingFiles => f.write_str("reading the files of the host"),
            Self::Querying { query, of } => write!(f, "waiting for query {query} of {of}"),
            Self::ReadingBody { received } => write!(f, "reading the body ({received} bytes received)"),
        }
    }
}

/// Returns the error with all its sources in one line.
pub(crate) fn in_full(error: &(dyn std::error::Error + 'static)) -> String {
    let causes: Vec<_> = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    let mut line = String::new();
    for cause in causes {
        // Some errors already include their source.
        if !line.ends_with(&cause) {
            let separator = if line.is_empty() { "" } else { ": " };
            line = format!("{line}{separator}{cause}");
        }
    }
    line
}
