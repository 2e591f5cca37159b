//! Requests that are being answered.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use super::{engine::Source, exchange::Exchange, message::Version};
use crate::dispatch::Token;

/// What makes two requests the same one: a repeat is not asked again while the first is being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) from: Source,
    pub(crate) version: Version,
    /// A hash of the community or user, so that nobody keeps another's request from being asked.
    pub(crate) asker: u64,
    /// request-id, or msgID in SNMPv3: there, a repeat may have another msgID, and then waits for its own answer.
    pub(crate) id: i32,
}

/// Why a request is not taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is being answered already.
    Duplicate,
    /// There are too many.
    OverLimit,
}

/// Requests that are being answered, by token.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    exchanges: HashMap<Token, Entry>,
    identities: HashSet<Identity>,
    last: u64,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    exchange: Exchange,
    identity: Identity,
    began: Instant,
}

impl Pending {
    /// Longer than any answer takes: each subagent has 255 s at most, and a request goes to a few of them in turn.
    pub(crate) const LONGEST: Duration = Duration::from_hours(1);
    /// How often it is looked for what took longer, at most.
    const SWEEPS: Duration = Duration::from_secs(10);

    /// Of an engine after another one, whose requests may still be answered: their tokens are not given again.
    pub(crate) fn after(last: Token) -> Self {
        Self { last: last.0, ..Self::default() }
    }

    /// The last token given.
    pub(crate) fn last(&self) -> Token {
        Token(self.last)
    }

    /// Takes a request on, if there are fewer than `limit`.
    pub(crate) fn begin(
        &mut self,
        identity: Identity,
        exchange: Exchange,
        limit: usize,
        now: Instant,
    ) -> Result<Token, Refused> {
        if self.identities.contains(&identity) {
            return Err(Refused::Duplicate);
        }
        if self.exchanges.len() >= limit {
            self.sweep(now);
        }
        if self.exchanges.len() >= limit {
            return Err(Refused::OverLimit);
        }
        self.last += 1;
        let token = Token(self.last);
        self.identities.insert(identity);
        self.exchanges.insert(token, Entry { exchange, identity, began: now });
        Ok(token)
    }

    /// Ends a request: what is needed to answer it, and when it came. `None` if there is none of that token.
    pub(crate) fn end(&mut self, token: Token) -> Option<(Exchange, Instant)> {
        let entry = self.exchanges.remove(&token)?;
        self.identities.remove(&entry.identity);
        Some((entry.exchange, entry.began))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.exchanges.len()
    }

    /// Gives up those that can have no answer any more. Each has one by contract; were it not so, this keeps the engine
    /// from filling up.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < Self::SWEEPS) {
            return;
        }
        self.swept = Some(now);
        let Self { exchanges, identities, .. } = self;
        exchanges.retain(|_, entry| {
            let keep = now.saturating_duration_since(entry.began) < Self::LONGEST;
            if !keep {
                identities.remove(&entry.identity);
                tracing::error!("a request was never answered");
            }
            keep
        });
    }
}
