//! The certificate of the operator's servers. It follows its Secret, and a change does not close connections.

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

use crate::index::watch_backoff;

/// The certificate for new connections. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct CurrentCertificate(Arc<ArcSwapOption<CertifiedKey>>);

/// The Secret contains no usable certificate. No message contains its values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateError {
    /// A key of the Secret is missing.
    #[error("the key {0} is missing")]
    Missing(&'static str),
    /// `tls.crt` is not a chain of certificates.
    #[error("tls.crt contains no PEM certificates")]
    Certificate,
    /// `tls.key` is not a private key of a supported type.
    #[error("tls.key contains no PEM private key of a supported type")]
    Key,
    /// Certificate and key do not match.
    #[error("tls.key does not belong to tls.crt")]
    Mismatch,
}

impl CurrentCertificate {
    /// Uses the certificate in the Secret's data for new connections.
    ///
    /// # Errors
    /// Returns an error if the data contains no usable certificate. The previous certificate stays in use.
    pub(crate) fn set(&self, data: &BTreeMap<String, ByteString>) -> Result<(), CertificateError> {
        let key = certified_key(data)?;
        let same = self.0.load().as_ref().is_some_and(|shown| shown.cert == key.cert);
        if !same {
            self.0.store(Some(Arc::new(key)));
        }
        Ok(())
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

fn certified_key(data: &BTreeMap<String, ByteString>) -> Result<CertifiedKey, CertificateError> {
    let of = |key: &'static str| data.get(key).map(|value| value.0.as_slice()).ok_or(CertificateError::Missing(key));
    let (chain, key) = (of("tls.crt")?, of("tls.key")?);
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(CertificateError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::Key)?;
    let key = ring::default_provider().key_provider.load_private_key(key).map_err(|_| CertificateError::Key)?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Ok(()) => Ok(pair),
        Err(rustls::Error::InvalidCertificate(_)) => Err(CertificateError::Certificate),
        Err(_) => Err(CertificateError::Mismatch),
    }
}

/// Watches the Secret until the drain begins. Releases `block` when the first certificate is loaded.
pub(crate) async fn follow(
    secrets: Api<Secret>,
    name: &str,
    shown: CurrentCertificate,
    block: Block,
    mut drain: Watcher,
) {
    let mut block = Some(block);
    let mut reported = None;
    let changes = watch_object(secrets, name).backoff(watch_backoff());
    pin_mut!(changes);
    loop {
        let change = tokio::select! {
            () = drain.triggered() => return,
            change = changes.next() => change,
        };
        let problem = match change {
            None => return,
            Some(Ok(Some(secret))) => match shown.set(&secret.data.unwrap_or_default()) {
                Ok(()) => {
                    block = None;
                    None
                }
                Err(error) => Some(error.to_string()),
            },
            Some(Ok(None)) => Some("the Secret does not exist".to_owned()),
            Some(Err(error)) => Some(format!("watch failed: {error}")),
        };
        if problem != reported {
            if let Some(problem) = &problem {
                let consequence = if block.is_none() {
                    "the previous certificate stays in use"
                } else {
                    "TLS handshakes fail until there is one"
                };
                tracing::warn!(secret = name, problem, "no usable certificate in the Secret; {consequence}");
            } else {
                tracing::info!(secret = name, "loaded the certificate of the servers");
            }
            reported = problem;
        }
    }
}
