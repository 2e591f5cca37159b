//! Token reviews with limits: on concurrent reviews per source and in total, with a short cache for accepted tokens.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};

use crate::{Identity, Reviewer, Token, TokenError, VerifiedToken, source_of};
use daemon::Counter;

/// Concurrent reviews in total.
const REVIEWS: usize = 32;
/// Concurrent reviews of tokens from one source.
const REVIEWS_PER_SOURCE: usize = 4;
/// The longest time that a token waits for its review to start.
const WAIT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a refused token still counts as a review of its source, which slows down a client that tries many tokens.
const REFUSAL_DELAY: Duration = Duration::from_millis(250);
/// How long an accepted token is cached, so that a thousand sidecars that reconnect at once need few reviews.
const CACHE_DURATION: Duration = Duration::from_secs(10);
/// How many accepted tokens are cached.
const MAX_CACHED: usize = 8_192;
/// How many sources are tracked before those without a review are removed.
const MAX_SOURCES: usize = 1_024;

/// Counts what happened to tokens.
#[derive(Debug, Default)]
pub struct ReviewCounts {
    /// Refused because of their form or claims.
    pub invalid: Counter,
    /// Accepted by a review.
    pub accepted: Counter,
    /// Accepted from the cache.
    pub cached: Counter,
    /// Refused by a review.
    pub refused: Counter,
    /// Not reviewed because the API server did not respond.
    pub unreachable: Counter,
    /// Not reviewed because too many were waiting.
    pub too_many: Counter,
}

/// Checks the claims of tokens, reviews tokens within limits, and caches accepted tokens.
pub struct TokenReviews {
    reviewer: Box<dyn Reviewer>,
    counts: Arc<ReviewCounts>,
    permits: Semaphore,
    sources: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
    /// Accepted tokens by their digest, and until when each is cached.
    cache: Mutex<HashMap<[u8; 32], (VerifiedToken, Instant)>>,
}

impl TokenReviews {
    /// Returns an instance that uses `reviewer` and counts in `counts`.
    pub fn new(reviewer: Box<dyn Reviewer>, counts: Arc<ReviewCounts>) -> Self {
        Self { reviewer, counts, permits: Semaphore::new(REVIEWS), sources: Mutex::default(), cache: Mutex::default() }
    }

    /// Identifies the owner of `token`, which came from `source`.
    ///
    /// # Errors
    /// Returns an error if the token is not accepted or cannot be reviewed.
    pub async fn identify(&self, token: &Token, source: IpAddr, now: SystemTime) -> Result<VerifiedToken, TokenError> {
        let expires = token.check_claims(now).inspect_err(|_| self.counts.invalid.increment())?;
        let digest = token.digest();
        if let Some(cached) = self.cached(&digest) {
            self.counts.cached.increment();
            return Ok(cached);
        }
        let too_many = |error| {
            self.counts.too_many.increment();
            error
        };
        let source_permit = timeout(WAIT_TIMEOUT, self.source(source_of(source)).acquire_owned()).await;
        let Ok(Ok(source_permit)) = source_permit else { return Err(too_many(TokenError::TooMany)) };
        let Ok(Ok(permit)) = timeout(WAIT_TIMEOUT, self.permits.acquire()).await else {
            return Err(too_many(TokenError::Unavailable));
        };
        // The token may have been reviewed for another connection while this one waited.
        if let Some(cached) = self.cached(&digest) {
            self.counts.cached.increment();
            return Ok(cached);
        }
        let reviewed = self.reviewer.review(token).await;
        drop(permit);
        let status = reviewed.map_err(|error| {
            self.counts.unreachable.increment();
            tracing::debug!(%error, "failed to review a token");
            TokenError::Unavailable
        })?;
        match Identity::of(&status) {
            Ok(identity) => {
                self.counts.accepted.increment();
                let verified = VerifiedToken { identity: Arc::new(identity), expires };
                self.cache(digest, verified.clone());
                Ok(verified)
            }
            Err(error) => {
                self.counts.refused.increment();
                tokio::spawn(async move {
                    sleep(REFUSAL_DELAY).await;
                    drop(source_permit);
                });
                Err(error)
            }
        }
    }

    fn source(&self, source: IpAddr) -> Arc<Semaphore> {
        let mut sources = lock(&self.sources);
        if sources.len() >= MAX_SOURCES {
            sources.retain(|_, permits| Arc::strong_count(permits) > 1);
        }
        Arc::clone(sources.entry(source).or_insert_with(|| Arc::new(Semaphore::new(REVIEWS_PER_SOURCE))))
    }

    fn cached(&self, digest: &[u8; 32]) -> Option<VerifiedToken> {
        let cache = lock(&self.cache);
        cache.get(digest).filter(|(_, until)| *until > Instant::now()).map(|(verified, _)| verified.clone())
    }

