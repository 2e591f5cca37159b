//! Drives AgentX sessions over sockets: one with every address that a master has.
//!
//! [`crate::session`] decides everything; here are connections, names, waits and the clock.

mod backoff;
mod link;
mod relay;
mod renewal;
mod resolve;
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

pub use backoff::Backoff;
pub use resolve::{Resolve, SystemResolver};
pub use status::{MasterStatus, RegistrationState, RegistrationStatus, SessionState, SessionStatus};
pub use tls::TlsFiles;
pub use url::{MasterUrl, MasterUrlError};

use crate::{
    defect::resume_panic,
    session::{Exports, Jitter},
    write::Desk,
};
use link::{Address, Link};
use tls::TlsMaster;

/// How often the thread shows that it runs.
const BEAT: Duration = Duration::from_millis(500);
/// How long sessions may take to close: a process that is told to end does so within a second.
const CLOSE: Duration = Duration::from_millis(950);

/// Serves exports to one master: a session with every address of it.
///
/// Belongs on a current-thread runtime of its own, so that an answer does not wait for other work and does not change
/// threads; several may share one.
#[derive(Debug)]
pub struct Subagent {
    url: MasterUrl,
    files: TlsFiles,
    exports: watch::Receiver<Exports>,
    desk: Desk,
    description: Arc<str>,
    status: MasterStatus,
    heartbeat: Heartbeat,
}

/// The running links, by address.
struct Links {
    tasks: JoinSet<()>,
    /// Dropping a sender ends the link.
    running: BTreeMap<Address, watch::Sender<()>>,
    exports: watch::Receiver<Exports>,
    desk: Desk,
    description: Arc<str>,
    status: MasterStatus,
    jitter: Jitter,
    /// How to reach the addresses by TLS, if that is so.
    tls: Option<Arc<TlsMaster>>,
}

impl Subagent {
    /// Serves what `exports` holds, at any time, to the master at `url`; `description` is what the master shows. The
    /// files are for a master that is reached by TLS; SETs go to the desk.
    #[must_use]
    pub fn new(
        url: MasterUrl,
        files: TlsFiles,
        exports: watch::Receiver<Exports>,
        desk: Desk,
        description: &str,
    ) -> Self {
        let status = MasterStatus::new(url.to_string());
        Self { url, files, exports, desk, description: description.into(), status, heartbeat: Heartbeat::new() }
    }

    /// What the sessions are doing.
    #[must_use]
    pub fn status(&self) -> MasterStatus {
        self.status.clone()
    }

    /// Whether the thread that [`Subagent::run`] is on still runs.
    #[must_use]
    pub fn heartbeat(&self) -> Heartbeat {
        self.heartbeat.clone()
    }

    /// Serves until `stop`; then every session is closed, within a second.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        self.run_with(SystemResolver::new(Jitter::new(seed())), stop).await;
    }

    /// As [`Subagent::run`], with another way to find the addresses of hosts.
    pub async fn run_with(self, resolver: impl Resolve, stop: impl Future<Output = ()>) {
        let Self { url, files, exports, desk, description, status, heartbeat } = self;
        let tls = match &url {
            MasterUrl::Tls { host, port } => Some(Arc::new(TlsMaster::new(host.clone(), *port, files))),
            MasterUrl::Unix(_) | MasterUrl::Tcp { .. } => None,
        };
        let jitter = Jitter::new(seed());
        let (found, mut addresses) = watch::channel(BTreeSet::new());
        let mut find = pin!(find_addresses(url, resolver, status.clone(), found));
        let mut links =
            Links { tasks: JoinSet::new(), running: BTreeMap::new(), exports, desk, description, status, jitter, tls };
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                _ = beats.tick() => heartbeat.beat(),
                () = &mut find => {}
                Ok(()) = addresses.changed() => links.serve(&addresses.borrow_and_update()),
                Some(ended) = links.tasks.join_next() => resume_panic(ended),
            }
        }
        links.close().await;
    }
}

/// The keys of a hasher are random: all that is needed is that no two sidecars wait in step.
fn seed() -> u64 {
    RandomState::new().hash_one(())
}

/// Looks for the master's addresses again and again, for ever.
async fn find_addresses(
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
            // Name servers fail, too: what is known is kept until they say that it is otherwise.
            Err(error) => {
                warn!(host, "cannot find the master's addresses: {error}");
                status.set_resolve_error(Some(error));
            }
        }
    }
}

impl Links {
    /// Serves at exactly these addresses from now on.
    fn serve(&mut self, addresses: &BTreeSet<Address>) {
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
                    desk: self.desk.clone(),
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

    /// Closes all sessions; what has not ended in time is cut off.
    async fn close(mut self) {
        self.running.clear();
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                resume_panic(ended);
            }
        };
        _ = timeout(CLOSE, all).await;
    }
}
