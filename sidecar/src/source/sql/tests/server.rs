//! A test server with predefined replies.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::source::{NameFilter, SourceSettings, Task};

/// A server, and the configuration directory of its client. Dropping it stops it.
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) directory: TempDir,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Starts a server. It sends one reply at each Query or Sync message, and `flood` endlessly after the last reply.
    pub(super) async fn new(replies: Vec<Vec<u8>>, flood: &[u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let flood = flood.to_vec();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (replies, flood) = (replies.clone(), flood.clone());
                tokio::spawn(async move { answer(stream, &replies, &flood).await });
            }
        });
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("dsn"), format!("postgres://u:s3cret@127.0.0.1:{port}/d?sslmode=disable"))
            .unwrap();
        Self { port, directory, accepting }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Serves a connection. Returns `None` when the client closes it.
async fn answer(mut stream: TcpStream, replies: &[Vec<u8>], flood: &[u8]) -> Option<()> {
    // The startup message has no tag.
    read_body(&mut stream).await?;
    for (i, reply) in replies.iter().enumerate() {
        while i > 0 && !matches!(stream.read_u8().await.ok()?, b'Q' | b'S') {
            read_body(&mut stream).await?;
        }
        if i > 0 {
            read_body(&mut stream).await?;
        }
        stream.write_all(reply).await.ok()?;
    }
    while !flood.is_empty() {
        stream.write_all(flood).await.ok()?;
    }
    std::future::pending().await
}

async fn read_body(stream: &mut TcpStream) -> Option<()> {
    let length = stream.read_u32().await.ok()?.checked_sub(4)?;
    stream.read_exact(&mut vec![0; length as usize]).await.ok()?;
    Some(())
}

/// Returns a message of the protocol.
pub(super) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag], length.to_be_bytes().as_slice(), body].concat()
}

pub(super) fn ready() -> Vec<u8> {
    [message(b'C', b"SELECT\0"), message(b'Z', b"T")].concat()
}

/// Returns the reply to the startup message. It requires no password.
pub(super) fn started() -> Vec<u8> {
    [message(b'R', &[0; 4]), message(b'Z', b"I")].concat()
}

/// Returns the reply to a simple query.
pub(super) fn begun() -> Vec<u8> {
    ready()
}

/// Returns the description of a query with the column `a` of this type.
pub(super) fn prepared(kind: u32) -> Vec<u8> {
    described(&[], &[kind])
}

/// Returns the description of a query with these types of parameters and columns. All columns are named `a`.
pub(super) fn described(parameters: &[u32], columns: &[u32]) -> Vec<u8> {
    let count = |types: &[u32]| u16::try_from(types.len()).unwrap().to_be_bytes().to_vec();
    let kinds = parameters.iter().flat_map(|kind| kind.to_be_bytes());
    let fields = columns.iter().flat_map(|kind| [b"a\0".as_slice(), &[0; 6], &kind.to_be_bytes(), &[0; 8]].concat());
    let parameters: Vec<_> = count(parameters).into_iter().chain(kinds).collect();
    let columns: Vec<_> = count(columns).into_iter().chain(fields).collect();
    [message(b'1', b""), message(b't', &parameters), message(b'T', &columns), message(b'Z', b"T")].concat()
}

/// Returns a row.
pub(super) fn data(cells: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = u16::try_from(cells.len()).unwrap().to_be_bytes().to_vec();
    for cell in cells {
        let length = cell.map_or(-1, |cell| i32::try_from(cell.len()).unwrap());
        body.extend(length.to_be_bytes());
        body.extend(cell.unwrap_or_default());
    }
    message(b'D', &body)
}

/// Returns a task that queries the column `a` of the server.
pub(super) fn task(server: &Server) -> Task {
    task_within(Duration::from_secs(5), server)
}

/// Returns the same task with this timeout.
pub(super) fn task_within(timeout: Duration, server: &Server) -> Task {
    let source = json!({
        "name": "db", "intervalMs": 10_000, "timeoutMs": timeout.as_millis(), "staleAfterMs": 60_000,
        "sql": {
            "driver": "PostgreSQL", "dsnFile": "dsn", "sampleLimit": 100,
            "queries": [{"name": "q", "query": "select 7 as a", "values": ["a"]}],
        },
    });
    let settings = SourceSettings { directory: server.directory.path().to_owned(), ..SourceSettings::default() };
    Task::new(serde_json::from_value(source).unwrap(), NameFilter::all(), settings)
}
