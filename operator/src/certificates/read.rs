//! Reading of the Secrets. Invalid content is reported and later issued again; it causes no other failure.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::{
    CA_SECRET, Server,
    pem::{Certificate, PrivateKey},
    state::View,
    stored::{Authorities, Authority, Served},
};

pub(super) const CRT: &str = "tls.crt";
pub(super) const KEY: &str = "tls.key";
pub(super) const NEXT_CRT: &str = "next.crt";
pub(super) const NEXT_KEY: &str = "next.key";
pub(super) const BUNDLE: &str = "ca.crt";

/// The label of objects that the operator manages.
pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub(super) const MANAGER: &str = "snmp-operator";

/// The Secrets. `None` for one that does not exist.
#[derive(Debug, Clone, Default)]
pub(super) struct Secrets {
    pub(super) ca: Option<Secret>,
    pub(super) webhook: Option<Secret>,
    pub(super) master: Option<Secret>,
}

impl Secrets {
    /// Returns the Secret with this name.
    pub(super) fn named(&self, name: &str) -> Option<&Secret> {
        let server = Server::ALL.into_iter().find(|server| server.secret() == name);
        server.map_or(self.ca.as_ref(), |server| self.of(server))
    }

    /// Returns the Secret of a server.
    pub(super) fn of(&self, server: Server) -> Option<&Secret> {
        match server {
            Server::Webhook => self.webhook.as_ref(),
            Server::Master => self.master.as_ref(),
        }
    }
}

/// A problem with a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretProblem {
    pub(super) secret: &'static str,
    pub(super) message: &'static str,
    /// Whether the operator does not overwrite the Secret.
    pub(super) foreign: bool,
}

const FOREIGN: &str =
    "the operator does not manage this Secret, and does not overwrite it: delete it, or set --certificates given";

/// Reads the Secrets. Returns their usable content, and the problems.
pub(super) fn view(secrets: &Secrets) -> (View, Vec<SecretProblem>) {
    let (mut view, mut problems) = (View::default(), Vec::new());
    let mut problem = |secret, message, foreign| problems.push(SecretProblem { secret, message, foreign });
    for server in Server::ALL {
        let Some(secret) = secrets.of(server) else { continue };
        let data = Data::of(secret);
        if is_foreign(secret) {
            view.foreign.push(server);
            problem(server.secret(), FOREIGN, true);
            continue;
        }
        view.published.extend(Certificate::authorities(data.octets(BUNDLE)));
        match served(&data) {
            Ok(served) if server == Server::Webhook => view.webhook = Some(served),
            Ok(served) => view.master = Some(served),
            Err(message) => problem(server.secret(), message, false),
        }
    }
    if let Some(secret) = &secrets.ca {
        let data = Data::of(secret);
        if is_foreign(secret) {
            problem(CA_SECRET, FOREIGN, true);
            return (view, problems);
        }
        let trusted = Certificate::authorities(data.octets(BUNDLE));
        view.published.extend(trusted.iter().cloned());
        data.text(BUNDLE).unwrap_or_default().clone_into(&mut view.bundle);
        match authority(&data, CRT, KEY) {
            Err(message) => problem(CA_SECRET, message, false),
            Ok(signing) => {
                let next = authority(&data, NEXT_CRT, NEXT_KEY).ok();
                let is_other = |certificate: &Certificate| {
                    *certificate != signing.certificate
                        && next.as_ref().is_none_or(|next| next.certificate != *certificate)
                };
                let previous = trusted.into_iter().filter(is_other).collect();
                view.authorities = Some(Authorities { signing, next, previous });
            }
        }
    }
    (view, problems)
}

/// Returns whether the operator does not manage the Secret. A Secret without content can be filled.
fn is_foreign(secret: &Secret) -> bool {
    let labels = secret.metadata.labels.as_ref();
    let is_managed = labels.and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|by| by == MANAGER);
    let has_content = secret
        .data
        .iter()
        .flatten()
        .any(|(key, value)| [CRT, KEY, BUNDLE].contains(&key.as_str()) && !value.0.is_empty());
    !is_managed && has_content
}

struct Data<'a>(Option<&'a BTreeMap<String, ByteString>>);

impl<'a> Data<'a> {
    fn of(secret: &'a Secret) -> Self {
        Self(secret.data.as_ref())
    }

    fn octets(&self, key: &str) -> &'a [u8] {
        self.0.and_then(|data| data.get(key)).map_or(&[], |value| value.0.as_slice())
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        std::str::from_utf8(self.octets(key)).ok()
    }
}

fn authority(data: &Data<'_>, crt: &str, key: &str) -> Result<Authority, &'static str> {
    let certificate = Certificate::authorities(data.octets(crt)).into_iter().next();
    let certificate = certificate.ok_or("it contains no CA certificate")?;
    let key = private_key(data, key)?;
    if !key.belongs_to(vec![certificate.der().clone()]) {
        return Err("its private key does not belong to its certificate");
    }
    Ok(Authority { certificate, key })
}

fn served(data: &Data<'_>) -> Result<Served, &'static str> {
    let chain = CertificateDer::pem_slice_iter(data.octets(CRT)).collect::<Result<Vec<_>, _>>().unwrap_or_default();
    let leaf = chain.first().cloned().and_then(Certificate::read).ok_or("it contains no certificate")?;
    let key = private_key(data, KEY)?;
    if !key.belongs_to(chain.clone()) {
        return Err("its private key does not belong to its certificate");
    }
    // An invalid bundle differs from the right one, so it is written again.
    let bundle = data.text(BUNDLE).unwrap_or_default().to_owned();
    Ok(Served { chain, leaf, key, bundle })
}

fn private_key(data: &Data<'_>, key: &str) -> Result<PrivateKey, &'static str> {
    let text = data.text(key).filter(|text| !text.is_empty());
    text.map(|text| PrivateKey::new(text.to_owned())).ok_or("it contains no private key")
}
