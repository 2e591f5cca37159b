//! Where bearers wait for a review: bounded by source and in all, and short for those who were here a moment ago.

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

use crate::{Identity, Rejected, Reviewer, Token, Vouched, source_of};
use daemon::Counter;

/// Reviews at once, in all.
const REVIEWS: usize = 32;
/// Reviews at once for one source.
const REVIEWS_PER_SOURCE: usize = 4;
/// How long a bearer waits for its turn.
const TURN: Duration = Duration::from_secs(3);
/// How long a source's place is taken after a refusal: whoever tries one token after another is slow at it.
const AFTER_REFUSAL: Duration = Duration::from_millis(250);
/// How long an accepted token is taken without another review. A thousand sidecars that come again at once are known.
const REMEMBERED: Duration = Duration::from_secs(10);
/// How many are remembered.
const MAX_REMEMBERED: usize = 8_192;
/// How many sources are kept track of before those with nothing under way are forgotten.
const SOURCES: usize = 1_024;

/// What came of tokens.
#[derive(Debug, Default)]
pub struct Reviews {
    /// Refused for what they say of themselves.
    pub judged: Counter,
    /// Accepted by a review.
    pub accepted: Counter,
    /// Accepted because they were a moment ago.
    pub remembered: Counter,
    /// Refused by a review.
    pub refused: Counter,
    /// Not reviewed because the API server did not answer.
    pub unreachable: Counter,
    /// Not reviewed because too many were waiting.
    pub too_many: Counter,
}

/// Judges tokens, has them reviewed, and remembers those that were accepted.
pub struct Desk {
    reviewer: Box<dyn Reviewer>,
    counts: Arc<Reviews>,
    turns: Semaphore,
    sources: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
    /// By the token's digest: who it is, and until when that is remembered.
    known: Mutex<HashMap<[u8; 32], (Vouched, Instant)>>,
}

impl Desk {
    /// A desk that asks `reviewer`.
    pub fn new(reviewer: Box<dyn Reviewer>, counts: Arc<Reviews>) -> Self {
        Self { reviewer, counts, turns: Semaphore::new(REVIEWS), sources: Mutex::default(), known: Mutex::default() }
    }

    /// Whose `token` is, which came from `source`.
    ///
    /// # Errors
    /// Why its bearer is not let in.
    pub async fn identify(&self, token: &Token, source: IpAddr, now: SystemTime) -> Result<Vouched, Rejected> {
        let expires = token.judge(now).inspect_err(|_| self.counts.judged.increment())?;
        let digest = token.digest();
        if let Some(known) = self.known(&digest) {
            self.counts.remembered.increment();
            return Ok(known);
        }
        let too_many = |rejected| {
            self.counts.too_many.increment();
            rejected
        };
        let of_source = timeout(TURN, self.source(source_of(source)).acquire_owned()).await;
        let Ok(Ok(of_source)) = of_source else { return Err(too_many(Rejected::TooMany)) };
        let Ok(Ok(turn)) = timeout(TURN, self.turns.acquire()).await else {
            return Err(too_many(Rejected::Unavailable));
        };
        // It may have been reviewed meanwhile, for another connection.
        if let Some(known) = self.known(&digest) {
            self.counts.remembered.increment();
            return Ok(known);
        }
        let reviewed = self.reviewer.review(token).await;
        drop(turn);
        let status = reviewed.map_err(|error| {
            self.counts.unreachable.increment();
            tracing::debug!(%error, "a token cannot be judged");
            Rejected::Unavailable
        })?;
        match Identity::of(&status) {
            Ok(identity) => {
                self.counts.accepted.increment();
                let vouched = Vouched { identity: Arc::new(identity), expires };
                self.remember(digest, vouched.clone());
                Ok(vouched)
            }
            Err(rejected) => {
                self.counts.refused.increment();
                tokio::spawn(async move {
                    sleep(AFTER_REFUSAL).await;
                    drop(of_source);
                });
                Err(rejected)
            }
        }
    }

