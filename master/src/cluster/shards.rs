//! The parts of the document, joined: told when they say something else, and checked as a whole.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

use master_config::{Document, ParseError, Valid};

use super::names::{Names, SHARDS};

/// The key of a Secret that a part of the document is in.
pub(crate) const KEY: &str = "master.json";

/// A Secret, as far as it matters.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(crate) enum Shard {
    /// It was not looked for yet.
    #[default]
    Unknown,
    /// There is none.
    Absent,
    /// It has no document.
    Empty,
    /// It has one.
    Document(Vec<u8>),
}

/// Why there is no document that can be used. Never tells what is in one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShardFault {
    /// Nothing is loaded without the first one, which has listeners and limits.
    #[error("the Secret {secret} is not there")]
    FirstIsMissing {
        /// Namespace and name.
        secret: String,
    },
    /// A Secret without a document.
    #[error("the Secret {secret} has no {KEY}")]
    Empty {
        /// Namespace and name.
        secret: String,
    },
    /// A document that cannot be read.
    #[error("the Secret {secret}, {KEY}: {error}")]
    Unreadable {
        /// Namespace and name.
        secret: String,
        /// What is wrong with it.
        error: ParseError,
    },
    /// They do not go together, or hold what cannot be.
    #[error("the Secrets {first} to {last}, joined: {error}")]
    Invalid {
        /// Namespace and name.
        first: String,
        /// The last one that is there.
        last: String,
        /// What is wrong.
        error: ParseError,
    },
}

/// All parts, and what was last told of them.
pub(crate) struct Shards {
    names: Names,
    parts: [Shard; SHARDS],
    told: Option<u64>,
}

impl Shards {
    pub(crate) fn new(names: Names) -> Self {
        Self { names, parts: std::array::from_fn(|_| Shard::Unknown), told: None }
    }

    /// Notes what a part is now. Whether it was something else before.
    pub(crate) fn set(&mut self, number: usize, now: Shard) -> bool {
        let Some(shard) = self.parts.get_mut(number) else { return false };
        let is_change = *shard != now;
        *shard = now;
        is_change
    }

    /// Tells it again, though nothing has changed.
    pub(crate) fn tell_again(&mut self) {
        self.told = None;
    }

    /// The document that they are together, or what is wrong with it; each is told once. Nothing until all were looked
    /// for.
    pub(crate) fn poll(&mut self) -> Option<Result<Valid, ShardFault>> {
        if self.parts.contains(&Shard::Unknown) {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        self.parts.hash(&mut hasher);
        let fingerprint = hasher.finish();
        if self.told == Some(fingerprint) {
            return None;
        }
        self.told = Some(fingerprint);
        Some(self.join())
    }

    fn join(&self) -> Result<Valid, ShardFault> {
        let full = |number| self.names.full(&self.names.shard(number));
        let mut documents: Vec<Document> = Vec::new();
        let mut last = 0;
        for (number, shard) in self.parts.iter().enumerate() {
            match shard {
                Shard::Unknown | Shard::Absent if number == 0 => {
                    return Err(ShardFault::FirstIsMissing { secret: full(0) });
                }
                Shard::Unknown | Shard::Absent => {}
                Shard::Empty => return Err(ShardFault::Empty { secret: full(number) }),
                Shard::Document(contents) => {
                    let unreadable = |error| ShardFault::Unreadable { secret: full(number), error };
                    documents.push(master_config::read(contents).map_err(unreadable)?);
                    last = number;
                }
            }
        }
        let mut documents = documents.into_iter();
        let first = documents.next().ok_or_else(|| ShardFault::FirstIsMissing { secret: full(0) })?;
        first.join(documents).validate().map_err(|violations| ShardFault::Invalid {
            first: full(0),
            last: self.names.shard(last),
            error: ParseError::Invalid(violations),
        })
    }
}

impl fmt::Debug for Shards {
    /// Which there are; nothing of what is in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = self.parts.iter().enumerate().filter(|(_, shard)| matches!(shard, Shard::Document(_)));
        f.debug_struct("Shards")
            .field("names", &self.names)
            .field("there", &there.map(|(number, _)| number).collect::<Vec<_>>())
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

