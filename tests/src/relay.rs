//! A UDP relay between a client and an agent, which records the requests.

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

/// How long the relay waits for a datagram before it checks whether it must stop.
const POLL: Duration = Duration::from_millis(50);

/// A running relay on a free port of 127.0.0.1, to which a client sends the requests for the agent.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
    stopped: Arc<AtomicBool>,
    relaying: Option<JoinHandle<()>>,
}

impl Relay {
    /// Starts a relay to the agent on this port of 127.0.0.1.
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
                    // If the agent is down, the client notices it by a timeout.
                    let Some((request, client)) = receive(&to_client) else { continue };
                    to_agent.send(&request).ok();
                    lock(&requests).push(request);
                    if let Some((answer, _)) = receive(&to_agent) {
                        to_client.send_to(&answer, client).ok();
                    }
                }
            }
        });
        Ok(Self { port, requests, stopped, relaying: Some(relaying) })
    }

    /// Returns the port to which the client sends requests.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the requests so far.
    pub fn requests(&self) -> Vec<Vec<u8>> {
        lock(&self.requests).clone()
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

fn lock(requests: &Mutex<Vec<Vec<u8>>>) -> MutexGuard<'_, Vec<Vec<u8>>> {
    requests.lock().unwrap_or_else(PoisonError::into_inner)
}

fn receive(socket: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
    let mut buffer = vec![0; 65_535];
    let (len, from) = socket.recv_from(&mut buffer).ok()?;
    buffer.truncate(len);
    Some((buffer, from))
}