    fn source(&self, source: IpAddr) -> Arc<Semaphore> {
        let mut sources = lock(&self.sources);
        if sources.len() >= SOURCES {
            sources.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        Arc::clone(sources.entry(source).or_insert_with(|| Arc::new(Semaphore::new(REVIEWS_PER_SOURCE))))
    }

    fn known(&self, digest: &[u8; 32]) -> Option<Vouched> {
        lock(&self.known).get(digest).filter(|(_, until)| *until > Instant::now()).map(|(vouched, _)| vouched.clone())
    }

    fn remember(&self, digest: [u8; 32], vouched: Vouched) {
        let now = Instant::now();
        let mut known = lock(&self.known);
        if known.len() >= MAX_REMEMBERED {
            known.retain(|_, (_, until)| *until > now);
        }
        if known.len() < MAX_REMEMBERED {
            known.insert(digest, (vouched, now + REMEMBERED));
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
    use crate::{AUDIENCE, Unreachable};

    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Knows the tokens whose signature is `good`, takes a second for each, and is unreachable for `lost`.
    #[derive(Default)]
    struct Fake {
        now: AtomicUsize,
        most: AtomicUsize,
        all: AtomicUsize,
    }

    impl Reviewer for Arc<Fake> {
        fn review<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<TokenReviewStatus, Unreachable>> {
            async move {
                self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                self.all.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_secs(1)).await;
                self.now.fetch_sub(1, Ordering::SeqCst);
                let signature =
                    token.expose().rsplit('.').next().and_then(|part| BASE64URL_NOPAD.decode(part.as_bytes()).ok());
                match signature.as_deref() {
                    Some(b"lost") => Err(Unreachable("gone".to_owned())),
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

    fn desk() -> (Arc<Fake>, Arc<Desk>) {
        let fake = Arc::new(Fake::default());
        (Arc::clone(&fake), Arc::new(Desk::new(Box::new(fake), Arc::default())))
    }

    #[tokio::test(start_paused = true)]
    async fn an_accepted_token_is_reviewed_once_and_again_when_it_is_no_longer_remembered() {
        let (fake, desk) = desk();
        for _ in 0..3 {
            let vouched = desk.identify(&token(1, "good"), SOURCE, SystemTime::now()).await.unwrap();
            assert_eq!(&*vouched.identity.namespace, "acme");
        }
        assert_eq!(fake.all.load(Ordering::SeqCst), 1);
        sleep(REMEMBERED).await;
        desk.identify(&token(1, "good"), SOURCE, SystemTime::now()).await.unwrap();
        assert_eq!((fake.all.load(Ordering::SeqCst), desk.counts.remembered.get()), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_token_is_not_remembered() {
        let (fake, desk) = desk();
        for _ in 0..3 {
            assert_eq!(desk.identify(&token(1, "bad"), SOURCE, SystemTime::now()).await, Err(Rejected::Refused));
        }
        assert_eq!((fake.all.load(Ordering::SeqCst), lock(&desk.known).len()), (3, 0));
        assert_eq!(desk.identify(&token(1, "lost"), SOURCE, SystemTime::now()).await, Err(Rejected::Unavailable));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_token_for_us_costs_no_review() {
        let (fake, desk) = desk();
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
        assert_eq!(desk.identify(&token(1, "good"), SOURCE, late).await, Err(Rejected::Expired));
        assert_eq!((fake.all.load(Ordering::SeqCst), desk.counts.judged.get()), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn reviews_are_bounded_by_source_and_in_all() {
        let (fake, desk) = desk();
        let flood = (0..200).map(|number| {
            let desk = Arc::clone(&desk);
            tokio::spawn(async move { desk.identify(&token(number, "bad"), SOURCE, SystemTime::now()).await })
        });
        let flood: Vec<_> = flood.collect();
        sleep(Duration::from_millis(1)).await;
        let other = IpAddr::from([10, 0, 0, 1]);
        assert!(desk.identify(&token(999, "good"), other, SystemTime::now()).await.is_ok(), "it is not held up");
        let mut outcomes = Vec::new();
        for one in flood {
            outcomes.push(one.await.unwrap().unwrap_err());
        }
        assert!(outcomes.contains(&Rejected::TooMany) && outcomes.contains(&Rejected::Refused));
        assert_eq!(fake.most.load(Ordering::SeqCst), REVIEWS_PER_SOURCE + 1);

        let many = (0..200_u8).map(|number| {
            let desk = Arc::clone(&desk);
            let source = IpAddr::from([10, 1, 0, number]);
            tokio::spawn(async move {
                desk.identify(&token(1000 + usize::from(number), "good"), source, SystemTime::now()).await
            })
        });
        for one in many.collect::<Vec<_>>() {
            // Some may have waited too long, none forever.
            let outcome = one.await.unwrap();
            assert!(matches!(outcome, Ok(_) | Err(Rejected::Unavailable)), "{outcome:?}");
        }
        assert_eq!(fake.most.load(Ordering::SeqCst), REVIEWS);
    }
}
