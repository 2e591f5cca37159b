//! Host names, resolved without the C library: a static binary has no name service switch.

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

/// Resolves names by `/etc/hosts` and the name servers of `/etc/resolv.conf`, which are read when the first name comes
/// up: most sources are addresses.
#[derive(Clone, Default)]
pub(in crate::source) struct Resolver(Arc<OnceCell<TokioResolver>>);

impl Resolver {
    /// The addresses of a host, which may be one itself.
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
