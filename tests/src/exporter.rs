//! An application's metrics endpoint that does what a test asks of it, good or bad.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::Result;

type Act = dyn Fn(&mut TcpStream) -> io::Result<()> + Send + Sync;

/// What it answers.
#[derive(Clone)]
pub enum Reply {
    /// A page in the text format.
    Page(String),
    /// A page made anew for each scrape, from the scrape's number.
    Made(Arc<dyn Fn(usize) -> String + Send + Sync>),
    /// An error, with this status.
    Status(u16),
    /// An HTML page, with status 200.
    Html,
    /// Nothing: the connection stays open.
    Hang,
    /// The beginning of a page whose announced length is never reached.
    Cut(String),
    /// Whatever this does with the connection, once the request's head has come.
    Acted(Arc<Act>),
}

impl Reply {
    /// A page made anew for each scrape, from the scrape's number.
    pub fn made(make: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        Self::Made(Arc::new(make))
    }

    /// Whatever `act` does with the connection, once the request's head has come.
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
    stopped: AtomicBool,
}

impl Shared {
    fn reply(&self) -> std::sync::MutexGuard<'_, Reply> {
        self.reply.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running endpoint on 127.0.0.1.
#[derive(Debug)]
pub struct Exporter {
    port: u16,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Starts one.
    pub fn start(reply: Reply) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            reply: Mutex::new(reply),
            scrapes: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let listening = thread::spawn({
            let shared = Arc::clone(&shared);
            move || listen(&listener, &shared)
        });
        Ok(Self { port, shared, listening: Some(listening) })
    }

    /// Starts one with this page.
    pub fn with_page(page: &str) -> Result<Self> {
        Self::start(Reply::Page(page.to_owned()))
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes what it answers from now on.
    pub fn set(&self, reply: Reply) {
        *self.shared.reply() = reply;
    }

    /// How many replies it has begun.
    pub fn scrapes(&self) -> usize {
        self.shared.scrapes.load(Ordering::SeqCst)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener, so that it sees that it is to stop.
        let woken = TcpStream::connect(("127.0.0.1", self.port));
        if let (Ok(_), Some(listening)) = (woken, self.listening.take()) {
            listening.join().ok();
        }
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // A scraper that went away is its own business.
            answer(stream, &shared).ok();
        });
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
            // Until the other end closes.
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
