//! Joins the parts of the document, and validates the whole when a part changes.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

use master_config::{Document, ParseError, Valid};

use super::names::{Names, SHARDS};

/// The key in each Secret that holds its part of the document.
pub(crate) const KEY: &str = "master.json";

/// The state of a Secret.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(crate) enum Shard {
    /// The Secret was not read yet.
    #[default]
    Unknown,
    /// The Secret does not exist.
    Absent,
    /// The Secret has no key for the document.
    Empty,
    /// The contents of the key.
    Document(Vec<u8>),
}

/// Why there is no valid document. The messages never contain values of a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShardError {
    /// The first Secret, which has the listeners and limits, does not exist.
    #[error("the Secret {secret} does not exist")]
    FirstMissing {
        /// Namespace and name.
        secret: String,
    },
    /// A Secret has no key for the document.
    #[error("the Secret {secret} has no {KEY}")]
    Empty {
        /// Namespace and name.
        secret: String,
    },
    /// A part of the document cannot be parsed.
    #[error("the Secret {secret}, {KEY}: {error}")]
    Unparsable {
        /// Namespace and name.
        secret: String,
        /// What is wrong.
        error: ParseError,
    },
    /// The joined document is invalid.
    #[error("the Secrets {first} to {last}, joined: {error}")]
    Invalid {
        /// Namespace and name of the first Secret.
        first: String,
        /// Name of the last Secret that exists.
        last: String,
        /// What is wrong.
        error: ParseError,
    },
}

/// All parts of the document.
pub(crate) struct Shards {
    names: Names,
    parts: [Shard; SHARDS],
    /// The fingerprint of the parts that were returned last.
    reported: Option<u64>,
}

impl Shards {
    pub(crate) fn new(names: Names) -> Self {
        Self { names, parts: std::array::from_fn(|_| Shard::Unknown), reported: None }
    }

    /// Sets a part. Returns whether it changed.
    pub(crate) fn set(&mut self, number: usize, now: Shard) -> bool {
        let Some(shard) = self.parts.get_mut(number) else { return false };
        let is_change = *shard != now;
        *shard = now;
        is_change
    }

    /// Makes the next `poll` return the document even if nothing changed.
    pub(crate) fn reload(&mut self) {
        self.reported = None;
    }

