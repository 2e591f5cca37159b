//! An accept loop with limits: on all connections, on the connections of one source, and on their duration after the
//! drain has started.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    drain::Watcher,
    keyed_limit::{KeyedLimit, Permit},
};

/// Pause after a failed accept, for example when file descriptors run out.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);

/// The limits of a server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once. Further ones wait in the listener's backlog.
    pub connections: usize,
    /// Connections at once of one source ([`source_of`]); `None` for no such limit. Further ones are closed at once.
    pub per_source: Option<u32>,
    /// How long open connections may continue after the drain has started. Then they are closed.
    pub grace: Duration,
}

/// An accepted connection.
#[derive(Debug)]
pub struct Connection {
    /// The socket.
    pub stream: TcpStream,
    /// The client's address.
    pub address: SocketAddr,
    /// Counts the connection towards the limits until it is dropped.
    pub permit: ConnectionPermit,
}

/// Counts a connection towards the limits until it is dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    _connection: OwnedSemaphorePermit,
    _source: Option<Permit<IpAddr>>,
}

/// Handles accepted connections.
pub trait Server: Send + Sync + 'static {
    /// Returns the limits of this server.
    fn limits(&self) -> Limits;

    /// Serves a connection. Runs on a separate task for each connection.
    fn serve(self: Arc<Self>, connection: Connection) -> impl Future<Output = ()> + Send;

    /// Called when a connection was closed because its source has reached its limit of connections.
    fn refused(&self) {}

    /// Called when a connection could not be accepted. The next attempt follows after a pause.
    fn failed(&self, error: &io::Error);
}

/// Accepts connections until the drain starts. Then closes the listener and waits for open connections until the grace
/// period ends.
pub async fn serve<S: Server>(server: Arc<S>, listener: TcpListener, mut drain: Watcher) {
    let Limits { connections: limit, per_source, grace } = server.limits();
    let (permits, sources) = (Arc::new(Semaphore::new(limit)), KeyedLimit::default());
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await.map_err(io::Error::other)?;
            let (stream, address) = listener.accept().await?;
            Ok::<_, io::Error>((permit, stream, address))
        };
        let accepted = tokio::select! {
            () = drain.triggered() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((permit, stream, address)) => {
                let source = match per_source.map(|limit| sources.acquire(&source_of(address.ip()), limit)) {
                    Some(None) => {
                        server.refused();
                        continue;
                    }
                    Some(source) => source,
                    None => None,
                };
                let permit = ConnectionPermit { _connection: permit, _source: source };
                connections.spawn(Arc::clone(&server).serve(Connection { stream, address, permit }));
            }
            Err(error) => {
                server.failed(&error);
                tokio::select! {
                    () = drain.triggered() => break,
                    () = sleep(FAILURE_PAUSE) => {}
                }
            }
        }
    }
    drop(listener);
    if !grace.is_zero() {
        // Dropping the set aborts the remaining tasks.
        let _ = timeout(grace, async { while connections.join_next().await.is_some() {} }).await;
    }
}

/// Returns the source that an address belongs to: the IPv4 address itself, or the /64 network of an IPv6 address,
/// because a client can use every address of its network.
#[must_use]
pub fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        time::Instant,
    };

    use super::*;
    use crate::drain;

    /// Sends back one octet at a time until its client closes.
    struct Echo {
        limits: Limits,
        refused: AtomicUsize,
    }

    impl Server for Echo {
        fn limits(&self) -> Limits {
            self.limits
        }

        async fn serve(self: Arc<Self>, connection: Connection) {
            let Connection { mut stream, permit: _permit, .. } = connection;
            while let Ok(octet) = stream.read_u8().await {
                stream.write_u8(octet).await.unwrap();
            }
        }

        fn refused(&self) {
            self.refused.fetch_add(1, Ordering::SeqCst);
        }

        fn failed(&self, error: &io::Error) {
            panic!("{error}");
        }
    }

    struct Running {
        address: SocketAddr,
        server: Arc<Echo>,
        trigger: drain::Trigger,
    }

    async fn start(connections: usize, per_source: Option<u32>, grace: Duration) -> Running {
        let limits = Limits { connections, per_source, grace };
        let server = Arc::new(Echo { limits, refused: AtomicUsize::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, (trigger, watcher)) = (listener.local_addr().unwrap(), drain::channel());
        tokio::spawn(serve(Arc::clone(&server), listener, watcher));
        Running { address, server, trigger }
    }

    impl Running {
        async fn connect(&self) -> TcpStream {
            TcpStream::connect(self.address).await.unwrap()
        }
    }

    async fn is_answered(stream: &mut TcpStream) -> bool {
        stream.write_u8(7).await.is_ok() && stream.read_u8().await.is_ok_and(|octet| octet == 7)
    }

    #[tokio::test]
    async fn a_connection_beyond_the_limit_waits_until_another_is_closed() {
        let running = start(2, None, Duration::ZERO).await;
        let (mut first, mut second, mut third) =
            (running.connect().await, running.connect().await, running.connect().await);
        assert!(is_answered(&mut first).await && is_answered(&mut second).await);
        third.write_u8(7).await.unwrap();
        assert!(timeout(Duration::from_millis(50), third.read_u8()).await.is_err());
        drop(first);
        assert_eq!(third.read_u8().await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_connection_beyond_the_limit_of_its_source_is_closed_and_counted() {
        let running = start(9, Some(1), Duration::ZERO).await;
        let mut first = running.connect().await;
        assert!(is_answered(&mut first).await);
        assert!(!is_answered(&mut running.connect().await).await);
        assert_eq!(running.server.refused.load(Ordering::SeqCst), 1);
        drop(first);
        while !is_answered(&mut running.connect().await).await {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn open_connections_are_closed_when_the_grace_period_after_the_drain_is_over() {
        for seconds in [0, 5] {
            let grace = Duration::from_secs(seconds);
            let running = start(9, None, grace).await;
            let mut stream = running.connect().await;
            assert!(is_answered(&mut stream).await);
            let started = Instant::now();
            running.trigger.drain(Duration::from_mins(1)).await.unwrap();
            assert_eq!(started.elapsed().as_secs(), seconds);
            assert!(!is_answered(&mut stream).await);
            assert!(TcpStream::connect(running.address).await.is_err(), "the listener is closed");
        }
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one_source() {
        let of = |text: &str| source_of(text.parse().unwrap());
        assert_eq!(of("2001:db8:0:1::5"), of("2001:db8:0:1:ffff::7"));
        assert_ne!(of("2001:db8:0:1::5"), of("2001:db8:0:2::5"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