    fn looked_for() -> Shards {
        let mut shards = Shards::new("snmp/m".parse().unwrap());
        for number in 0..SHARDS {
            assert!(shards.set(number, Shard::Absent));
        }
        shards
    }

    fn contexts(told: Option<Result<Valid, ShardFault>>) -> Vec<String> {
        let valid = told.expect("something is told").expect("it can be used");
        valid.contexts.iter().map(|context| context.name.clone()).collect()
    }

    #[test]
    fn nothing_is_told_until_all_were_looked_for() {
        let mut shards = Shards::new("snmp/m".parse().unwrap());
        for number in 0..SHARDS {
            assert!(shards.poll().is_none());
            shards.set(number, if number == 0 { document("acme") } else { Shard::Absent });
        }
        assert_eq!(contexts(shards.poll()), ["acme"]);
    }

    #[test]
    fn they_are_joined_in_the_order_of_their_numbers_whatever_is_missing_between() {
        let mut shards = looked_for();
        for (number, context) in [(7, "h"), (0, "a"), (2, "c")] {
            shards.set(number, document(context));
        }
        assert_eq!(contexts(shards.poll()), ["a", "c", "h"]);
    }

    #[test]
    fn without_the_first_nothing_is_loaded() {
        let mut shards = looked_for();
        shards.set(1, document("b"));
        let fault = shards.poll().unwrap().unwrap_err();
        assert_eq!(fault.to_string(), "the Secret snmp/m-0 is not there");
    }

    #[test]
    fn what_was_told_is_not_told_again_unless_asked_for() {
        let mut shards = looked_for();
        shards.set(0, document("a"));
        assert!(shards.poll().is_some());
        assert!(!shards.set(0, document("a")), "it says what it said");
        assert!(shards.poll().is_none());
        shards.tell_again();
        assert!(shards.poll().is_some());
        shards.set(1, Shard::Empty);
        assert!(matches!(shards.poll(), Some(Err(ShardFault::Empty { .. }))));
        assert!(shards.poll().is_none());
        shards.set(1, Shard::Absent);
        assert_eq!(contexts(shards.poll()), ["a"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_secret_and_without_what_is_in_it() {
        let mut shards = looked_for();
        shards.set(0, document("a"));
        let broken = br#"{"version": 1, "contexts": [{"name": "b", "communities": "hidden-b"}]}"#;
        shards.set(3, Shard::Document(broken.to_vec()));
        let fault = shards.poll().unwrap().unwrap_err().to_string();
        assert!(fault.starts_with("the Secret snmp/m-3, master.json: line 1"), "{fault}");
        assert!(fault.contains("communities"), "{fault}");
        shards.set(3, document("a"));
        let twice = shards.poll().unwrap().unwrap_err().to_string();
        assert!(twice.starts_with("the Secrets snmp/m-0 to m-3, joined: "), "{twice}");
        for said in [fault, twice, format!("{shards:?}")] {
            assert!(!said.contains("hidden"), "{said}");
        }
    }

    #[test]
    fn rules_hold_for_the_whole_and_not_for_a_part() {
        let mut shards = looked_for();
        let of = |json: serde_json::Value| Shard::Document(json.to_string().into_bytes());
        shards.set(0, of(serde_json::json!({"version": 1, "users": [{"name": "noc"}]})));
        let reached = serde_json::json!({"name": "noc", "securityLevel": "NoAuthNoPriv"});
        let context = serde_json::json!({"name": "acme", "users": [reached]});
        shards.set(1, of(serde_json::json!({"version": 1, "contexts": [context]})));
        assert_eq!(contexts(shards.poll()), ["acme"]);
    }
}
