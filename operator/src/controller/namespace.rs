//! The ConfigMap and the Secret with the configuration of a namespace's sidecars.

use std::{collections::BTreeMap, sync::Arc};

use data_encoding::BASE64;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Resource};
use serde_json::{Map, Value as Json, json};

use super::{
    desired::Namespace,
    writer::{WriteError, Writer, Written},
};
use crate::{
    fingerprint::Fingerprint,
    index::{DataObject, Index, Key, MANAGED_BY, OPERATOR, SharedIndex, Store, Version, key, lock, version},
    plan::SIDECAR_CONFIGURATION as NAME,
};

/// The desired state of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    /// The values by key, not encoded.
    data: BTreeMap<String, Vec<u8>>,
    /// The uids of the owners, sorted.
    owners: Vec<String>,
    /// The object to apply.
    object: Json,
}

/// The action that brings an object to its desired state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Nothing has to be done.
    Nothing,
    /// Apply the object.
    Apply(Json),
    /// Delete this version of the object.
    Delete(Version),
    /// Leave the object alone, because the operator does not manage it.
    Foreign,
}

/// Returns the desired ConfigMap of the namespace.
#[must_use]
pub(crate) fn config_map(name: &str, namespace: &Namespace) -> Option<Wanted> {
    if namespace.owners.is_empty() {
        return None;
    }
    let data = namespace.config_map.iter().map(|(key, text)| (key.clone(), text.clone().into_bytes())).collect();
    let texts = namespace.config_map.iter().map(|(key, text)| (key.clone(), text.as_str().into())).collect();
    Some(wanted("ConfigMap", name, namespace, data, &texts))
}

/// Returns the desired Secret of the namespace. `None` if there are no credentials.
#[must_use]
pub(crate) fn secret(name: &str, namespace: &Namespace) -> Option<Wanted> {
    if namespace.owners.is_empty() || namespace.secret.is_empty() {
        return None;
    }
    let encoded = namespace.secret.iter().map(|(key, value)| (key.clone(), BASE64.encode(value).into())).collect();
    Some(wanted("Secret", name, namespace, namespace.secret.clone(), &encoded))
}

fn wanted(
    kind: &str,
    name: &str,
    namespace: &Namespace,
    data: BTreeMap<String, Vec<u8>>,
    json: &Map<String, Json>,
) -> Wanted {
    let owner = |(name, uid): &(String, String)| json!({"apiVersion": format!("{}/{}", crds::GROUP, crds::VERSION), "kind": "SnmpSubtree", "name": name, "uid": uid});
    let mut owners: Vec<_> = namespace.owners.iter().map(|(_, uid)| uid.clone()).collect();
    owners.sort_unstable();
    let object = json!({
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {
            "name": NAME,
            "namespace": name,
            "labels": {MANAGED_BY: OPERATOR, "app.kubernetes.io/name": NAME},
            "ownerReferences": namespace.owners.iter().map(owner).collect::<Vec<_>>(),
        },
        "data": json,
    });
    Wanted { data, owners, object }
}

/// Returns the action that changes the `observed` object to the `wanted` one.
#[must_use]
pub(crate) fn action(observed: Option<(&DataObject, &Version)>, wanted: Option<&Wanted>) -> Action {
    match (observed, wanted) {
        (None, None) => Action::Nothing,
        (Some((data, _)), Some(_)) if !data.ours => Action::Foreign,
        (Some((data, _)), None) if !data.ours => Action::Nothing,
        (Some((_, version)), None) => Action::Delete(version.clone()),
        (Some((data, _)), Some(wanted)) if data.data == wanted.data && data.owners == wanted.owners => Action::Nothing,
        (Some((_, version)), Some(wanted)) => {
            let mut object = wanted.object.clone();
            // The uid makes the apply fail if the object was deleted and created again meanwhile.
            if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) {
                metadata.insert("uid".to_owned(), version.uid.clone().into());
            }
            Action::Apply(object)
        }
        (None, Some(wanted)) => Action::Apply(wanted.object.clone()),
    }
}

