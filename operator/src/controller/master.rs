//! The Secrets of the masters, and the objects that are created once: the engine's Secret and the default context.

mod steps;

use std::{collections::BTreeMap, sync::Arc};

use data_encoding::BASE64;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Api;
use master_config::Document;
use serde_json::json;

use super::{
    desired::{Desired, Parameters},
    writer::{WriteError, Writer},
};
use crate::{
    index::{DataObject, Index, Key, MANAGED_BY, OPERATOR, SharedIndex, key, lock, slim, version},
    plan::{
        self, DEFAULT_CONTEXT,
        shards::{self, KEY, NAME},
    },
};

/// The name of the Secret in which the masters store their SNMP engine's state.
pub(crate) const ENGINE: &str = "snmp-master-engine";
/// The name of the Secret with the community of the default context.
pub(crate) const DEFAULT_SECRET: &str = "snmp-default";
/// The key of the community.
const COMMUNITY: &str = "community";

/// The pending writes of shards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Writes {
    /// The number and text of each write, in the order in which they are written.
    pub(crate) texts: Vec<(usize, String)>,
    /// The shards whose Secret exists but is not managed by the operator.
    pub(crate) foreign: Vec<usize>,
}

/// Returns the writes that change the shards to `new`.
///
/// # Errors
/// Returns an error if a shard cannot be written as JSON.
pub(crate) fn writes(index: &Index, parameters: &Parameters, new: &[Document]) -> Result<Writes, serde_json::Error> {
    let namespace = &parameters.settings.system_namespace;
    let observed = |shard: usize| index.system_secrets.get(&Key::new(&**namespace, shards::secret_name(shard)));
    let foreign: Vec<_> = (0..shards::COUNT).filter(|i| observed(*i).is_some_and(|secret| !secret.ours)).collect();
    let mut texts: BTreeMap<_, _> =
        (0..shards::COUNT).map(|i| (i, observed(i).and_then(|secret| secret.text(KEY)).map(str::to_owned))).collect();
    let wanted = new.iter().enumerate().map(|(i, shard)| Ok((i, shards::text(shard)?)));
    let wanted = wanted.collect::<Result<BTreeMap<_, _>, serde_json::Error>>()?;
    if wanted.iter().all(|(i, text)| texts.get(i).is_some_and(|current| current.as_ref() == Some(text))) {
        return Ok(Writes { texts: Vec::new(), foreign });
    }
    // A shard that cannot be read counts as empty, because the masters ignore it.
    let old: Vec<_> = (0..shards::COUNT)
        .map(|i| {
            let text = texts.get(&i).and_then(Option::as_ref);
            let read = text.and_then(|text| master_config::read(text.as_bytes()).ok());
            read.or_else(|| {
                new.get(i).map(|shard| Document { contexts: Vec::new(), users: Vec::new(), ..shard.clone() })
            })
        })
        .collect::<Option<_>>()
        .unwrap_or_default();
    let mut writes = Writes { texts: Vec::new(), foreign };
    // If the first shard is missing, the masters wait for it. It is written last, so no intermediate steps are needed.
    let is_first_missing = texts.get(&0).is_none_or(Option::is_none);
    let steps = if is_first_missing { vec![new.to_vec()] } else { steps::steps(&old, new) };
    for step in steps {
        for (i, shard) in step.iter().enumerate().rev() {
            let text = shards::text(shard)?;
            if texts.get(&i).is_some_and(|current| current.as_ref() != Some(&text)) && !writes.foreign.contains(&i) {
                texts.insert(i, Some(text.clone()));
                writes.texts.push((i, text));
            }
        }
    }
    Ok(writes)
}

/// Writes the shards, one after the other.
///
/// # Errors
/// Returns the first error. The writes after it are not attempted.
pub(crate) async fn write(
    pending: Writes,
    parameters: &Parameters,
    writer: &Writer,
    index: &SharedIndex,
) -> Result<(), WriteError> {
    let namespace = &parameters.settings.system_namespace;
    let api: Api<Secret> = Api::namespaced(writer.client().clone(), namespace);
    for (shard, text) in pending.texts {
        let name = shards::secret_name(shard);
        let object = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace, "labels": labels()},
            "data": {KEY: BASE64.encode(text.as_bytes())},
        });
        put(index, writer.apply(&api, &name, &object).await?);
    }
    Ok(())
}

