//! A relay of datagrams between a client and an agent, which keeps what it saw.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Result;

/// How long the relay waits for a datagram before it looks whether it is to end.
const POLL: Duration = Duration::from_millis(50);

/// A running relay on a port of its own. A client asks it as it would ask the agent.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
    stopped: Arc<AtomicBool>,
    relaying: Option<JoinHandle<()>>,
}

impl Relay {
    /// Starts one to the agent at this port of 127.0.0.1.
    pub fn start(agent: u16) -> Result<Self> {
        let (to_client, to_agent) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
        to_agent.connect(("127.0.0.1", agent))?;
        to_client.set_read_timeout(Some(POLL))?;
        to_agent.set_read_timeout(Some(POLL))?;
        let port = to_client.local_addr()?.port();
        let (requests, stopped) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let relaying = thread::spawn({
            let (requests, stopped) = (Arc::clone(&requests), Arc::clone(&stopped));
            move || {
                while !stopped.load(Ordering::SeqCst) {
                    // An agent that is away is the client's to notice.
                    let Some((request, client)) = receive(&to_client) else { continue };
                    to_agent.send(&request).ok();
                    keep(&requests).push(request);
                    if let Some((answer, _)) = receive(&to_agent) {
                        to_client.send_to(&answer, client).ok();
                    }
                }
            }
        });
        Ok(Self { port, requests, stopped, relaying: Some(relaying) })
    }

    /// Where the client asks.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Vec<u8>> {
        keep(&self.requests).clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Some(relaying) = self.relaying.take() {
            relaying.join().ok();
        }
    }
}

fn keep(requests: &Mutex<Vec<Vec<u8>>>) -> MutexGuard<'_, Vec<Vec<u8>>> {
    requests.lock().unwrap_or_else(PoisonError::into_inner)
}

fn receive(socket: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
    let mut buffer = vec![0; 65_535];
    let (len, from) = socket.recv_from(&mut buffer).ok()?;
    buffer.truncate(len);
    Some((buffer, from))
}
