//! The masters' Secrets, and what there is of a default context.

use std::{collections::BTreeMap, sync::Arc};

use data_encoding::BASE64;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Api;
use master_config::Document;
use serde_json::json;

use super::{
    desired::{Desired, Terms},
    lock, shards,
    writer::{WriteError, Writer},
};
use crate::{
    index::{Data, Index, Key, MANAGED_BY, OPERATOR, key, version},
    master_secret::{KEY, NAME},
    plan::{self, DEFAULT_CONTEXT},
    watches::SharedIndex,
};

/// The Secret in which the masters keep their engine.
pub const ENGINE: &str = "snmp-master-engine";
/// The Secret of the community of the default context.
pub const DEFAULT_SECRET: &str = "snmp-default";
/// Its key.
const COMMUNITY: &str = "community";

/// What to write of the shards, in this order: the number of each and its text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writes {
    /// Shards to write.
    pub texts: Vec<(usize, String)>,
    /// Shards that are there and not ours.
    pub foreign: Vec<usize>,
}

/// What to write, for the shards to become `new`.
///
/// # Errors
/// A document that cannot be written as JSON.
pub fn writes(index: &Index, terms: &Terms, new: &[Document]) -> Result<Writes, serde_json::Error> {
    let namespace = &terms.settings.system_namespace;
    let observed = |shard: usize| index.system_secrets.get(&Key::new(&**namespace, shards::secret(shard)));
    let foreign: Vec<_> = (0..shards::COUNT).filter(|i| observed(*i).is_some_and(|secret| !secret.ours)).collect();
    let mut texts: BTreeMap<_, _> =
        (0..shards::COUNT).map(|i| (i, observed(i).and_then(|secret| secret.text(KEY)).map(str::to_owned))).collect();
    let settled = new.iter().enumerate().map(|(i, shard)| Ok((i, shards::text(shard)?)));
    let settled = settled.collect::<Result<BTreeMap<_, _>, serde_json::Error>>()?;
    if settled.iter().all(|(i, text)| texts.get(i).is_some_and(|there| there.as_ref() == Some(text))) {
        return Ok(Writes { texts: Vec::new(), foreign });
    }
    // What cannot be read is nothing: the masters go by none of it.
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
    // Where the first one is missing, the masters wait for it: it comes last, and nothing needs to be withdrawn before.
    let waiting = texts.get(&0).is_none_or(Option::is_none);
    let steps = if waiting { vec![new.to_vec()] } else { shards::steps(&old, new) };
    for step in steps {
        for (i, shard) in step.iter().enumerate().rev() {
            let text = shards::text(shard)?;
            if texts.get(&i).is_some_and(|there| there.as_ref() != Some(&text)) && !writes.foreign.contains(&i) {
                texts.insert(i, Some(text.clone()));
                writes.texts.push((i, text));
            }
        }
    }
    Ok(writes)
}

