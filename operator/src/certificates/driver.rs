//! Reads and writes Secrets and webhook configurations as [`state`] decides.
//!
//! Level-triggered: whatever happens, all is read anew, and steps are taken until none is left. The leader alone writes;
//! where there are two for a moment, each write holds only for the version that was read.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use daemon::drain::Watcher;
use futures::{Stream, StreamExt as _, stream};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    core::v1::Secret,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    runtime::{
        WatchStreamExt as _,
        events::{Event, EventType, Recorder},
        watcher::watch_object,
    },
};
use tokio::sync::watch;

use super::{
    CA_SECRET, MASTER_SECRET, Mode, Settings, WEBHOOK_CONFIGURATIONS, WEBHOOK_SECRET,
    ca_bundle::{self, Configuration},
    carry_out::carry_out,
    maker::MakeError,
    pem::{Certificate, Seconds},
    read::{self, Fault, MANAGER, Secrets},
    settling::Settling,
    state::{self, Step, View},
    stored::Authorities,
    write,
};
use crate::watch_backoff::watch_backoff;

/// Longest time between two looks, in which nothing was told to have changed: at rest next to nothing is asked.
const LOOK: Duration = Duration::from_hours(1);
/// Pauses after a failure.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Most steps of one look. A first one takes three, a rotation fewer.
const STEPS: usize = 16;

