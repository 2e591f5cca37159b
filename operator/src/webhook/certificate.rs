//! The certificate that the server shows: as the Secret has it, changed without a connection being lost.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwapOption;
use daemon::{drain::Watcher, readiness::Block};
use futures::{StreamExt as _, pin_mut};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api,
    runtime::{WatchStreamExt as _, watcher::watch_object},
};
use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::watch_backoff::watch_backoff;

/// The certificate that each new connection is shown. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Shown(Arc<ArcSwapOption<CertifiedKey>>);

/// Why a Secret holds no certificate to show. Says nothing of what it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A key of the Secret is not there.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// `tls.crt` is no chain of certificates.
    #[error("tls.crt holds no PEM certificates")]
    Certificate,
    /// `tls.key` is no private key of a kind that is known.
    #[error("tls.key holds no PEM private key of a known kind")]
    Key,
    /// The two are not of one pair.
    #[error("tls.key does not belong to tls.crt")]
    NotOfOnePair,
}

impl Shown {
    /// Shows what the Secret's data hold from now on.
    ///
    /// # Errors
    /// [`Unusable`]: what was shown before is shown further.
    pub fn set(&self, data: &BTreeMap<String, ByteString>) -> Result<(), Unusable> {
        let key = certified_key(data)?;
        let same = self.0.load().as_ref().is_some_and(|shown| shown.cert == key.cert);
        if !same {
            self.0.store(Some(Arc::new(key)));
        }
        Ok(())
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load().is_some()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

fn certified_key(data: &BTreeMap<String, ByteString>) -> Result<CertifiedKey, Unusable> {
    let of = |key: &'static str| data.get(key).map(|value| value.0.as_slice()).ok_or(Unusable::Missing(key));
    let (chain, key) = (of("tls.crt")?, of("tls.key")?);
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(Unusable::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| Unusable::Key)?;
    let key = ring::default_provider().key_provider.load_private_key(key).map_err(|_| Unusable::Key)?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Ok(()) => Ok(pair),
        Err(rustls::Error::InvalidCertificate(_)) => Err(Unusable::Certificate),
        Err(_) => Err(Unusable::NotOfOnePair),
    }
}

/// Follows the Secret until the drain. `block` is given up with the first certificate.
pub(super) async fn follow(secrets: Api<Secret>, name: &str, shown: Shown, block: Block, mut drain: Watcher) {
    let mut block = Some(block);
    let mut told = None;
    let changes = watch_object(secrets, name).backoff(watch_backoff());
    pin_mut!(changes);
    loop {
        let change = tokio::select! {
            () = drain.triggered() => return,
            change = changes.next() => change,
        };
        let wrong = match change {
            None => return,
            Some(Ok(Some(secret))) => match shown.set(&secret.data.unwrap_or_default()) {
                Ok(()) => {
                    block = None;
                    None
                }
                Err(unusable) => Some(unusable.to_string()),
            },
            Some(Ok(None)) => Some("it is not there".to_owned()),
            Some(Err(error)) => Some(format!("it cannot be watched: {error}")),
        };
        if wrong != told {
            if let Some(wrong) = &wrong {
                let shown = if block.is_none() { "the one before is shown further" } else { "none is shown" };
                tracing::warn!(secret = name, "no certificate for the webhooks: {wrong}; {shown}");
            } else {
                tracing::info!(secret = name, "the webhooks have a certificate");
            }
            told = wrong;
        }
    }
}
