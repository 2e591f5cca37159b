//! `snmp-operator run`: wires all parts of the operator together.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use daemon::{
    admin::{Admin, Face},
    drain,
    readiness::Readiness,
    signals::Signals,
};
use identity::KubeReviewer;
use kube::{Client, Config};
use master_config::Listeners;
use prometheus_client::registry::Registry;
use tokio::{net::TcpListener, runtime::Builder, sync::watch};

use crate::{
    certificates::{self, CurrentCertificate},
    cli::RunArgs,
    controller::{
        Controllers,
        desired::Parameters,
        events,
        registrations::{self, MasterQuery},
        touch,
        writer::Writer,
    },
    index::{
        Changed, Index, SharedIndex,
        watches::{self, Scope},
    },
    leadership,
    metrics::Metrics,
    webhook::{self, IndexedCluster, Serving, Webhooks},
    writes,
};

/// The time limit of the drain. Writes in progress are completed, and the Lease is released.
const DRAIN: Duration = Duration::from_secs(9);

/// Runs the operator until it receives a signal.
///
/// # Errors
/// Returns an error if the operator cannot start, or if one of its tasks ends unexpectedly.
pub(crate) fn start(args: RunArgs) -> anyhow::Result<()> {
    daemon::logging::init(&args.log)?;
    daemon::install_crypto_provider()?;
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let ended = runtime.block_on(run(args));
    runtime.shutdown_background();
    ended
}

async fn run(args: RunArgs) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("cannot install signal handlers")?;
    let config =
        Config::infer().await.context("no cluster found: run in a pod with a ServiceAccount, or set KUBECONFIG")?;
    let client = Client::try_from(config).context("cannot create a client for the API server")?;
    let (settings, identity) = (args.settings(), identity(&args));
    let system_namespace = settings.system_namespace.clone();
    let url = args.master_url().parse().context("--master-url")?;
    let certificate_settings = args.certificate_settings();
    certificate_settings.check()?;

    let (trigger, watcher) = drain::channel();
    let (metrics, readiness, synced) = (Metrics::default(), Readiness::new(), Readiness::new());
    let index: SharedIndex = Arc::new(Mutex::new(Index::default()));
    let changed: Changed = Arc::new(watch::channel(()).0);

    let mut registry = Registry::with_prefix("snmp_operator");
    metrics.register(&mut registry, Arc::clone(&index));
    let webhook_metrics = webhook::Metrics::registered(&mut registry);
    let write_metrics = writes::Metrics::registered(&mut registry);
    let listener = listen(args.listen).await?;
    tracing::info!(address = %args.listen, %identity, "listening");
    let webhooks = listen(args.webhook_listen).await?;
    let write_listener = if args.writes { Some(listen(args.write_listen).await?) } else { None };
    let admin = Arc::new(Admin::new(readiness.clone(), registry));
    tokio::spawn(admin.serve(listener, Face::Public, watcher.clone()));

    let (namespaces, read_secrets) = (args.scopes(), args.read_secrets);
    let scope = Scope { system_namespace: system_namespace.clone(), namespaces, read_secrets };
    // The watches run until the process ends.
    let mut watch_tasks = watches::start(&client, &scope, &index, &changed, [&readiness, &synced]);

    let (candidate, leadership) = leadership::candidate(client.clone(), &system_namespace, &identity, metrics.clone());
    let candidate = tokio::spawn(candidate.run(watcher.clone()));

    let certificate = CurrentCertificate::default();
    if let Some(listener) = write_listener {
        let reviewer = Box::new(KubeReviewer::new(client.clone()));
        let (client, index, certificate, requests) =
            (client.clone(), Arc::clone(&index), certificate.clone(), metrics.clone());
        let serving = writes::Serving { client, reviewer, index, certificate, metrics: write_metrics, requests };
        tokio::spawn(writes::serve(listener, serving, watcher.clone()));
    }
    let serving = Serving {
        client: client.clone(),
        namespace: system_namespace.clone(),
        webhooks: Webhooks { sidecar: args.sidecar(), plan: settings.clone() },
        cluster: IndexedCluster { index: Arc::clone(&index), system_namespace: system_namespace.clone() },
        readiness: readiness.clone(),
        metrics: webhook_metrics,
        certificate,
    };
    tokio::spawn(webhook::serve(webhooks, serving, watcher.clone()));

    let (ca_sender, ca) = watch::channel(None);
    let recorder = events::recorder(client.clone(), &identity);
    tokio::spawn(certificates::run(
        client.clone(),
        certificate_settings,
        leadership.watch(),
        ca_sender,
        Some(recorder),
        watcher.clone(),
    ));

    let writer = Writer::new(client.clone(), leadership.clone(), metrics.clone());
    let (events, publisher) = events::channel(client.clone(), &identity, writer.clone(), metrics.clone());
    tokio::spawn(publisher.run());
    let (state, registrations) = registrations::channel();
    let query = MasterQuery { url, token: args.master_token.clone(), ca: ca.clone() };
    tokio::spawn(registrations::run(query, leadership.clone(), state, metrics.clone()));
    let touches = Arc::default();
    let (queue, shared) = (Arc::clone(&touches), Arc::clone(&index));
    tokio::spawn(touch::run(queue, writer.clone(), shared, Arc::clone(&changed), metrics.clone()));

    let listeners = Listeners { agentx_tls: Some(args.agentx_tls), ..args.listeners.into() };
    let controllers = Controllers {
        index,
        changed: changed.subscribe(),
        synced,
        parameters: Parameters { settings, listeners, read_secrets, ca: None },
        ca,
        leadership,
        registrations,
        writer,
        events,
        touches,
        metrics,
        planned: None,
    };
    let mut controllers = tokio::spawn(controllers.run(watcher));

    tokio::select! {
        signal = signals.received() => tracing::info!(signal, "shutting down"),
        ended = &mut controllers => {
            ended.context("the controllers panicked, which is a bug")?;
            anyhow::bail!("the controllers ended unexpectedly, which is a bug");
        }
        Some(ended) = watch_tasks.join_next() => {
            ended.context("a watch panicked, which is a bug")?;
            anyhow::bail!("a watch ended unexpectedly, which is a bug");
        }
    }
    // The Lease is released when all writes have ended.
    if let Err(overdue) = trigger.drain(DRAIN).await {
        tracing::warn!("{overdue}");
    }
    candidate.await.context("the leader election panicked, which is a bug")
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Returns the name of this replica.
fn identity(args: &RunArgs) -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    let name = args.identity.clone().or_else(|| variable("POD_NAME")).or_else(host);
    name.unwrap_or_else(|| format!("snmp-operator-{}", std::process::id()))
}