/// Returns the fingerprint of a namespace's configuration, for the annotation of its pods. It contains the Secret's version
/// and not its values, so nobody can guess values from it.
#[must_use]
pub(crate) fn fingerprint(index: &Index, namespace: &str) -> Option<String> {
    let id = Key::new(namespace, NAME);
    let map = index.sidecar_config_maps.get(&id).filter(|map| map.ours)?;
    let start = map.data.iter().fold(Fingerprint::default(), |f, (key, value)| f.text(key.as_bytes()).text(value));
    let secret = index.sidecar_secrets.get(&id).filter(|secret| secret.ours);
    let secret = secret.and_then(|_| index.sidecar_secrets.version(&id));
    Some(
        secret
            .map_or(start, |version| start.text(version.uid.as_bytes()).text(version.resource.as_bytes()))
            .to_string(),
    )
}

/// Carries out the action, and stores the response in the index.
///
/// # Errors
/// Returns an error if the API server does not carry out the action.
pub(crate) async fn carry_out<K>(
    action: Action,
    namespace: &str,
    writer: &Writer,
    index: &SharedIndex,
    store: fn(&mut Index) -> &mut Store<Arc<DataObject>>,
) -> Result<(), WriteError>
where
    K: Written + Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    DataObject: From<K>,
{
    let api: Api<K> = Api::namespaced(writer.client().clone(), namespace);
    let put = |object: K| {
        let (key, version) = (key(&object), version(&object));
        let data = Arc::new(DataObject::from(object));
        lock(index, |index| store(index).apply(key, version, Arc::clone(&data)));
        data
    };
    match action {
        Action::Nothing | Action::Foreign => Ok(()),
        Action::Delete(version) => {
            let deleted = writer.delete(&api, NAME, &version).await;
            if deleted.is_ok() || deleted.as_ref().is_err_and(WriteError::is_gone) {
                lock(index, |index| store(index).delete(&Key::new(namespace, NAME), &version.uid));
                return Ok(());
            }
            deleted
        }
        Action::Apply(object) => {
            let applied = put(writer.apply(&api, NAME, &object).await?);
            // An apply does not remove keys that other field managers own.
            let wanted = object.get("data").and_then(Json::as_object);
            let foreign = applied.data.keys().filter(|key| !wanted.is_some_and(|data| data.contains_key(*key)));
            let foreign: Map<_, _> = foreign.map(|key| (key.clone(), Json::Null)).collect();
            if !foreign.is_empty() {
                let patch = if K::KIND == "Secret" {
                    json!({"data": foreign})
                } else {
                    json!({"data": foreign.clone(), "binaryData": foreign})
                };
                put(writer.merge(&api, NAME, &patch).await?);
            }
            Ok(())
        }
    }
}

/// Checks that an object is as wanted.
///
/// # Errors
/// Returns the reason, in one word and in a sentence, if it is not.
pub(crate) fn check(
    kind: &'static str,
    store: &Store<Arc<DataObject>>,
    namespace: &str,
    wanted: Option<&Wanted>,
) -> Result<(), (&'static str, String)> {
    let id = Key::new(namespace, NAME);
    let observed = store.get(&id).zip(store.version(&id)).map(|(data, version)| (&**data, version));
    match action(observed, wanted) {
        Action::Nothing => Ok(()),
        Action::Foreign => Err((
            "NotOurs",
            format!(
                "{kind} {namespace}/{NAME} exists but is not managed by the operator: delete it, or label it {MANAGED_BY}={OPERATOR}"
            ),
        )),
        Action::Apply(_) | Action::Delete(_) => {
            Err(("Pending", format!("{kind} {namespace}/{NAME} is not written yet")))
        }
    }
}

/// Returns the actions for the ConfigMap and the Secret of a namespace.
#[must_use]
pub(crate) fn actions(index: &Index, name: &str, namespace: Option<&Namespace>) -> (Action, Action) {
    let id = Key::new(name, NAME);
    let next = |store: &Store<Arc<DataObject>>, wanted: Option<Wanted>| {
        let observed = store.get(&id).zip(store.version(&id)).map(|(data, version)| (&**data, version));
        action(observed, wanted.as_ref())
    };
    (
        next(&index.sidecar_config_maps, namespace.and_then(|namespace| config_map(name, namespace))),
        next(&index.sidecar_secrets, namespace.and_then(|namespace| secret(name, namespace))),
    )
}

