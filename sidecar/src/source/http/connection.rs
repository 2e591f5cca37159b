//! An HTTP connection that is kept between requests.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http1::{Builder, SendRequest},
    rt::{Read, Write},
};
use tokio::task::JoinHandle;

use crate::source::error::SourceError;

/// The maximum size of a response head, and of the read-ahead of a body, in bytes.
const MAX_BUFFER: usize = 64 << 10;

/// The maximum number of response headers.
const MAX_HEADERS: usize = 128;

/// An HTTP/1.1 connection. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<hyper::Result<()>>,
}

impl Connection {
    /// Starts HTTP on `stream`.
    pub(super) async fn new(stream: impl Read + Write + Unpin + Send + 'static) -> Result<Self, SourceError> {
        let (sender, connection) =
            Builder::new().max_buf_size(MAX_BUFFER).max_headers(MAX_HEADERS).handshake(stream).await?;
        Ok(Self { sender, driver: tokio::spawn(connection) })
    }

    /// Sends a request and receives the head of the response.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, SourceError> {
        Ok(self.sender.send_request(request).await?)
    }

    /// Returns whether the connection can carry another request, after a response was read completely. If the server
    /// sent more bytes than it announced, this is an error.
    pub(super) async fn is_reusable(&mut self) -> Result<bool, SourceError> {
        if self.sender.ready().await.is_ok() {
            return Ok(true);
        }
        match (&mut self.driver).await {
            Ok(Err(_)) => Err(SourceError::BeyondContentLength),
            _ => Ok(false),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
