//! Requests that are being answered.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use super::exchange::{Exchange, RequestKey};
use crate::pdu::Token;

/// The reason why a request is not added to the pending requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PendingError {
    /// The same request is already being answered.
    Duplicate,
    /// As many requests as allowed are being answered.
    OverLimit,
}

/// The requests that are being answered, by token.
#[derive(Debug, Default)]
pub(crate) struct PendingRequests {
    requests: HashMap<Token, PendingRequest>,
    keys: HashSet<RequestKey>,
    last_token: u64,
    last_sweep: Option<Instant>,
}

#[derive(Debug)]
struct PendingRequest {
    exchange: Exchange,
    key: RequestKey,
    began: Instant,
}

impl PendingRequests {
    /// The longest time that a request can take. A subagent has at most 255 s to answer, and a request is sent to only
    /// a few subagents in turn.
    pub(crate) const MAX_AGE: Duration = Duration::from_hours(1);
    /// The minimum time between two sweeps.
    const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

    /// Creates an empty set whose tokens begin after `last_token`. The dispatcher may still answer requests of a
    /// previous engine, so their tokens must not be used again.
    pub(crate) fn after(last_token: Token) -> Self {
        Self { last_token: last_token.0, ..Self::default() }
    }

    /// Returns the token of the last request.
    pub(crate) fn last_token(&self) -> Token {
        Token(self.last_token)
    }

    /// Adds a request and returns its token.
    ///
    /// # Errors
    /// Returns an error if the same request is already being answered, or if `limit` requests are.
    pub(crate) fn begin(
        &mut self,
        key: RequestKey,
        exchange: Exchange,
        limit: usize,
        now: Instant,
    ) -> Result<Token, PendingError> {
        if self.keys.contains(&key) {
            return Err(PendingError::Duplicate);
        }
        if self.requests.len() >= limit {
            self.sweep(now);
        }
        if self.requests.len() >= limit {
            return Err(PendingError::OverLimit);
        }
        self.last_token += 1;
        let token = Token(self.last_token);
        self.keys.insert(key);
        self.requests.insert(token, PendingRequest { exchange, key, began: now });
        Ok(token)
    }

    /// Removes a request. Returns what is needed to encode its response, and when it arrived.
    pub(crate) fn end(&mut self, token: Token) -> Option<(Exchange, Instant)> {
        let request = self.requests.remove(&token)?;
        self.keys.remove(&request.key);
        Some((request.exchange, request.began))
    }

    /// Returns the number of pending requests.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Removes requests that are older than [`Self::MAX_AGE`]. The dispatcher answers every request; this protects the
    /// engine from filling up if that is ever violated.
    fn sweep(&mut self, now: Instant) {
        if self.last_sweep.is_some_and(|last| now.saturating_duration_since(last) < Self::SWEEP_INTERVAL) {
            return;
        }
        self.last_sweep = Some(now);
        let Self { requests, keys, .. } = self;
        requests.retain(|token, request| {
            let keep = now.saturating_duration_since(request.began) < Self::MAX_AGE;
            if !keep {
                keys.remove(&request.key);
                tracing::error!(token = token.0, "the dispatcher never answered a request; removing it");
            }
            keep
        });
    }
}
