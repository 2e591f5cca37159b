//! Resolution of host names without the C library: a static binary has no name service switch.

use std::{
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task,
};

use hickory_resolver::{TokioResolver, net::NetError};
use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::OnceCell;
use tower_service::Service;

/// Resolves names with `/etc/hosts` and the name servers in `/etc/resolv.conf`. The files are read when the first name
/// is resolved, because most sources use an IP address and need no lookup.
#[derive(Clone, Default)]
pub(in crate::source) struct Resolver(Arc<OnceCell<TokioResolver>>);

impl Resolver {
    /// Returns the addresses of a host. The host may be an address.
    pub(in crate::source) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, NetError> {
        let resolver = self.0.get_or_try_init(async || TokioResolver::builder_tokio()?.build()).await?;
        Ok(resolver.lookup_ip(host).await?.iter().collect())
    }

    async fn resolve(self, name: Name) -> Result<std::vec::IntoIter<SocketAddr>, NetError> {
        let found = self.addresses(name.as_str()).await?;
        let addresses: Vec<_> = found.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
        Ok(addresses.into_iter())
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = NetError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NetError>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), NetError>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(self.clone().resolve(name))
    }
}