    fn cache(&self, digest: [u8; 32], verified: VerifiedToken) {
        let now = Instant::now();
        let mut cache = lock(&self.cache);
        if cache.len() >= MAX_CACHED {
            cache.retain(|_, (_, until)| *until > now);
        }
        if cache.len() < MAX_CACHED {
            cache.insert(digest, (verified, now + CACHE_DURATION));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use data_encoding::BASE64URL_NOPAD;
    use futures::{FutureExt, future::BoxFuture};
    use k8s_openapi::api::authentication::v1::TokenReviewStatus;
    use serde_json::json;

    use super::*;
    use crate::{AUDIENCE, ReviewError};

    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Accepts tokens with the signature `good`, takes a second for each, and fails for the signature `lost`.
    #[derive(Default)]
    struct Fake {
        now: AtomicUsize,
        most: AtomicUsize,
        all: AtomicUsize,
    }

    impl Reviewer for Arc<Fake> {
        fn review<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<TokenReviewStatus, ReviewError>> {
            async move {
                self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                self.all.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_secs(1)).await;
                self.now.fetch_sub(1, Ordering::SeqCst);
                let signature =
                    token.expose().rsplit('.').next().and_then(|part| BASE64URL_NOPAD.decode(part.as_bytes()).ok());
                match signature.as_deref() {
                    Some(b"lost") => Err(ReviewError("gone".to_owned())),
                    signature => Ok(serde_json::from_value(json!({
                        "authenticated": signature == Some(b"good"),
                        "audiences": [AUDIENCE],
                        "user": {"username": "system:serviceaccount:acme:web"},
                    }))
                    .unwrap()),
                }
            }
            .boxed()
        }
    }

    fn token(number: usize, signature: &str) -> Token {
        let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let claims = json!({"aud": AUDIENCE, "exp": 4_000_000_000_u64, "jti": number}).to_string();
        Token::from_header(format!("Bearer {}.{}.{}", part("{}"), part(&claims), part(signature)).as_bytes()).unwrap()
    }

    fn reviews() -> (Arc<Fake>, Arc<TokenReviews>) {
        let fake = Arc::new(Fake::default());
        (Arc::clone(&fake), Arc::new(TokenReviews::new(Box::new(fake), Arc::default())))
    }

    #[tokio::test(start_paused = true)]
    async fn an_accepted_token_is_reviewed_once_and_again_when_the_cache_has_expired() {
        let (fake, reviews) = reviews();
        for _ in 0..3 {
            let verified = reviews.identify(&token(1, "good"), SOURCE, SystemTime::now()).await.unwrap();
            assert_eq!(&*verified.identity.namespace, "acme");
        }
        assert_eq!(fake.all.load(Ordering::SeqCst), 1);
        sleep(CACHE_DURATION).await;
        reviews.identify(&token(1, "good"), SOURCE, SystemTime::now()).await.unwrap();
        assert_eq!((fake.all.load(Ordering::SeqCst), reviews.counts.cached.get()), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_token_is_not_cached() {
        let (fake, reviews) = reviews();
        for _ in 0..3 {
            assert_eq!(reviews.identify(&token(1, "bad"), SOURCE, SystemTime::now()).await, Err(TokenError::Refused));
        }
        assert_eq!((fake.all.load(Ordering::SeqCst), lock(&reviews.cache).len()), (3, 0));
        assert_eq!(reviews.identify(&token(1, "lost"), SOURCE, SystemTime::now()).await, Err(TokenError::Unavailable));
    }

    #[tokio::test(start_paused = true)]
    async fn an_invalid_token_costs_no_review() {
        let (fake, reviews) = reviews();
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
        assert_eq!(reviews.identify(&token(1, "good"), SOURCE, late).await, Err(TokenError::Expired));
        assert_eq!((fake.all.load(Ordering::SeqCst), reviews.counts.invalid.get()), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn reviews_are_limited_per_source_and_in_total() {
        let (fake, reviews) = reviews();
        let flood = (0..200).map(|number| {
            let reviews = Arc::clone(&reviews);
            tokio::spawn(async move { reviews.identify(&token(number, "bad"), SOURCE, SystemTime::now()).await })
        });
        let flood: Vec<_> = flood.collect();
        sleep(Duration::from_millis(1)).await;
        let other = IpAddr::from([10, 0, 0, 1]);
        assert!(
            reviews.identify(&token(999, "good"), other, SystemTime::now()).await.is_ok(),
            "another source is not delayed"
        );
        let mut outcomes = Vec::new();
        for one in flood {
            outcomes.push(one.await.unwrap().unwrap_err());
        }
        assert!(outcomes.contains(&TokenError::TooMany) && outcomes.contains(&TokenError::Refused));
        assert_eq!(fake.most.load(Ordering::SeqCst), REVIEWS_PER_SOURCE + 1);

        let many = (0..200_u8).map(|number| {
            let reviews = Arc::clone(&reviews);
            let source = IpAddr::from([10, 1, 0, number]);
            tokio::spawn(async move {
                reviews.identify(&token(1000 + usize::from(number), "good"), source, SystemTime::now()).await
            })
        });
        for one in many.collect::<Vec<_>>() {
            // Some tokens may have exceeded the wait timeout.
            let outcome = one.await.unwrap();
            assert!(matches!(outcome, Ok(_) | Err(TokenError::Unavailable)), "{outcome:?}");
        }
        assert_eq!(fake.most.load(Ordering::SeqCst), REVIEWS);
    }
}
