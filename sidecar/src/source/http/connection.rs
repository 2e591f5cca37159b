//! One connection to a source, kept between scrapes.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http1::{Builder, SendRequest},
    rt::{Read, Write},
};
use tokio::task::JoinHandle;

use crate::source::Cause;

/// The longest head of a response, in bytes, and the most that is read ahead of a body.
const MAX_BUFFER: usize = 64 << 10;

/// The most headers of a response.
const MAX_HEADERS: usize = 128;

/// An HTTP/1.1 connection. Closed when it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<hyper::Result<()>>,
}

impl Connection {
    /// Speaks HTTP over `stream`.
    pub(super) async fn new(stream: impl Read + Write + Unpin + Send + 'static) -> Result<Self, Cause> {
        let (sender, connection) =
            Builder::new().max_buf_size(MAX_BUFFER).max_headers(MAX_HEADERS).handshake(stream).await?;
        Ok(Self { sender, driver: tokio::spawn(connection) })
    }

    /// Sends a request.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Cause> {
        Ok(self.sender.send_request(request).await?)
    }

    /// Whether the connection can carry a further request, once the response before was read whole. Bytes that came
    /// behind that response are an error: the server wrote more than it announced.
    pub(super) async fn settle(&mut self) -> Result<bool, Cause> {
        if self.sender.ready().await.is_ok() {
            return Ok(true);
        }
        match (&mut self.driver).await {
            Ok(Err(_)) => Err(Cause::BeyondContentLength),
            _ => Ok(false),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