/// Writes them, one after the other.
///
/// # Errors
/// The first [`WriteError`]; what follows is not written.
pub async fn write(pending: Writes, terms: &Terms, writer: &Writer, index: &SharedIndex) -> Result<(), WriteError> {
    let namespace = &terms.settings.system_namespace;
    let api: Api<Secret> = Api::namespaced(writer.client().clone(), namespace);
    for (shard, text) in pending.texts {
        let name = shards::secret(shard);
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

/// Whether the shards of these names, of contexts or users, are as they should be.
///
/// # Errors
/// They are not: why, in one word and in a sentence.
pub fn in_place(pending: &Writes, names: &[String]) -> Result<(), (&'static str, String)> {
    let shards = names.iter().map(|name| shards::shard_of(name));
    for shard in shards {
        let secret = shards::secret(shard);
        if pending.foreign.contains(&shard) {
            let message = format!(
                "Secret {secret} is there and not the operator's, which leaves it alone: delete it, or label it {MANAGED_BY}={OPERATOR}"
            );
            return Err(("NotOurs", message));
        }
        if pending.texts.iter().any(|(i, _)| *i == shard) {
            return Err(("Pending", format!("Secret {secret} is being written")));
        }
    }
    Ok(())
}

/// Makes what is made once and never changed: the engine's Secret, and the default context with its community.
///
/// # Errors
/// The first [`WriteError`].
pub async fn make_once(terms: &Terms, writer: &Writer, index: &SharedIndex) -> Result<(), WriteError> {
    let namespace = &terms.settings.system_namespace;
    let api: Api<Secret> = Api::namespaced(writer.client().clone(), namespace);
    let missing = |name: &str| lock(index, |index| index.system_secrets.get(&Key::new(&**namespace, name)).is_none());
    if missing(ENGINE) {
        put_if_made(index, writer.create(&api, &secret(namespace, ENGINE, BTreeMap::new())).await)?;
    }
    if !terms.settings.default_context {
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
    // A context that outlived its Secret, as where the release was uninstalled, gets another.
    let names_it = default.as_ref().is_none_or(|context| {
        context.spec.communities.iter().any(|community| *community.secret_ref.name == *DEFAULT_SECRET)
    });
    if names_it && missing(DEFAULT_SECRET) {
        let Some(community) = random_community() else { return Err(WriteError::Unreachable) };
        let data = [(COMMUNITY.to_owned(), ByteString(community.into_bytes()))].into();
        put_if_made(index, writer.create(&api, &secret(namespace, DEFAULT_SECRET, data)).await)?;
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
        Ok(made) => {
            tracing::info!(context = DEFAULT_CONTEXT, "made the default context");
            lock(index, |index| index.contexts.apply(key(&made), version(&made), crate::watches::slim(made)));
            Ok(())
        }
        Err(error) if error.is_conflict() => Ok(()),
        Err(error) => Err(error),
    }
}

/// 160 bits in letters and digits, as sysadmins can type them.
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
    lock(index, |index| index.system_secrets.apply(key, version, Arc::new(Data::from(secret))));
}

/// One that is there already is as good; the watch tells of it.
fn put_if_made(index: &SharedIndex, made: Result<Secret, WriteError>) -> Result<(), WriteError> {
    match made {
        Ok(secret) => {
            put(index, secret);
            Ok(())
        }
        Err(error) if error.is_conflict() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether the masters' configuration is as it should be.
#[must_use]
pub fn pending(index: &Index, terms: &Terms, desired: &Desired) -> Writes {
    if desired.shards.is_empty() {
        return Writes::default();
    }
    writes(index, terms, &desired.shards).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use master_config::{Listeners, Secret as Text};

    use super::*;
    use crate::{index::Version, plan::Settings};

    fn terms() -> Terms {
        Terms { settings: Settings::default(), listeners: Listeners::default(), read_secrets: true, ca: None }
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

    /// Carries out the writes in the index alone.
    fn carry_out(index: &mut Index, writes: &Writes) {
        for (i, text) in &writes.texts {
            let data =
                Data { data: [(KEY.to_owned(), text.clone().into_bytes())].into(), ours: true, ..Data::default() };
            index.system_secrets.apply(Key::new("snmp-system", shards::secret(*i)), Version::default(), Arc::new(data));
        }
    }

    #[test]
    fn all_shards_are_written_once_and_the_first_last() {
        let (mut index, new) = (Index::default(), documents(&[("acme", "one"), ("globex", "two")]));
        let first = writes(&index, &terms(), &new).unwrap();
        assert_eq!(first.texts.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [7, 6, 5, 4, 3, 2, 1, 0]);
        carry_out(&mut index, &first);
        assert_eq!(writes(&index, &terms(), &new).unwrap(), Writes::default(), "nothing is left to write");
        assert_eq!(index.system_secrets.len(), shards::COUNT);
    }

    #[test]
    fn what_moves_from_a_shard_to_another_is_written_twice_there() {
        let mut index = Index::default();
        let first = writes(&index, &terms(), &documents(&[("acme", "one"), ("globex", "two")])).unwrap();
        carry_out(&mut index, &first);
        let swapped = writes(&index, &terms(), &documents(&[("acme", "two"), ("globex", "one")])).unwrap();
        assert_eq!(swapped.texts.len(), 4);
        assert!(!swapped.texts[0].1.contains("one") && !swapped.texts[0].1.contains("two"), "withdrawn first");
    }

    #[test]
    fn what_was_edited_by_hand_is_written_anew() {
        let (mut index, new) = (Index::default(), documents(&[("acme", "one")]));
        let first = writes(&index, &terms(), &new).unwrap();
        carry_out(&mut index, &first);
        carry_out(&mut index, &Writes { texts: vec![(3, "garbage".to_owned())], foreign: Vec::new() });
        assert_eq!(writes(&index, &terms(), &new).unwrap().texts.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_secret_that_is_not_ours_is_left_alone_and_told() {
        let mut index = Index::default();
        let id = Key::new("snmp-system", shards::secret(shards::shard_of("acme")));
        index.system_secrets.apply(id, Version::default(), Arc::new(Data::default()));
        let writes = writes(&index, &terms(), &documents(&[("acme", "one")])).unwrap();
        assert!(writes.texts.iter().all(|(i, _)| *i != shards::shard_of("acme")));
        assert_eq!(in_place(&writes, &["acme".to_owned()]).unwrap_err().0, "NotOurs");
    }

    #[test]
    fn a_random_community_is_long_and_never_the_same() {
        let (one, two) = (random_community().unwrap(), random_community().unwrap());
        assert_ne!(one, two);
        assert!(one.len() == 32 && one.chars().all(|c| c.is_ascii_alphanumeric()));
    }
}
