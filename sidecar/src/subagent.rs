//! The AgentX subagent: opens one session with every address of a master.
//!
//! [`session`] contains the protocol without I/O. The other modules provide connections, name lookups, delays and the clock.

mod backoff;
pub(crate) mod jitter;
mod link;
mod relay;
mod renewal;
mod resolve;
pub(crate) mod session;
mod status;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod upgrade;
mod url;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use daemon::heartbeat::Heartbeat;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::warn;

pub(crate) use resolve::{Resolve, SystemResolver};
#[cfg(test)]
pub(crate) use status::RegistrationStatus;
pub(crate) use status::{MasterStatus, RegistrationState, SessionState, SessionStatus};
pub(crate) use tls::TlsFiles;
pub(crate) use url::MasterUrl;

use crate::{set::SetCoordinator, subagent::jitter::Jitter, task::resume_panic, view::exports::Exports};
use link::{Address, Link};
use tls::TlsMaster;

/// The interval of heartbeats.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);
/// The timeout for closing all sessions. The process exits within 1 s of a signal.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(950);

/// A subagent that serves exports to one master, in one session per address of the master.
///
/// Run it on a current-thread runtime without other work, so that no response waits for that work or moves between threads.
/// Several subagents may share the runtime.
#[derive(Debug)]
pub(crate) struct Subagent {
    url: MasterUrl,
    files: TlsFiles,
    exports: watch::Receiver<Exports>,
    sets: SetCoordinator,
    description: Arc<str>,
    status: MasterStatus,
    heartbeat: Heartbeat,
}

/// The running links to the addresses of a master.
struct Links {
    tasks: JoinSet<()>,
    /// Dropping a sender stops the link.
    running: BTreeMap<Address, watch::Sender<()>>,
    exports: watch::Receiver<Exports>,
    sets: SetCoordinator,
    description: Arc<str>,
    status: MasterStatus,
    jitter: Jitter,
    /// How to connect over TLS; `None` for plain connections.
    tls: Option<Arc<TlsMaster>>,
}

impl Subagent {
    /// Creates a subagent that serves `exports` to the master at `url`. The master shows `description`. `files` are used with
    /// TLS only. `sets` carries out SETs.
    #[must_use]
    pub(crate) fn new(
        url: MasterUrl,
        files: TlsFiles,
        exports: watch::Receiver<Exports>,
        sets: SetCoordinator,
        description: &str,
    ) -> Self {
        let status = MasterStatus::new(url.to_string());
        Self { url, files, exports, sets, description: description.into(), status, heartbeat: Heartbeat::new() }
    }

    /// Returns the status of the sessions.
    #[must_use]
    pub(crate) fn status(&self) -> MasterStatus {
        self.status.clone()
    }

    /// Returns the heartbeat of the thread that runs [`Subagent::run`].
    #[must_use]
    pub(crate) fn heartbeat(&self) -> Heartbeat {
        self.heartbeat.clone()
    }

    /// Serves until `stop` completes, and then closes every session within 1 s.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) {
        self.run_with(SystemResolver::new(Jitter::new(seed())), stop).await;
    }

    /// Serves like [`Subagent::run`], with the given resolver.
    pub(crate) async fn run_with(self, resolver: impl Resolve, stop: impl Future<Output = ()>) {
        let Self { url, files, exports, sets, description, status, heartbeat } = self;
        let tls = match &url {
            MasterUrl::Tls { host, port } => Some(Arc::new(TlsMaster::new(host.clone(), *port, files))),
            MasterUrl::Unix(_) | MasterUrl::Tcp { .. } => None,
        };
        let jitter = Jitter::new(seed());
        let (found, mut addresses) = watch::channel(BTreeSet::new());
        let mut lookups = pin!(watch_addresses(url, resolver, status.clone(), found));
        let mut links =
            Links { tasks: JoinSet::new(), running: BTreeMap::new(), exports, sets, description, status, jitter, tls };
        let mut beats = interval(HEARTBEAT_INTERVAL);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                _ = beats.tick() => heartbeat.beat(),
                () = &mut lookups => {}
                Ok(()) = addresses.changed() => links.set_addresses(&addresses.borrow_and_update()),
                Some(ended) = links.tasks.join_next() => resume_panic(ended),
            }
        }
        links.close().await;
    }
}

/// Returns a random seed, taken from the keys of a hasher. It is only needed to desynchronize sidecars.
fn seed() -> u64 {
    RandomState::new().hash_one(())
}

/// Looks up the master's addresses repeatedly. Never returns.
async fn watch_addresses(
    url: MasterUrl,
    mut resolver: impl Resolve,
    status: MasterStatus,
    found: watch::Sender<BTreeSet<Address>>,
) {
    let (host, port) = match url {
        MasterUrl::Unix(path) => {
            found.send_replace(BTreeSet::from([Address::Unix(path)]));
            return std::future::pending().await;
        }
        MasterUrl::Tcp { host, port } | MasterUrl::Tls { host, port } => (host, port),
    };
    if let Ok(address) = host.parse::<IpAddr>() {
        found.send_replace(BTreeSet::from([Address::Tcp((address, port).into())]));
        return std::future::pending().await;
    }
    loop {
        match resolver.resolve(&host).await {
            Ok(addresses) => {
                status.set_resolve_error(None);
                let addresses = addresses.into_iter().map(|ip| Address::Tcp(SocketAddr::new(ip, port))).collect();
                found.send_if_modified(|known| {
                    let changed = *known != addresses;
                    *known = addresses;
                    changed
                });
            }
            // Name servers may fail. The known addresses are kept until a lookup succeeds.
            Err(error) => {
                warn!(host, "failed to look up the master's addresses; keeping the known ones: {error}");
                status.set_resolve_error(Some(error));
            }
        }
    }
}

impl Links {
    /// Starts and stops links so that exactly these addresses are served.
    fn set_addresses(&mut self, addresses: &BTreeSet<Address>) {
        self.running.retain(|address, _| {
            let stays = addresses.contains(address);
            if !stays {
                self.status.remove(&address.to_string());
            }
            stays
        });
        for address in addresses {
            self.running.entry(address.clone()).or_insert_with(|| {
                let (stop, stopped) = watch::channel(());
                let link = Link {
                    address: address.clone(),
                    description: Arc::clone(&self.description),
                    exports: self.exports.clone(),
                    sets: self.sets.clone(),
                    stop: stopped,
                    master: self.status.clone(),
                    status: self.status.add(address.to_string()),
                    jitter: Jitter::new(self.jitter.number()),
                    opened: None,
                    tls: self.tls.clone(),
                };
                self.tasks.spawn(link.run());
                stop
            });
        }
    }

    /// Closes all sessions. Sessions that do not end in time are aborted.
    async fn close(mut self) {
        self.running.clear();
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                resume_panic(ended);
            }
        };
        _ = timeout(CLOSE_TIMEOUT, all).await;
    }
}