/// What went wrong in a look; the next one begins anew.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("Secret {name}: {error}")]
    Secret { name: &'static str, error: kube::Error },
    #[error("{kind} {WEBHOOK_CONFIGURATIONS}: {error}")]
    Webhooks { kind: &'static str, error: kube::Error },
    #[error(transparent)]
    Make(#[from] MakeError),
    #[error("Secret {CA_SECRET} is not the operator's own: delete it, or set --certificates given")]
    ForeignAuthority,
    #[error("the certificates do not come to rest")]
    Restless,
}

/// Keeps certificates until the drain, and sends the bundle that those are verified by whenever it changes: PEM, for
/// `ca.crt` of each namespace. Every replica sends; only the leader writes.
pub async fn run(
    client: Client,
    settings: Settings,
    leadership: watch::Receiver<bool>,
    bundle: watch::Sender<Option<String>>,
    recorder: Option<Recorder>,
    mut drain: Watcher,
) {
    let driver = Driver {
        secrets: Api::namespaced(client.clone(), &settings.namespace),
        mutating: Api::all(client.clone()),
        validating: Api::all(client),
        settings,
        bundle,
        recorder,
        started: Instant::now(),
        settling: Settling::default(),
        told: Vec::new(),
    };
    tokio::select! {
        () = drain.triggered() => {}
        () = driver.run(leadership) => {}
    }
}

struct Driver {
    settings: Settings,
    secrets: Api<Secret>,
    mutating: Api<MutatingWebhookConfiguration>,
    validating: Api<ValidatingWebhookConfiguration>,
    bundle: watch::Sender<Option<String>>,
    recorder: Option<Recorder>,
    started: Instant,
    settling: Settling,
    /// Faults that were told already.
    told: Vec<Fault>,
}

impl Driver {
    async fn run(mut self, mut leadership: watch::Receiver<bool>) {
        let mut changes = self.changes();
        let mut pause = PAUSE;
        loop {
            let leads = *leadership.borrow_and_update();
            let wait = match self.look(leads).await {
                Ok(wait) => {
                    pause = PAUSE;
                    wait
                }
                Err(error) => {
                    tracing::warn!("certificates: {error}");
                    let wait = pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    wait
                }
            };
            let failed = pause != PAUSE;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                led = leadership.changed() => if led.is_err() {
                    // Whoever led has gone; the drain follows.
                    tokio::time::sleep(wait).await;
                },
                // After a failure there is the pause, also where a change is what failed.
                Some(()) = changes.next(), if !failed => {}
            }
        }
    }

    /// A hint for each change of what is looked at.
    fn changes(&self) -> impl Stream<Item = ()> + Send + Unpin + use<> {
        let names: &[&str] = match self.settings.mode {
            Mode::Operator => &[CA_SECRET, WEBHOOK_SECRET, MASTER_SECRET],
            Mode::Given => &[MASTER_SECRET],
        };
        let mut all = stream::SelectAll::new();
        for name in names {
            all.push(hints(self.secrets.clone(), name));
        }
        if self.settings.mode == Mode::Operator {
            all.push(hints(self.mutating.clone(), WEBHOOK_CONFIGURATIONS));
            all.push(hints(self.validating.clone(), WEBHOOK_CONFIGURATIONS));
        }
        all
    }

    /// Looks at all there is, and takes the steps that are due. The time until the next look.
    async fn look(&mut self, leads: bool) -> Result<Duration, LookError> {
        if self.settings.mode == Mode::Given {
            let secret = self.read(MASTER_SECRET).await?;
            let bundle = secret.as_ref().and_then(write::given_bundle);
            let missing =
                Fault { secret: MASTER_SECRET, message: "there is no ca.crt in it to publish", foreign: true };
            let faults = if bundle.is_none() { vec![missing] } else { Vec::new() };
            self.tell(&Secrets { master: secret, ..Secrets::default() }, faults).await;
            self.publish(bundle);
            return Ok(LOOK);
        }
        if !leads {
            // What another writes settles anew from when this one leads.
            self.settling = Settling::default();
            let (view, _) = read::view(&self.read_all().await?);
            self.publish(view.authorities.as_ref().map(Authorities::bundle));
            return Ok(LOOK);
        }
        for _ in 0..STEPS {
            let secrets = self.read_all().await?;
            let (view, faults) = read::view(&secrets);
            self.tell(&secrets, faults).await;
            if view.authorities.is_none() && secrets.ca.is_some() && self.is_foreign(CA_SECRET) {
                return Err(LookError::ForeignAuthority);
            }
            let bundle = view.authorities.as_ref().map(Authorities::bundle);
            let patched = match &bundle {
                Some(bundle) => self.patch_webhooks(bundle).await,
                None => Ok(()),
            };
            self.publish(bundle);
            // What the API server has not been told does not settle, and all else goes on.
            if patched.is_ok() {
                self.settling.observe(view.authorities.as_ref(), view.all_served(), self.started.elapsed());
            }
            let now = now();
            let Some(step) = state::next(&view, now, &self.settling, &self.settings) else {
                return patched.map(|()| self.until_next(&view, now));
            };
            self.take(step, &view, &secrets, now).await?;
        }
        Err(LookError::Restless)
    }

    /// In a rotation something may be due as soon as the last step has settled.
    fn until_next(&self, view: &View, now: Seconds) -> Duration {
        let trusted = view.authorities.iter().flat_map(Authorities::trusted);
        let ends = trusted.chain(view.all_served().map(|served| &served.leaf)).map(|certificate: &Certificate| {
            Duration::from_secs(u64::try_from(certificate.not_after.saturating_sub(now)).unwrap_or(0))
        });
        let rotates = view.authorities.iter().flat_map(Authorities::trusted).count() > 1;
        let settles = rotates.then_some(self.settings.settle / 4);
        let soonest = ends.map(|left| left / 12).chain([LOOK]).chain(settles).min();
        soonest.unwrap_or(LOOK).max(Duration::from_millis(250))
    }

    async fn take(&self, step: Step, view: &View, secrets: &Secrets, now: Seconds) -> Result<(), LookError> {
        let Some((name, secret)) = carry_out(step, view, secrets, now, &self.settings)? else { return Ok(()) };
        self.write(name, secrets.named(name), secret).await
    }

    async fn read(&self, name: &'static str) -> Result<Option<Secret>, LookError> {
        self.secrets.get_opt(name).await.map_err(|error| LookError::Secret { name, error })
    }

    async fn read_all(&self) -> Result<Secrets, LookError> {
        let (ca, webhook, master) =
            tokio::try_join!(self.read(CA_SECRET), self.read(WEBHOOK_SECRET), self.read(MASTER_SECRET))?;
        Ok(Secrets { ca, webhook, master })
    }

    /// Writes a Secret in place of what was read; it is another's turn if that has changed.
    async fn write(&self, name: &'static str, read: Option<&Secret>, secret: Secret) -> Result<(), LookError> {
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let error = |error| LookError::Secret { name, error };
        let Some(read) = read else {
            return self.secrets.create(&params, &secret).await.map(|_| ()).map_err(error);
        };
        match self.secrets.replace(name, &params, &secret).await {
            Ok(_) => Ok(()),
            // What cannot be changed, being immutable, is made anew.
            Err(kube::Error::Api(status)) if status.code == 422 => {
                tracing::warn!(secret = name, "the Secret cannot be changed, and is made anew");
                let preconditions = Preconditions { resource_version: read.resource_version(), uid: read.uid() };
                let delete = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
                self.secrets.delete(name, &delete).await.map_err(error)?;
                let secret = write::anew(secret);
                self.secrets.create(&params, &secret).await.map(|_| ()).map_err(error)
            }
            Err(failed) => Err(error(failed)),
        }
    }

    /// Where there is none for a moment, the one before is published further: it is what certificates are verified by.
    fn publish(&self, bundle: Option<String>) {
        if bundle.is_some() {
            self.bundle.send_if_modified(|published| {
                let changed = *published != bundle;
                *published = bundle;
                changed
            });
        }
    }

    async fn patch_webhooks(&self, bundle: &str) -> Result<(), LookError> {
        patch(&self.mutating, "MutatingWebhookConfiguration", bundle).await?;
        patch(&self.validating, "ValidatingWebhookConfiguration", bundle).await
    }

    fn is_foreign(&self, secret: &str) -> bool {
        self.told.iter().any(|fault| fault.secret == secret && fault.foreign)
    }

    /// Tells each fault once.
    async fn tell(&mut self, secrets: &Secrets, faults: Vec<Fault>) {
        for fault in faults.iter().filter(|fault| !self.told.contains(fault)) {
            let Fault { secret, message, foreign } = fault;
            let done = if *foreign { "" } else { "; it is made anew" };
            tracing::warn!(secret, "no certificate in the Secret: {message}{done}");
            let regarding = secrets.named(secret);
            if let (Some(recorder), Some(regarding)) = (&self.recorder, regarding) {
                let event = Event {
                    type_: EventType::Warning,
                    reason: "NoCertificate".to_owned(),
                    note: Some(format!("{message}{done}")),
                    action: "Certify".to_owned(),
                    secondary: None,
                };
                if let Err(error) = recorder.publish(&event, &regarding.object_ref(&())).await {
                    tracing::debug!(%error, "an event cannot be written");
                }
            }
        }
        self.told = faults;
    }
}

fn hints<K>(api: Api<K>, name: &str) -> stream::BoxStream<'static, ()>
where
    K: Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    // What cannot be watched is told by the look, which reads the same.
    watch_object(api, name).backoff(watch_backoff()).map(|_| ()).boxed()
}

async fn patch<K>(api: &Api<K>, kind: &'static str, bundle: &str) -> Result<(), LookError>
where
    K: Configuration + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let error = |error| LookError::Webhooks { kind, error };
    let Some(configuration) = api.get_opt(WEBHOOK_CONFIGURATIONS).await.map_err(error)? else { return Ok(()) };
    let Some(patch) = ca_bundle::patch(&configuration, bundle) else { return Ok(()) };
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    api.patch(WEBHOOK_CONFIGURATIONS, &params, &Patch::Strategic(patch)).await.map_err(error)?;
    tracing::info!(kind, "the webhook configuration has the bundle");
    Ok(())
}

fn now() -> Seconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Seconds::try_from(since.as_secs()).unwrap_or(Seconds::MAX)
}