    /// Returns the joined document, or why it is invalid. Returns `None` if nothing changed since the last call, or
    /// while not all Secrets have been read.
    pub(crate) fn poll(&mut self) -> Option<Result<Valid, ShardError>> {
        if self.parts.contains(&Shard::Unknown) {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        self.parts.hash(&mut hasher);
        let fingerprint = hasher.finish();
        if self.reported == Some(fingerprint) {
            return None;
        }
        self.reported = Some(fingerprint);
        Some(self.join())
    }

    fn join(&self) -> Result<Valid, ShardError> {
        let full = |number| self.names.full(&self.names.shard(number));
        let mut documents: Vec<Document> = Vec::new();
        let mut last = 0;
        for (number, shard) in self.parts.iter().enumerate() {
            match shard {
                Shard::Unknown | Shard::Absent if number == 0 => {
                    return Err(ShardError::FirstMissing { secret: full(0) });
                }
                Shard::Unknown | Shard::Absent => {}
                Shard::Empty => return Err(ShardError::Empty { secret: full(number) }),
                Shard::Document(contents) => {
                    let unparsable = |error| ShardError::Unparsable { secret: full(number), error };
                    documents.push(master_config::read(contents).map_err(unparsable)?);
                    last = number;
                }
            }
        }
        let mut documents = documents.into_iter();
        let first = documents.next().ok_or_else(|| ShardError::FirstMissing { secret: full(0) })?;
        first.join(documents).validate().map_err(|violations| ShardError::Invalid {
            first: full(0),
            last: self.names.shard(last),
            error: ParseError::Invalid(violations),
        })
    }
}

impl fmt::Debug for Shards {
    /// Shows which Secrets exist, but not their contents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let present = self.parts.iter().enumerate().filter(|(_, shard)| matches!(shard, Shard::Document(_)));
        f.debug_struct("Shards")
            .field("names", &self.names)
            .field("present", &present.map(|(number, _)| number).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(context: &str) -> Shard {
        let json = serde_json::json!({
            "version": 1,
            "contexts": [{"name": context, "communities": [{"community": format!("hidden-{context}")}]}],
        });
        Shard::Document(json.to_string().into_bytes())
    }

    fn absent() -> Shards {
        let mut shards = Shards::new("snmp/m".parse().unwrap());
        for number in 0..SHARDS {
            assert!(shards.set(number, Shard::Absent));
        }
        shards
    }

    fn contexts(polled: Option<Result<Valid, ShardError>>) -> Vec<String> {
        let valid = polled.expect("a document is due").expect("it is valid");
        valid.contexts.iter().map(|context| context.name.clone()).collect()
    }

    #[test]
    fn nothing_is_returned_before_all_secrets_were_read() {
        let mut shards = Shards::new("snmp/m".parse().unwrap());
        for number in 0..SHARDS {
            assert!(shards.poll().is_none());
            shards.set(number, if number == 0 { document("acme") } else { Shard::Absent });
        }
        assert_eq!(contexts(shards.poll()), ["acme"]);
    }

    #[test]
    fn parts_are_joined_in_order_despite_gaps() {
        let mut shards = absent();
        for (number, context) in [(7, "h"), (0, "a"), (2, "c")] {
            shards.set(number, document(context));
        }
        assert_eq!(contexts(shards.poll()), ["a", "c", "h"]);
    }

    #[test]
    fn without_the_first_secret_nothing_is_loaded() {
        let mut shards = absent();
        shards.set(1, document("b"));
        let error = shards.poll().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the Secret snmp/m-0 does not exist");
    }

    #[test]
    fn a_document_is_returned_once_unless_reloaded() {
        let mut shards = absent();
        shards.set(0, document("a"));
        assert!(shards.poll().is_some());
        assert!(!shards.set(0, document("a")), "the contents are the same");
        assert!(shards.poll().is_none());
        shards.reload();
        assert!(shards.poll().is_some());
        shards.set(1, Shard::Empty);
        assert!(matches!(shards.poll(), Some(Err(ShardError::Empty { .. }))));
        assert!(shards.poll().is_none());
        shards.set(1, Shard::Absent);
        assert_eq!(contexts(shards.poll()), ["a"]);
    }

    #[test]
    fn errors_name_the_secret_but_no_contents() {
        let mut shards = absent();
        shards.set(0, document("a"));
        let broken = br#"{"version": 1, "contexts": [{"name": "b", "communities": "hidden-b"}]}"#;
        shards.set(3, Shard::Document(broken.to_vec()));
        let error = shards.poll().unwrap().unwrap_err().to_string();
        assert!(error.starts_with("the Secret snmp/m-3, master.json: line 1"), "{error}");
        assert!(error.contains("communities"), "{error}");
        shards.set(3, document("a"));
        let duplicate = shards.poll().unwrap().unwrap_err().to_string();
        assert!(duplicate.starts_with("the Secrets snmp/m-0 to m-3, joined: "), "{duplicate}");
        for text in [error, duplicate, format!("{shards:?}")] {
            assert!(!text.contains("hidden"), "{text}");
        }
    }

    #[test]
    fn rules_apply_to_the_joined_document() {
        let mut shards = absent();
        let of = |json: serde_json::Value| Shard::Document(json.to_string().into_bytes());
        shards.set(0, of(serde_json::json!({"version": 1, "users": [{"name": "noc"}]})));
        let reached = serde_json::json!({"name": "noc", "securityLevel": "NoAuthNoPriv"});
        let context = serde_json::json!({"name": "acme", "users": [reached]});
        shards.set(1, of(serde_json::json!({"version": 1, "contexts": [context]})));
        assert_eq!(contexts(shards.poll()), ["acme"]);
    }
}
