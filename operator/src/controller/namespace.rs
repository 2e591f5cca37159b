//! The ConfigMap and Secret of a namespace's sidecars.

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
    config_map::NAME,
    fingerprint::Fingerprint,
    index::{Data, Index, Key, MANAGED_BY, OPERATOR, Store, Version, key, version},
    watches::SharedIndex,
};

/// An object that the operator makes in a namespace, as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Values by key, as they are.
    data: BTreeMap<String, Vec<u8>>,
    /// Uids of its owners, sorted.
    owners: Vec<String>,
    /// The object as it is applied.
    object: Json,
}

/// What to do about an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// It is as it should be, or not there as it should not be.
    Nothing,
    /// It is to be applied.
    Apply(Json),
    /// It is ours, and to be deleted in this state.
    Delete(Version),
    /// It is there and not ours.
    NotOurs,
}

/// The ConfigMap of the namespace.
#[must_use]
pub fn config_map(name: &str, namespace: &Namespace) -> Option<Wanted> {
    if namespace.owners.is_empty() {
        return None;
    }
    let data = namespace.config_map.iter().map(|(key, text)| (key.clone(), text.clone().into_bytes())).collect();
    let texts = namespace.config_map.iter().map(|(key, text)| (key.clone(), text.as_str().into())).collect();
    Some(wanted("ConfigMap", name, namespace, data, &texts))
}

/// The Secret of the namespace.
#[must_use]
pub fn secret(name: &str, namespace: &Namespace) -> Option<Wanted> {
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

/// What to do about an object that is `observed`.
#[must_use]
pub fn action(observed: Option<(&Data, &Version)>, wanted: Option<&Wanted>) -> Action {
    match (observed, wanted) {
        (None, None) => Action::Nothing,
        (Some((data, _)), Some(_)) if !data.ours => Action::NotOurs,
        (Some((data, _)), None) if !data.ours => Action::Nothing,
        (Some((_, version)), None) => Action::Delete(version.clone()),
        (Some((data, _)), Some(wanted)) if data.data == wanted.data && data.owners == wanted.owners => Action::Nothing,
        (Some((_, version)), Some(wanted)) => {
            let mut object = wanted.object.clone();
            // Of no other object that has taken its place meanwhile.
            if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) {
                metadata.insert("uid".to_owned(), version.uid.clone().into());
            }
            Action::Apply(object)
        }
        (None, Some(wanted)) => Action::Apply(wanted.object.clone()),
    }
}