/// Checks that the shards of these contexts and users are written.
///
/// # Errors
/// Returns the reason, in one word and in a sentence, if they are not.
pub(crate) fn in_place(pending: &Writes, names: &[String]) -> Result<(), (&'static str, String)> {
    let shards = names.iter().map(|name| shards::shard_of(name));
    for shard in shards {
        let secret = shards::secret_name(shard);
        if pending.foreign.contains(&shard) {
            let message = format!(
                "Secret {secret} exists but is not managed by the operator: delete it, or label it {MANAGED_BY}={OPERATOR}"
            );
            return Err(("NotOurs", message));
        }
        if pending.texts.iter().any(|(i, _)| *i == shard) {
            return Err(("Pending", format!("Secret {secret} is not written yet")));
        }
    }
    Ok(())
}

/// Creates the objects that are created once and never changed: the Secret of the engine, and the default context with the
/// Secret of its community.
///
/// # Errors
/// Returns the first error.
pub(crate) async fn create_once(
    parameters: &Parameters,
    writer: &Writer,
    index: &SharedIndex,
) -> Result<(), WriteError> {
    let namespace = &parameters.settings.system_namespace;
    let api: Api<Secret> = Api::namespaced(writer.client().clone(), namespace);
    let missing = |name: &str| lock(index, |index| index.system_secrets.get(&Key::new(&**namespace, name)).is_none());
    if missing(ENGINE) {
        put_created(index, writer.create(&api, &secret(namespace, ENGINE, BTreeMap::new())).await)?;
    }
    if !parameters.settings.default_context {
        return Ok(());
    }
    let default = lock(index, |index| {
        let mut contexts = index.contexts.iter();
        let found = contexts.find(|(key, context)| {
            key.name == DEFAULT_CONTEXT
                || (context.metadata.deletion_timestamp.is_none() && plan::snmp_name(context).is_empty())
        });
        found.map(|(_, context)| Arc::clone(context))
    });
    // A context can outlive its Secret, for example if the release was uninstalled. It then gets a new Secret.
    let needs_secret = default.as_ref().is_none_or(|context| {
        context.spec.communities.iter().any(|community| *community.secret_ref.name == *DEFAULT_SECRET)
    });
    if needs_secret && missing(DEFAULT_SECRET) {
        let Some(community) = random_community() else { return Err(WriteError::Unreachable) };
        let data = [(COMMUNITY.to_owned(), ByteString(community.into_bytes()))].into();
        put_created(index, writer.create(&api, &secret(namespace, DEFAULT_SECRET, data)).await)?;
    }
    if default.is_some() {
        return Ok(());
    }
    let mut context = plan::built_in();
    context.metadata.labels = Some([(MANAGED_BY.to_owned(), OPERATOR.to_owned())].into());
    let secret_ref = crds::SecretKey { name: DEFAULT_SECRET.into(), key: COMMUNITY.into() };
    let community = crds::Community { secret_ref, access: crds::Access::ReadOnly, sources: Vec::new() };
    context.spec.communities.push(community);
    let contexts: Api<crds::SnmpContext> = Api::all(writer.client().clone());
    match writer.create(&contexts, &context).await {
        Ok(created) => {
            tracing::info!(context = DEFAULT_CONTEXT, "created the default context");
            lock(index, |index| index.contexts.apply(key(&created), version(&created), slim(created)));
            Ok(())
        }
        Err(error) if error.is_conflict() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns 160 random bits as letters and digits, which are easy to type.
fn random_community() -> Option<String> {
    let mut octets = [0; 20];
    getrandom::fill(&mut octets).ok()?;
    Some(data_encoding::BASE32_NOPAD.encode(&octets).to_lowercase())
}

fn labels() -> BTreeMap<String, String> {
    let labels = [(MANAGED_BY, OPERATOR), ("app.kubernetes.io/name", NAME)];
    labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

fn secret(namespace: &str, name: &str, data: BTreeMap<String, ByteString>) -> Secret {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(labels()),
        ..ObjectMeta::default()
    };
    Secret { metadata, data: Some(data).filter(|data| !data.is_empty()), ..Secret::default() }
}

fn put(index: &SharedIndex, secret: Secret) {
    let (key, version) = (key(&secret), version(&secret));
    lock(index, |index| index.system_secrets.apply(key, version, Arc::new(DataObject::from(secret))));
}

/// Stores a created Secret in the index. A Secret that already exists is not an error; the watch reports it.
fn put_created(index: &SharedIndex, created: Result<Secret, WriteError>) -> Result<(), WriteError> {
    match created {
        Ok(secret) => {
            put(index, secret);
            Ok(())
        }
        Err(error) if error.is_conflict() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns the pending writes of the masters' configuration.
#[must_use]
pub(crate) fn pending(index: &Index, parameters: &Parameters, desired: &Desired) -> Writes {
    if desired.shards.is_empty() {
        return Writes::default();
    }
    writes(index, parameters, &desired.shards).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use master_config::{Listeners, Secret as Text};

    use super::*;
    use crate::{index::Version, plan::Settings};

    fn parameters() -> Parameters {
        Parameters { settings: Settings::default(), listeners: Listeners::default(), read_secrets: true, ca: None }
    }

    fn documents(contexts: &[(&str, &str)]) -> Vec<Document> {
        let context = |(name, community): &(&str, &str)| master_config::Context {
            name: (*name).to_owned(),
            system: master_config::System::default(),
            grants: Vec::new(),
            communities: vec![master_config::Community {
                community: Text::new(*community),
                access: master_config::Access::ReadOnly,
                sources: Vec::new(),
            }],
            users: Vec::new(),
            allowed_targets: Vec::new(),
        };
        shards::split(Document {
            version: master_config::VERSION,
            listeners: Listeners::default(),
            limits: master_config::Limits::default(),
            contexts: contexts.iter().map(context).collect(),
            users: Vec::new(),
            targets: Vec::new(),
        })
    }

    /// Applies the writes to the index.
    fn apply(index: &mut Index, writes: &Writes) {
        for (i, text) in &writes.texts {
            let data = DataObject {
                data: [(KEY.to_owned(), text.clone().into_bytes())].into(),
                ours: true,
                ..DataObject::default()
            };
            index.system_secrets.apply(
                Key::new("snmp-system", shards::secret_name(*i)),
                Version::default(),
                Arc::new(data),
            );
        }
    }

    #[test]
    fn every_shard_is_written_once_and_the_first_shard_last() {
        let (mut index, new) = (Index::default(), documents(&[("acme", "one"), ("globex", "two")]));
        let first = writes(&index, &parameters(), &new).unwrap();
        assert_eq!(first.texts.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [7, 6, 5, 4, 3, 2, 1, 0]);
        apply(&mut index, &first);
        assert_eq!(writes(&index, &parameters(), &new).unwrap(), Writes::default(), "there are writes left");
        assert_eq!(index.system_secrets.len(), shards::COUNT);
    }

    #[test]
    fn a_community_that_moves_to_another_shard_needs_two_writes_of_each() {
        let mut index = Index::default();
        let first = writes(&index, &parameters(), &documents(&[("acme", "one"), ("globex", "two")])).unwrap();
        apply(&mut index, &first);
        let swapped = writes(&index, &parameters(), &documents(&[("acme", "two"), ("globex", "one")])).unwrap();
        assert_eq!(swapped.texts.len(), 4);
        assert!(
            !swapped.texts[0].1.contains("one") && !swapped.texts[0].1.contains("two"),
            "the first write withdraws the community"
        );
    }

    #[test]
    fn manual_edits_are_overwritten() {
        let (mut index, new) = (Index::default(), documents(&[("acme", "one")]));
        let first = writes(&index, &parameters(), &new).unwrap();
        apply(&mut index, &first);
        apply(&mut index, &Writes { texts: vec![(3, "garbage".to_owned())], foreign: Vec::new() });
        assert_eq!(writes(&index, &parameters(), &new).unwrap().texts.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_foreign_secret_is_reported_and_not_overwritten() {
        let mut index = Index::default();
        let id = Key::new("snmp-system", shards::secret_name(shards::shard_of("acme")));
        index.system_secrets.apply(id, Version::default(), Arc::new(DataObject::default()));
        let writes = writes(&index, &parameters(), &documents(&[("acme", "one")])).unwrap();
        assert!(writes.texts.iter().all(|(i, _)| *i != shards::shard_of("acme")));
        assert_eq!(in_place(&writes, &["acme".to_owned()]).unwrap_err().0, "NotOurs");
    }

    #[test]
    fn random_communities_are_long_and_unique() {
        let (one, two) = (random_community().unwrap(), random_community().unwrap());
        assert_ne!(one, two);
        assert!(one.len() == 32 && one.chars().all(|c| c.is_ascii_alphanumeric()));
    }
}