/// Carries out the actions for the ConfigMap and the Secret of a namespace.
///
/// # Errors
/// Returns the first error.
pub(crate) async fn reconcile(
    name: &str,
    (map, secret): (Action, Action),
    writer: &Writer,
    index: &SharedIndex,
) -> Result<(), WriteError> {
    // Credentials come first, so that a document never refers to a missing file.
    carry_out::<Secret>(secret, name, writer, index, |index| &mut index.sidecar_secrets).await?;
    carry_out::<ConfigMap>(map, name, writer, index, |index| &mut index.sidecar_config_maps).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace() -> Namespace {
        Namespace {
            config_map: [("subtree.a.json".to_owned(), "{}".to_owned())].into(),
            secret: [("secret.a.token".to_owned(), b"t".to_vec())].into(),
            owners: vec![("a".to_owned(), "uid-a".to_owned())],
            ..Namespace::default()
        }
    }

    fn observed(ours: bool) -> DataObject {
        let data = [("subtree.a.json".to_owned(), b"{}".to_vec())].into();
        DataObject { data, ours, readable: false, owners: vec!["uid-a".to_owned()] }
    }

    fn version() -> Version {
        Version { uid: "1".to_owned(), resource: "7".to_owned() }
    }

    #[test]
    fn an_object_as_wanted_needs_no_action() {
        let (data, version) = (observed(true), version());
        assert_eq!(action(Some((&data, &version)), config_map("acme", &namespace()).as_ref()), Action::Nothing);
        assert_eq!(action(None, None), Action::Nothing);
    }

    #[test]
    fn manual_edits_are_overwritten_in_the_same_object() {
        let (mut data, version) = (observed(true), version());
        data.data.insert("subtree.evil.json".to_owned(), b"{}".to_vec());
        let Action::Apply(object) = action(Some((&data, &version)), config_map("acme", &namespace()).as_ref()) else {
            panic!("the object is not applied");
        };
        assert_eq!(object["metadata"]["uid"], "1");
        assert_eq!(object["data"], json!({"subtree.a.json": "{}"}));
    }

    #[test]
    fn a_foreign_object_is_not_touched() {
        let (data, version) = (observed(false), version());
        assert_eq!(action(Some((&data, &version)), config_map("acme", &namespace()).as_ref()), Action::Foreign);
        assert_eq!(action(Some((&data, &version)), None), Action::Nothing);
    }

    #[test]
    fn the_object_is_deleted_with_the_last_subtree() {
        let (data, seen) = (observed(true), version());
        let none = Namespace::default();
        assert_eq!(action(Some((&data, &seen)), config_map("acme", &none).as_ref()), Action::Delete(version()));
    }

    #[test]
    fn other_owners_need_an_apply() {
        let (data, version) = (observed(true), version());
        let mut namespace = namespace();
        namespace.owners = vec![("b".to_owned(), "uid-b".to_owned())];
        assert!(matches!(action(Some((&data, &version)), config_map("acme", &namespace).as_ref()), Action::Apply(_)));
    }

    #[test]
    fn a_namespace_without_credentials_has_no_secret() {
        assert!(secret("acme", &namespace()).is_some());
        let none = Namespace { secret: BTreeMap::new(), ..namespace() };
        assert_eq!(secret("acme", &none), None);
    }

    #[test]
    fn the_fingerprint_changes_with_the_contents() {
        let mut index = Index::default();
        let id = Key::new("acme", NAME);
        assert_eq!(fingerprint(&index, "acme"), None);
        index.sidecar_config_maps.apply(id.clone(), version(), Arc::new(observed(true)));
        let first = fingerprint(&index, "acme").unwrap();
        let newer = Version { resource: "8".to_owned(), ..version() };
        index.sidecar_config_maps.apply(id.clone(), newer, Arc::new(observed(true)));
        assert_eq!(fingerprint(&index, "acme"), Some(first.clone()), "a new version with the same content");
        index.sidecar_secrets.apply(id, version(), Arc::new(observed(true)));
        assert_ne!(fingerprint(&index, "acme"), Some(first));
    }
}
