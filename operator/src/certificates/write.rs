//! Writing of the Secrets. Labels, annotations and keys of others are kept.

use k8s_openapi::{ByteString, api::core::v1::Secret};

use super::{
    CA_SECRET, Server,
    pem::Certificate,
    read::{BUNDLE, CRT, KEY, MANAGED_BY, MANAGER, NEXT_CRT, NEXT_KEY},
    stored::{Authorities, Served},
};

/// Returns the Secret of the CA, based on the one that was read.
pub(super) fn authorities(read: Option<&Secret>, authorities: &Authorities) -> Secret {
    let Authorities { signing, next, .. } = authorities;
    let mut values =
        vec![(CRT, signing.certificate.pem()), (KEY, signing.key.expose().to_owned()), (BUNDLE, authorities.bundle())];
    if let Some(next) = next {
        values.extend([(NEXT_CRT, next.certificate.pem()), (NEXT_KEY, next.key.expose().to_owned())]);
    }
    secret(CA_SECRET, "Opaque", "operator", read, values)
}

/// Returns the Secret of a server, based on the one that was read.
pub(super) fn served(server: Server, existing: Option<&Secret>, content: &Served) -> Secret {
    let chain = content.chain.iter().cloned().filter_map(Certificate::read).map(|certificate| certificate.pem());
    let values = vec![(CRT, chain.collect()), (KEY, content.key.expose().to_owned()), (BUNDLE, content.bundle.clone())];
    let component = match server {
        Server::Webhook => "operator",
        Server::Master => "master",
    };
    secret(server.secret(), "kubernetes.io/tls", component, existing, values)
}

/// Returns the bundle in a Secret of another program: its certificates, without anything else in the text.
pub(super) fn given_bundle(secret: &Secret) -> Option<String> {
    let certificates = Certificate::all(&secret.data.as_ref()?.get(BUNDLE)?.0);
    (!certificates.is_empty()).then(|| certificates.iter().map(Certificate::pem).collect())
}

/// Returns the Secret without the identity of the existing one, so that it can be created.
pub(super) fn without_identity(mut secret: Secret) -> Secret {
    let metadata = &mut secret.metadata;
    (metadata.resource_version, metadata.uid, metadata.creation_timestamp) = (None, None, None);
    metadata.managed_fields = None;
    secret.immutable = None;
    secret
}

fn secret(name: &str, type_: &str, component: &str, read: Option<&Secret>, values: Vec<(&str, String)>) -> Secret {
    let mut secret = read.cloned().unwrap_or_default();
    secret.metadata.name = Some(name.to_owned());
    // Managed fields must not be sent back.
    secret.metadata.managed_fields = None;
    let labels = secret.metadata.labels.get_or_insert_default();
    for (key, value) in
        [(MANAGED_BY, MANAGER), ("app.kubernetes.io/name", MANAGER), ("app.kubernetes.io/component", component)]
    {
        labels.insert(key.to_owned(), value.to_owned());
    }
    // The type of an existing Secret cannot be changed, and nothing depends on it.
    secret.type_.get_or_insert_with(|| type_.to_owned());
    let data = secret.data.get_or_insert_default();
    for key in [NEXT_CRT, NEXT_KEY] {
        data.remove(key);
    }
    data.extend(values.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes()))));
    secret
}
