//! Watches the Secrets of the document.
//!
//! Changes in quick succession are loaded together. The loaded document stays while the API server is unavailable.

use std::{fmt, time::Duration};

use futures::{
    StreamExt as _,
    stream::{LocalBoxStream, SelectAll},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt as _,
        utils::Backoff,
        watcher::{self, Event, watcher},
    },
};
use master_config::Valid;
use tokio::time::{Instant, sleep_until};

use super::{
    call::explain,
    names::{Names, SHARDS},
    shards::{KEY, Shard, Shards},
};
use crate::observability::role::Trouble;
use crate::observability::status::Status;

/// A burst of changes ends when nothing changes for this long: the operator writes its Secrets one after the other.
const BURST_GAP: Duration = Duration::from_millis(50);
/// Longest time that a change waits for the end of a burst.
const MAX_BURST: Duration = Duration::from_millis(500);
/// Lifetime of a watch in seconds. The client notices a dead watch at most half of this later.
const WATCH_SECONDS: u32 = 60;
/// Watches count as recovered after this long without a failure. A resumed watch sends no event, so its recovery cannot
/// be observed.
const RECOVERY: Duration = Duration::from_secs(15);

type NumberedEvent = (usize, Result<Event<Secret>, watcher::Error>);

/// Watches the Secrets of the document, and joins them.
pub(crate) struct SecretSource {
    shards: Shards,
    events: SelectAll<LocalBoxStream<'static, NumberedEvent>>,
    /// The parts of lists that are still in progress.
    listed: [Option<Shard>; SHARDS],
    /// Time of the first and of the last change that are not loaded yet.
    burst: Option<(Instant, Instant)>,
    /// The time at which the watches count as recovered.
    recovery: Option<Instant>,
    status: Status,
}

impl SecretSource {
    /// Starts to watch the Secrets. Needs a Tokio runtime.
    pub(crate) fn new(client: &Client, names: &Names, status: Status) -> Self {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &names.namespace);
        let watch = |number: usize| {
            let config = watcher::Config::default()
                .fields(&format!("metadata.name={}", names.shard(number)))
                .timeout(WATCH_SECONDS);
            watcher(secrets.clone(), config)
                .backoff(WatchBackoff::default())
                .map(move |event| (number, event))
                .boxed_local()
        };
        Self {
            shards: Shards::new(names.clone()),
            events: (0..SHARDS).map(watch).collect(),
            listed: std::array::from_fn(|_| None),
            burst: None,
            recovery: None,
            status,
        }
    }

    /// Returns the document from `next` once more, even if it has not changed.
    pub(crate) fn reload(&mut self) {
        self.shards.reload();
        self.record_change();
    }

    /// Waits for the next document. Cancel safe.
    ///
    /// # Errors
    /// Returns a message if a Secret is missing or the document is invalid.
    pub(crate) async fn next(&mut self) -> Result<Valid, String> {
        loop {
            let due = self.burst.map(|(first, last)| (first + MAX_BURST).min(last + BURST_GAP));
            tokio::select! {
                () = wait_until(due) => {
                    self.burst = None;
                    if let Some(document) = self.shards.poll() {
                        return document.map_err(|error| error.to_string());
                    }
                }
                () = wait_until(self.recovery) => {
                    self.recovery = None;
                    self.status.trouble(Trouble::Watch, None);
                }
                Some((number, event)) = self.events.next() => self.handle(number, event),
            }
        }
    }

    fn handle(&mut self, number: usize, event: Result<Event<Secret>, watcher::Error>) {
        let Some(listed) = self.listed.get_mut(number) else { return };
        let now = match event {
            Ok(Event::Init) => {
                *listed = Some(Shard::Absent);
                return;
            }
            Ok(Event::InitApply(secret)) => {
                *listed = Some(shard(secret));
                return;
            }
            Ok(Event::InitDone) => listed.take(),
            Ok(Event::Apply(secret)) => Some(shard(secret)),
            Ok(Event::Delete(_)) => Some(Shard::Absent),
            Err(error) => {
                if let Some(reason) = reason(&error) {
                    self.recovery = Some(Instant::now() + RECOVERY);
                    self.status.trouble(Trouble::Watch, Some(reason));
                }
                return;
            }
        };
        if now.is_some_and(|now| self.shards.set(number, now)) {
            self.record_change();
        }
    }

    fn record_change(&mut self) {
        let now = Instant::now();
        self.burst = Some((self.burst.map_or(now, |(first, _)| first), now));
    }
}

/// Waits until `instant`, or forever if there is none.
async fn wait_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn shard(secret: Secret) -> Shard {
    let contents = secret.data.and_then(|mut data| data.remove(KEY));
    contents.map_or(Shard::Empty, |contents| Shard::Document(contents.0))
}

/// Returns why a watch failed. Returns `None` if it only has to start again, because its resourceVersion is too old.
fn reason(error: &watcher::Error) -> Option<String> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Some(explain(error)),
        watcher::Error::WatchError(status) if status.code == 410 => None,
        watcher::Error::WatchError(status) => Some(status.message.clone()),
        watcher::Error::NoResourceVersion => Some("the response of the API server cannot be parsed".to_owned()),
    }
}

/// The backoff of a failing watch: from 250 ms, twice as long each time, up to 4 s.
#[derive(Debug, Default)]
struct WatchBackoff(u32);

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = Duration::from_millis(250 << self.0);
        self.0 = (self.0 + 1).min(4);
        Some(pause)
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretSource").field("shards", &self.shards).finish_non_exhaustive()
    }
}
