//! The driver: reads and writes Secrets and webhook configurations as [`state`] decides.
//!
//! It is level-triggered: each reconciliation reads everything, and takes steps until none is left. Only the leader writes. If
//! there are two leaders for a moment, a write applies only to the version that was read.

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
    issue::IssueError,
    pem::{Certificate, Seconds},
    read::{self, MANAGER, SecretProblem, Secrets},
    settling::Settling,
    state::{self, Step, View},
    stored::Authorities,
    write,
};
use crate::index::watch_backoff;

/// The maximum time between two reconciliations without changes.
const RESYNC: Duration = Duration::from_hours(1);
/// The delay after a failure. It doubles with each further failure.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The maximum delay after a failure.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);
/// The maximum number of steps in one reconciliation. The first one takes three steps, a rotation fewer.
const STEPS: usize = 16;

/// A reconciliation failed. It is retried from the start.
#[derive(Debug, thiserror::Error)]
enum ReconcileError {
    #[error("Secret {name}: {error}")]
    Secret { name: &'static str, error: kube::Error },
    #[error("{kind} {WEBHOOK_CONFIGURATIONS}: {error}")]
    Webhooks { kind: &'static str, error: kube::Error },
    #[error(transparent)]
    Make(#[from] IssueError),
    #[error("Secret {CA_SECRET} is not managed by the operator: delete it, or set --certificates given")]
    ForeignCa,
    #[error("there are still steps left after {STEPS} steps, which is a bug")]
    TooManySteps,
}

/// Manages certificates until the drain. Sends each new CA bundle, in PEM, for the `ca.crt` of each namespace. Every replica
/// sends bundles; only the leader writes Secrets.
pub(crate) async fn run(
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
        reported: Vec::new(),
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
    /// The problems that were already reported.
    reported: Vec<SecretProblem>,
}

impl Driver {
    async fn run(mut self, mut leadership: watch::Receiver<bool>) {
        let mut changes = self.changes();
        let mut delay = RETRY_DELAY;
        loop {
            let leads = *leadership.borrow_and_update();
            let wait = match self.reconcile(leads).await {
                Ok(wait) => {
                    delay = RETRY_DELAY;
                    wait
                }
                Err(error) => {
                    tracing::warn!(%error, retry = ?delay, "failed to reconcile the certificates; retrying");
                    let wait = delay;
                    delay = (delay * 2).min(MAX_RETRY_DELAY);
                    wait
                }
            };
            let failed = delay != RETRY_DELAY;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                led = leadership.changed() => if led.is_err() {
                    // The election has ended, and the drain follows.
                    tokio::time::sleep(wait).await;
                },
                // After a failure, changes do not shorten the delay.
                Some(()) = changes.next(), if !failed => {}
            }
        }
    }

    /// Returns a stream with an item for each change of the Secrets and webhook configurations.
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

    /// Reads everything and takes the steps that are due. Returns the time until the next reconciliation.
    async fn reconcile(&mut self, leads: bool) -> Result<Duration, ReconcileError> {
        if self.settings.mode == Mode::Given {
            let secret = self.read(MASTER_SECRET).await?;
            let bundle = secret.as_ref().and_then(write::given_bundle);
            let missing = SecretProblem {
                secret: MASTER_SECRET,
                message: "it has no ca.crt to publish: the program that writes it must add the CA certificate",
                foreign: true,
            };
            let problems = if bundle.is_none() { vec![missing] } else { Vec::new() };
            self.report(&Secrets { master: secret, ..Secrets::default() }, problems).await;
            self.publish(bundle);
            return Ok(RESYNC);
        }
        if !leads {
            // When this replica becomes the leader, it cannot know when the previous leader wrote.
            self.settling = Settling::default();
            let (view, _) = read::view(&self.read_all().await?);
            self.publish(view.authorities.as_ref().map(Authorities::bundle));
            return Ok(RESYNC);
        }
        for _ in 0..STEPS {
            let secrets = self.read_all().await?;
            let (view, problems) = read::view(&secrets);
            self.report(&secrets, problems).await;
            if view.authorities.is_none() && secrets.ca.is_some() && self.is_foreign(CA_SECRET) {
                return Err(ReconcileError::ForeignCa);
            }
            let bundle = view.authorities.as_ref().map(Authorities::bundle);
            let patched = match &bundle {
                Some(bundle) => self.patch_webhooks(bundle).await,
                None => Ok(()),
            };
            self.publish(bundle);
            // Until the API server has the bundle, nothing settles; everything else continues.
            if patched.is_ok() {
                self.settling.observe(view.authorities.as_ref(), view.all_served(), self.started.elapsed());
            }
            let now = now();
            let Some(step) = state::next(&view, now, &self.settling, &self.settings) else {
                return patched.map(|()| self.until_next(&view, now));
            };
            self.carry_out(step, &view, &secrets, now).await?;
        }
        Err(ReconcileError::TooManySteps)
    }

    /// Returns the time until the next reconciliation. During a rotation, a step can be due as soon as the last one has settled.
    fn until_next(&self, view: &View, now: Seconds) -> Duration {
        let trusted = view.authorities.iter().flat_map(Authorities::trusted);
        let ends = trusted.chain(view.all_served().map(|served| &served.leaf)).map(|certificate: &Certificate| {
            Duration::from_secs(u64::try_from(certificate.not_after.saturating_sub(now)).unwrap_or(0))
        });
        let is_rotating = view.authorities.iter().flat_map(Authorities::trusted).count() > 1;
        let settling = is_rotating.then_some(self.settings.settle / 4);
        let soonest = ends.map(|left| left / 12).chain([RESYNC]).chain(settling).min();
        soonest.unwrap_or(RESYNC).max(Duration::from_millis(250))
    }

    async fn carry_out(&self, step: Step, view: &View, secrets: &Secrets, now: Seconds) -> Result<(), ReconcileError> {
        let Some((name, secret)) = carry_out(step, view, secrets, now, &self.settings)? else { return Ok(()) };
        self.write(name, secrets.named(name), secret).await
    }

    async fn read(&self, name: &'static str) -> Result<Option<Secret>, ReconcileError> {
        self.secrets.get_opt(name).await.map_err(|error| ReconcileError::Secret { name, error })
    }

    async fn read_all(&self) -> Result<Secrets, ReconcileError> {
        let (ca, webhook, master) =
            tokio::try_join!(self.read(CA_SECRET), self.read(WEBHOOK_SECRET), self.read(MASTER_SECRET))?;
        Ok(Secrets { ca, webhook, master })
    }

    /// Replaces the Secret that was read, or creates it. Fails if it has changed since it was read.
    async fn write(&self, name: &'static str, read: Option<&Secret>, secret: Secret) -> Result<(), ReconcileError> {
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let error = |error| ReconcileError::Secret { name, error };
        let Some(read) = read else {
            return self.secrets.create(&params, &secret).await.map(|_| ()).map_err(error);
        };
        match self.secrets.replace(name, &params, &secret).await {
            Ok(_) => Ok(()),
            // The Secret is immutable, or has another type: it is deleted and created again.
            Err(kube::Error::Api(status)) if status.code == 422 => {
                tracing::warn!(secret = name, "the Secret is immutable; deleting it and creating it again");
                let preconditions = Preconditions { resource_version: read.resource_version(), uid: read.uid() };
                let delete = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
                self.secrets.delete(name, &delete).await.map_err(error)?;
                let secret = write::without_identity(secret);
                self.secrets.create(&params, &secret).await.map(|_| ()).map_err(error)
            }
            Err(failed) => Err(error(failed)),
        }
    }

    /// Publishes the bundle. If there is none for a moment, the previous one stays published, because clients need it.
    fn publish(&self, bundle: Option<String>) {
        if bundle.is_some() {
            self.bundle.send_if_modified(|published| {
                let changed = *published != bundle;
                *published = bundle;
                changed
            });
        }
    }

    async fn patch_webhooks(&self, bundle: &str) -> Result<(), ReconcileError> {
        patch(&self.mutating, "MutatingWebhookConfiguration", bundle).await?;
        patch(&self.validating, "ValidatingWebhookConfiguration", bundle).await
    }

    fn is_foreign(&self, secret: &str) -> bool {
        self.reported.iter().any(|problem| problem.secret == secret && problem.foreign)
    }

    /// Reports each problem once, in the log and as an Event.
    async fn report(&mut self, secrets: &Secrets, problems: Vec<SecretProblem>) {
        for problem in problems.iter().filter(|problem| !self.reported.contains(problem)) {
            let SecretProblem { secret, message, foreign } = problem;
            let consequence = if *foreign { "" } else { "; it will be issued again" };
            tracing::warn!(secret, "no usable certificate in the Secret: {message}{consequence}");
            let regarding = secrets.named(secret);
            if let (Some(recorder), Some(regarding)) = (&self.recorder, regarding) {
                let event = Event {
                    type_: EventType::Warning,
                    reason: "NoCertificate".to_owned(),
                    note: Some(format!("no usable certificate: {message}{consequence}")),
                    action: "Certify".to_owned(),
                    secondary: None,
                };
                if let Err(error) = recorder.publish(&event, &regarding.object_ref(&())).await {
                    tracing::debug!(%error, "failed to publish an Event");
                }
            }
        }
        self.reported = problems;
    }
}

fn hints<K>(api: Api<K>, name: &str) -> stream::BoxStream<'static, ()>
where
    K: Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    // Errors are ignored here, because a reconciliation reads the same objects and reports its errors.
    watch_object(api, name).backoff(watch_backoff()).map(|_| ()).boxed()
}

async fn patch<K>(api: &Api<K>, kind: &'static str, bundle: &str) -> Result<(), ReconcileError>
where
    K: Configuration + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let error = |error| ReconcileError::Webhooks { kind, error };
    let Some(configuration) = api.get_opt(WEBHOOK_CONFIGURATIONS).await.map_err(error)? else { return Ok(()) };
    let Some(patch) = ca_bundle::patch(&configuration, bundle) else { return Ok(()) };
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    api.patch(WEBHOOK_CONFIGURATIONS, &params, &Patch::Strategic(patch)).await.map_err(error)?;
    tracing::info!(kind, "set the CA bundle of the webhook configuration");
    Ok(())
}

fn now() -> Seconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Seconds::try_from(since.as_secs()).unwrap_or(Seconds::MAX)
}
