//! Lookups of the addresses of a master's host name.

use std::{collections::BTreeSet, future::Future, net::IpAddr, time::Duration};

use hickory_resolver::{TokioResolver, net::NetError};
use tokio::time::sleep;

use super::jitter::Jitter;

/// The shortest interval between two lookups. The longest is 1.5 times that. Answers are cached no longer than this, so
/// that a master that moved is found soon.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(5);
/// The interval after a failed lookup. It is also the cache time of the answer that the name does not exist, for
/// example because the first pod of a Service is still starting.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// A resolver of host names.
pub(crate) trait Resolve: Send {
    /// Returns all addresses of `host`, at least one. Every call but the first waits until the next lookup is due.
    ///
    /// # Errors
    /// Returns the reason if the lookup fails or finds no address.
    fn resolve(&mut self, host: &str) -> impl Future<Output = Result<BTreeSet<IpAddr>, String>> + Send;
}

/// A resolver that reads `/etc/hosts` and then queries the name servers of `/etc/resolv.conf`. IPv6 addresses are used
/// only if there is no IPv4 address, because a master with both is one master.
#[derive(Debug)]
pub(crate) struct SystemResolver {
    resolver: Option<TokioResolver>,
    jitter: Jitter,
    wait: Duration,
}

impl SystemResolver {
    /// Creates a resolver. `jitter` randomizes the intervals between lookups.
    #[must_use]
    pub(crate) fn new(jitter: Jitter) -> Self {
        Self { resolver: None, jitter, wait: Duration::ZERO }
    }

    /// Returns the resolver. The first call reads the system's configuration; if that fails, the next call tries again.
    fn resolver(&mut self) -> Result<&TokioResolver, NetError> {
        let resolver = if let Some(resolver) = self.resolver.take() {
            resolver
        } else {
            let mut builder = TokioResolver::builder_tokio()?;
            let options = builder.options_mut();
            options.positive_max_ttl = Some(LOOKUP_INTERVAL);
            options.negative_max_ttl = Some(RETRY_INTERVAL);
            builder.build()?
        };
        Ok(self.resolver.insert(resolver))
    }

    async fn lookup(&mut self, host: &str) -> Result<BTreeSet<IpAddr>, NetError> {
        let mut addresses: BTreeSet<IpAddr> = self.resolver()?.lookup_ip(host).await?.iter().collect();
        // The hosts file may contain both families although only one was requested.
        if addresses.iter().any(IpAddr::is_ipv4) {
            addresses.retain(IpAddr::is_ipv4);
        }
        Ok(addresses)
    }
}

impl Resolve for SystemResolver {
    async fn resolve(&mut self, host: &str) -> Result<BTreeSet<IpAddr>, String> {
        sleep(self.jitter.between(self.wait, self.wait * 3 / 2)).await;
        let found = match self.lookup(host).await {
            Ok(addresses) if addresses.is_empty() => Err(format!("{host} has no address")),
            Ok(addresses) => Ok(addresses),
            Err(error) => Err(error.to_string()),
        };
        self.wait = if found.is_ok() { LOOKUP_INTERVAL } else { RETRY_INTERVAL };
        found
    }
}
