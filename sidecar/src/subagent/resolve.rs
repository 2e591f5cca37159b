//! Which addresses a host name has at the moment.

use std::{collections::BTreeSet, future::Future, net::IpAddr, time::Duration};

use hickory_resolver::{TokioResolver, net::NetError};
use tokio::time::sleep;

use crate::session::Jitter;

/// A host's addresses are looked up again after this long at least, and half as long again at most. Answers are not
/// remembered for longer either, so that a master that moved is found soon.
const LOOK_UP: Duration = Duration::from_secs(5);
/// The same after a look-up that failed, and for the answer that there is no such name: a Service whose first pod is
/// still starting.
const LOOK_UP_FAILED: Duration = Duration::from_secs(1);

/// Finds the addresses of hosts.
pub trait Resolve: Send {
    /// All addresses of `host`, at least one; after the first time once they are due to be looked up again.
    ///
    /// # Errors
    /// Why they are not known, in words.
    fn resolve(&mut self, host: &str) -> impl Future<Output = Result<BTreeSet<IpAddr>, String>> + Send;
}

/// Asks the name servers of `/etc/resolv.conf`, after `/etc/hosts`. IPv6 addresses count where there is no IPv4: a
/// master with one of each is one master.
#[derive(Debug)]
pub struct SystemResolver {
    resolver: Option<TokioResolver>,
    jitter: Jitter,
    wait: Duration,
}

impl SystemResolver {
    /// Waits between look-ups are drawn from `jitter`.
    #[must_use]
    pub fn new(jitter: Jitter) -> Self {
        Self { resolver: None, jitter, wait: Duration::ZERO }
    }

    /// Reads the system's configuration when it is first needed, and again until it can be read.
    fn resolver(&mut self) -> Result<&TokioResolver, NetError> {
        let resolver = if let Some(resolver) = self.resolver.take() {
            resolver
        } else {
            let mut builder = TokioResolver::builder_tokio()?;
            let options = builder.options_mut();
            options.positive_max_ttl = Some(LOOK_UP);
            options.negative_max_ttl = Some(LOOK_UP_FAILED);
            builder.build()?
        };
        Ok(self.resolver.insert(resolver))
    }

    async fn look_up(&mut self, host: &str) -> Result<BTreeSet<IpAddr>, NetError> {
        let mut addresses: BTreeSet<IpAddr> = self.resolver()?.lookup_ip(host).await?.iter().collect();
        // The hosts file may name both kinds, though only one was asked for.
        if addresses.iter().any(IpAddr::is_ipv4) {
            addresses.retain(IpAddr::is_ipv4);
        }
        Ok(addresses)
    }
}

impl Resolve for SystemResolver {
    async fn resolve(&mut self, host: &str) -> Result<BTreeSet<IpAddr>, String> {
        sleep(self.jitter.between(self.wait, self.wait * 3 / 2)).await;
        let found = match self.look_up(host).await {
            Ok(addresses) if addresses.is_empty() => Err(format!("{host} has no address")),
            Ok(addresses) => Ok(addresses),
            Err(error) => Err(error.to_string()),
        };
        self.wait = if found.is_ok() { LOOK_UP } else { LOOK_UP_FAILED };
        found
    }
}
