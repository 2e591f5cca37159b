//! From what was decided to Secrets. What others have put on a Secret stays.

use k8s_openapi::{ByteString, api::core::v1::Secret};

use super::{
    CA_SECRET, Server,
    pem::Certificate,
    read::{BUNDLE, CRT, KEY, MANAGED_BY, MANAGER, NEXT_CRT, NEXT_KEY},
    stored::{Authorities, Served},
};

/// The Secret of the CA, in place of `read`.
pub(super) fn authorities(read: Option<&Secret>, authorities: &Authorities) -> Secret {
    let Authorities { signing, next, .. } = authorities;
    let mut values =
        vec![(CRT, signing.certificate.pem()), (KEY, signing.key.expose().to_owned()), (BUNDLE, authorities.bundle())];
    if let Some(next) = next {
        values.extend([(NEXT_CRT, next.certificate.pem()), (NEXT_KEY, next.key.expose().to_owned())]);
    }
    secret(CA_SECRET, "Opaque", "operator", read, values)
}

/// The Secret of a server's certificate, in place of `read`.
pub(super) fn served(server: Server, read: Option<&Secret>, shown: &Served) -> Secret {
    let chain = shown.chain.iter().cloned().filter_map(Certificate::read).map(|certificate| certificate.pem());
    let values = vec![(CRT, chain.collect()), (KEY, shown.key.expose().to_owned()), (BUNDLE, shown.bundle.clone())];
    let component = match server {
        Server::Webhook => "operator",
        Server::Master => "master",
    };
    secret(server.secret(), "kubernetes.io/tls", component, read, values)
}

/// The bundle that a given Secret holds: its certificates, and nothing else that may be beside them.
pub(super) fn given_bundle(secret: &Secret) -> Option<String> {
    let certificates = Certificate::all(&secret.data.as_ref()?.get(BUNDLE)?.0);
    (!certificates.is_empty()).then(|| certificates.iter().map(Certificate::pem).collect())
}

/// The Secret as one that is not there yet.
pub(super) fn anew(mut secret: Secret) -> Secret {
    let metadata = &mut secret.metadata;
    (metadata.resource_version, metadata.uid, metadata.creation_timestamp) = (None, None, None);
    metadata.managed_fields = None;
    secret.immutable = None;
    secret
}

fn secret(name: &str, type_: &str, component: &str, read: Option<&Secret>, values: Vec<(&str, String)>) -> Secret {
    let mut secret = read.cloned().unwrap_or_default();
    secret.metadata.name = Some(name.to_owned());
    // What was sent may not be sent back.
    secret.metadata.managed_fields = None;
    let labels = secret.metadata.labels.get_or_insert_default();
    for (key, value) in
        [(MANAGED_BY, MANAGER), ("app.kubernetes.io/name", MANAGER), ("app.kubernetes.io/component", component)]
    {
        labels.insert(key.to_owned(), value.to_owned());
    }
    // The type of a Secret cannot be changed; what it is for does not hang on it.
    secret.type_.get_or_insert_with(|| type_.to_owned());
    let data = secret.data.get_or_insert_default();
    for key in [NEXT_CRT, NEXT_KEY] {
        data.remove(key);
    }
    data.extend(values.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes()))));
    secret
}
