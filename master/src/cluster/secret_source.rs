//! The document from Secrets, watched. What comes in a burst is one change, and what was loaded stays while the API
//! server is gone.

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
use crate::role::Trouble;
use crate::status::Status;

/// How long nothing may change until a burst is over: the operator writes its Secrets one after the other.
const QUIET: Duration = Duration::from_millis(50);
/// The longest that a change waits for the end of a burst.
const LONGEST: Duration = Duration::from_millis(500);
/// How long the API server keeps a watch, in seconds: one that is dead unnoticed lasts no longer than half of it more.
const WATCH: u32 = 60;
/// Without a failure for so long, watches are well again: one that goes on where it was has nothing to say.
const WELL: Duration = Duration::from_secs(15);

type Watched = (usize, Result<Event<Secret>, watcher::Error>);

/// The Secrets of the document.
pub struct SecretSource {
    shards: Shards,
    events: SelectAll<LocalBoxStream<'static, Watched>>,
    /// What a list has brought of each part so far.
    listed: [Option<Shard>; SHARDS],
    /// When the first and the last change came that were not told yet.
    burst: Option<(Instant, Instant)>,
    /// When watches are well again.
    well: Option<Instant>,
    status: Status,
}

impl SecretSource {
    /// Watches them. Runs inside a runtime.
    #[must_use]
    pub fn new(client: &Client, names: &Names, status: Status) -> Self {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &names.namespace);
        let watch = |number: usize| {
            let config =
                watcher::Config::default().fields(&format!("metadata.name={}", names.shard(number))).timeout(WATCH);
            watcher(secrets.clone(), config).backoff(Pause::default()).map(move |event| (number, event)).boxed_local()
        };
        Self {
            shards: Shards::new(names.clone()),
            events: (0..SHARDS).map(watch).collect(),
            listed: std::array::from_fn(|_| None),
            burst: None,
            well: None,
            status,
        }
    }

    /// Tells the document again, though it has not changed.
    pub fn tell_again(&mut self) {
        self.shards.tell_again();
        self.changed();
    }

    /// Waits for the next document. Cancel safe.
    ///
    /// # Errors
    /// What keeps it from being used.
    pub async fn next(&mut self) -> Result<Valid, String> {
        loop {
            let due = self.burst.map(|(first, last)| (first + LONGEST).min(last + QUIET));
            tokio::select! {
                () = at(due) => {
                    self.burst = None;
                    if let Some(told) = self.shards.poll() {
                        return told.map_err(|fault| fault.to_string());
                    }
                }
                () = at(self.well) => {
                    self.well = None;
                    self.status.trouble(Trouble::Watch, None);
                }
                Some((number, event)) = self.events.next() => self.take(number, event),
            }
        }
    }

    fn take(&mut self, number: usize, event: Result<Event<Secret>, watcher::Error>) {
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
                    self.well = Some(Instant::now() + WELL);
                    self.status.trouble(Trouble::Watch, Some(reason));
                }
                return;
            }
        };
        if now.is_some_and(|now| self.shards.set(number, now)) {
            self.changed();
        }
    }

    fn changed(&mut self) {
        let now = Instant::now();
        self.burst = Some((self.burst.map_or(now, |(first, _)| first), now));
    }
}

/// Waits until then; for ever where there is no then.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn shard(secret: Secret) -> Shard {
    let contents = secret.data.and_then(|mut data| data.remove(KEY));
    contents.map_or(Shard::Empty, |contents| Shard::Document(contents.0))
}

/// What is wrong with a watch; nothing where it only has to begin anew.
fn reason(error: &watcher::Error) -> Option<String> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Some(explain(error)),
        watcher::Error::WatchError(status) if status.code == 410 => None,
        watcher::Error::WatchError(status) => Some(status.message.clone()),
        watcher::Error::NoResourceVersion => Some("the API server's answer cannot be read".to_owned()),
    }
}

/// Pauses between tries that fail: twice as long each time, up to some seconds.
#[derive(Debug, Default)]
struct Pause(u32);

impl Iterator for Pause {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = Duration::from_millis(250 << self.0);
        self.0 = (self.0 + 1).min(4);
        Some(pause)
    }
}

impl Backoff for Pause {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretSource").field("shards", &self.shards).finish_non_exhaustive()
    }
}
