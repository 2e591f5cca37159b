//! The metrics endpoint of an application, whose replies the test chooses, right or wrong.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Write},
    net::TcpStream,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Result;

use crate::services::tcp_server::TcpServer;

type Act = dyn Fn(&mut TcpStream) -> io::Result<()> + Send + Sync;

/// The reply to a scrape.
#[derive(Clone)]
pub enum Reply {
    /// A page in the text format.
    Page(String),
    /// A page that a function makes for each scrape, from the scrape's number.
    Made(Arc<dyn Fn(usize) -> String + Send + Sync>),
    /// An error, with this status.
    Status(u16),
    /// An HTML page, with status 200.
    Html,
    /// No reply. The connection stays open.
    Hang,
    /// The page with twice its length in the header, so that the body is never complete.
    Cut(String),
    /// What a function does with the connection after the header of the request.
    Acted(Arc<Act>),
}

impl Reply {
    /// Returns a [`Reply::Made`].
    pub fn made(make: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        Self::Made(Arc::new(make))
    }

    /// Returns a [`Reply::Acted`].
    pub fn acted(act: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self::Acted(Arc::new(act))
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Page(_) => "Page",
            Self::Made(_) => "Made",
            Self::Status(_) => "Status",
            Self::Html => "Html",
            Self::Hang => "Hang",
            Self::Cut(_) => "Cut",
            Self::Acted(_) => "Acted",
        })
    }
}

#[derive(Debug)]
struct Shared {
    reply: Mutex<Reply>,
    scrapes: AtomicUsize,
}

impl Shared {
    fn reply(&self) -> std::sync::MutexGuard<'_, Reply> {
        self.reply.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running endpoint on 127.0.0.1.
#[derive(Debug)]
pub struct Exporter {
    server: TcpServer,
    shared: Arc<Shared>,
}

impl Exporter {
    /// Starts an endpoint that gives this reply.
    pub fn start(reply: Reply) -> Result<Self> {
        let shared = Arc::new(Shared { reply: Mutex::new(reply), scrapes: AtomicUsize::new(0) });
        let server = TcpServer::start({
            let shared = Arc::clone(&shared);
            move |stream| answer(stream, &shared)
        })?;
        Ok(Self { server, shared })
    }

    /// Starts an endpoint with this page.
    pub fn with_page(page: &str) -> Result<Self> {
        Self::start(Reply::Page(page.to_owned()))
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Changes the reply to all further scrapes.
    pub fn set(&self, reply: Reply) {
        *self.shared.reply() = reply;
    }

    /// Returns the number of scrapes to which it has begun to reply.
    pub fn scrapes(&self) -> usize {
        self.shared.scrapes.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut request = BufReader::new(stream.try_clone()?).lines();
    while let Some(line) = request.next().transpose()? {
        if line.is_empty() {
            break;
        }
    }
    let scrape = shared.scrapes.fetch_add(1, Ordering::SeqCst);
    let reply = shared.reply().clone();
    let text = "text/plain; version=0.0.4; charset=utf-8";
    match reply {
        Reply::Page(page) => respond(&mut stream, 200, text, page.len(), &page),
        Reply::Made(make) => {
            let page = make(scrape);
            respond(&mut stream, 200, text, page.len(), &page)
        }
        Reply::Status(status) => respond(&mut stream, status, text, 0, ""),
        Reply::Html => {
            let page = "<html><body>please log in</body></html>";
            respond(&mut stream, 200, "text/html", page.len(), page)
        }
        Reply::Cut(page) => respond(&mut stream, 200, text, page.len() * 2, &page),
        Reply::Acted(act) => act(&mut stream),
        Reply::Hang => {
            // Waits until the client closes the connection.
            for line in request {
                line?;
            }
            Ok(())
        }
    }
}

fn respond(stream: &mut TcpStream, status: u16, kind: &str, length: usize, body: &str) -> io::Result<()> {
    let head =
        format!("HTTP/1.1 {status} .\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}