/// What a namespace's configuration is called in its pods' annotation. The Secret goes in by its version: no one can
/// guess values by it.
#[must_use]
pub fn fingerprint(index: &Index, namespace: &str) -> Option<String> {
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

/// Carries out what is to be done about one object. What the API server answers goes into the index.
///
/// # Errors
/// [`WriteError`].
pub async fn carry_out<K>(
    action: Action,
    namespace: &str,
    writer: &Writer,
    index: &SharedIndex,
    store: fn(&mut Index) -> &mut Store<Arc<Data>>,
) -> Result<(), WriteError>
where
    K: Written + Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    Data: From<K>,
{
    let api: Api<K> = Api::namespaced(writer.client().clone(), namespace);
    let put = |object: K| {
        let (key, version) = (key(&object), version(&object));
        let data = Arc::new(Data::from(object));
        super::lock(index, |index| store(index).apply(key, version, Arc::clone(&data)));
        data
    };
    match action {
        Action::Nothing | Action::NotOurs => Ok(()),
        Action::Delete(version) => {
            let deleted = writer.delete(&api, NAME, &version).await;
            if deleted.is_ok() || deleted.as_ref().is_err_and(WriteError::is_gone) {
                super::lock(index, |index| store(index).delete(&Key::new(namespace, NAME), &version.uid));
                return Ok(());
            }
            deleted
        }
        Action::Apply(object) => {
            let applied = put(writer.apply(&api, NAME, &object).await?);
            // Values that others own are not taken away by an apply.
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

/// Whether an object is as it should be.
///
/// # Errors
/// It is not: why, in one word and in a sentence.
pub fn is_in_place(
    kind: &'static str,
    store: &Store<Arc<Data>>,
    namespace: &str,
    wanted: Option<&Wanted>,
) -> Result<(), (&'static str, String)> {
    let id = Key::new(namespace, NAME);
    let observed = store.get(&id).zip(store.version(&id)).map(|(data, version)| (&**data, version));
    match action(observed, wanted) {
        Action::Nothing => Ok(()),
        Action::NotOurs => Err((
            "NotOurs",
            format!(
                "{kind} {namespace}/{NAME} is there and not the operator's, which leaves it alone: delete it, or label it {MANAGED_BY}={OPERATOR}"
            ),
        )),
        Action::Apply(_) | Action::Delete(_) => Err(("Pending", format!("{kind} {namespace}/{NAME} is being written"))),
    }
}

/// The actions about both objects of a namespace.
#[must_use]
pub fn actions(index: &Index, name: &str, namespace: Option<&Namespace>) -> (Action, Action) {
    let id = Key::new(name, NAME);
    let seen = |store: &Store<Arc<Data>>, wanted: Option<Wanted>| {
        let observed = store.get(&id).zip(store.version(&id)).map(|(data, version)| (&**data, version));
        action(observed, wanted.as_ref())
    };
    (
        seen(&index.sidecar_config_maps, namespace.and_then(|namespace| config_map(name, namespace))),
        seen(&index.sidecar_secrets, namespace.and_then(|namespace| secret(name, namespace))),
    )
}

/// Carries out both.
///
/// # Errors
/// The first [`WriteError`].
pub async fn reconcile(
    name: &str,
    (map, secret): (Action, Action),
    writer: &Writer,
    index: &SharedIndex,
) -> Result<(), WriteError> {
    // Credentials first: a document that names a file finds it.
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

    fn observed(ours: bool) -> Data {
        let data = [("subtree.a.json".to_owned(), b"{}".to_vec())].into();
        Data { data, ours, readable: false, owners: vec!["uid-a".to_owned()] }
    }

    fn version() -> Version {
        Version { uid: "1".to_owned(), resource: "7".to_owned() }
    }

    #[test]
    fn nothing_is_done_about_what_is_as_it_should_be() {
        let (data, version) = (observed(true), version());
        assert_eq!(action(Some((&data, &version)), config_map("acme", &namespace()).as_ref()), Action::Nothing);
        assert_eq!(action(None, None), Action::Nothing);
    }

    #[test]
    fn what_was_edited_by_hand_is_applied_to_that_very_object() {
        let (mut data, version) = (observed(true), version());
        data.data.insert("subtree.evil.json".to_owned(), b"{}".to_vec());
        let Action::Apply(object) = action(Some((&data, &version)), config_map("acme", &namespace()).as_ref()) else {
            panic!("not applied");
        };
        assert_eq!(object["metadata"]["uid"], "1");
        assert_eq!(object["data"], json!({"subtree.a.json": "{}"}));
    }

    #[test]
    fn an_object_that_is_not_ours_is_left_alone() {
        let (data, version) = (observed(false), version());
        assert_eq!(action(Some((&data, &version)), config_map("acme", &namespace()).as_ref()), Action::NotOurs);
        assert_eq!(action(Some((&data, &version)), None), Action::Nothing);
    }

    #[test]
    fn what_is_ours_goes_with_the_last_subtree() {
        let (data, seen) = (observed(true), version());
        let none = Namespace::default();
        assert_eq!(action(Some((&data, &seen)), config_map("acme", &none).as_ref()), Action::Delete(version()));
    }

    #[test]
    fn owners_are_part_of_what_should_be() {
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
    fn a_configurations_name_changes_with_the_contents_and_tells_no_secret() {
        let mut index = Index::default();
        let id = Key::new("acme", NAME);
        assert_eq!(fingerprint(&index, "acme"), None);
        index.sidecar_config_maps.apply(id.clone(), version(), Arc::new(observed(true)));
        let first = fingerprint(&index, "acme").unwrap();
        let newer = Version { resource: "8".to_owned(), ..version() };
        index.sidecar_config_maps.apply(id.clone(), newer, Arc::new(observed(true)));
        assert_eq!(fingerprint(&index, "acme"), Some(first.clone()), "another owner is no other content");
        index.sidecar_secrets.apply(id, version(), Arc::new(observed(true)));
        assert_ne!(fingerprint(&index, "acme"), Some(first));
    }
}
