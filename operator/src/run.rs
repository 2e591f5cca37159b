//! The operator as it runs in a cluster: everything wired up, and nothing else.

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
    certificates,
    controller::{
        Controllers,
        desired::Terms,
        events,
        registrations::{self, Asking},
        touch,
        writer::Writer,
    },
    index::Index,
    known::Known,
    leadership,
    metrics::Metrics,
    run_args::RunArgs,
    watches::{self, Changed, Scope, SharedIndex},
    webhook::{self, Serving, Shown, Webhooks},
    writes,
};

/// How long ending may take in all: a write under way, and giving the Lease up.
const DRAIN: Duration = Duration::from_secs(9);

/// Runs until told to end.
///
/// # Errors
/// What keeps the program from running.
pub fn start(args: RunArgs) -> anyhow::Result<()> {
    daemon::logging::init(&args.log)?;
    daemon::install_crypto_provider()?;
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let ended = runtime.block_on(run(args));
    runtime.shutdown_background();
    ended
}

async fn run(args: RunArgs) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("cannot catch signals")?;
    let config =
        Config::infer().await.context("no cluster is known: neither a pod's ServiceAccount nor a kubeconfig")?;
    let client = Client::try_from(config).context("cannot be a client of the API server")?;
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
    // Watches end with the process.
    let mut feeds = watches::start(&client, &scope, &index, &changed, [&readiness, &synced]);

    let (candidate, leadership) = leadership::candidate(client.clone(), &system_namespace, &identity, metrics.clone());
    let candidate = tokio::spawn(candidate.run(watcher.clone()));

    let shown = Shown::default();
    if let Some(listener) = write_listener {
        let reviewer = Box::new(KubeReviewer::new(client.clone()));
        let (client, index, shown, requests) = (client.clone(), Arc::clone(&index), shown.clone(), metrics.clone());
        let serving = writes::Serving { client, reviewer, index, shown, metrics: write_metrics, requests };
        tokio::spawn(writes::serve(listener, serving, watcher.clone()));
    }
    let serving = Serving {
        client: client.clone(),
        namespace: system_namespace.clone(),
        webhooks: Webhooks { sidecar: args.sidecar(), plan: settings.clone() },
        cluster: Known { index: Arc::clone(&index), system_namespace: system_namespace.clone() },
        readiness: readiness.clone(),
        metrics: webhook_metrics,
        shown,
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
    let asking = Asking { url, token: args.master_token.clone(), ca: ca.clone() };
    tokio::spawn(registrations::run(asking, leadership.clone(), state, metrics.clone()));
    let touches = Arc::default();
    let (queue, known) = (Arc::clone(&touches), Arc::clone(&index));
    tokio::spawn(touch::run(queue, writer.clone(), known, Arc::clone(&changed), metrics.clone()));

    let listeners = Listeners { agentx_tls: Some(args.agentx_tls), ..args.listeners.into() };
    let controllers = Controllers {
        index,
        changed: changed.subscribe(),
        synced,
        terms: Terms { settings, listeners, read_secrets, ca: None },
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
        signal = signals.received() => tracing::info!(signal, "ending"),
        ended = &mut controllers => {
            ended.context("the controllers have ended by a panic, which is a defect")?;
            anyhow::bail!("the controllers have ended, which is a defect");
        }
        Some(ended) = feeds.join_next() => {
            ended.context("a watch has ended by a panic, which is a defect")?;
            anyhow::bail!("a watch has ended, which is a defect");
        }
    }
    // The Lease is given up when nothing is written any more.
    if let Err(overdue) = trigger.drain(DRAIN).await {
        tracing::warn!("{overdue}");
    }
    candidate.await.context("leadership has ended by a panic, which is a defect")
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))
}

/// This replica's name.
fn identity(args: &RunArgs) -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    let name = args.identity.clone().or_else(|| variable("POD_NAME")).or_else(host);
    name.unwrap_or_else(|| format!("snmp-operator-{}", std::process::id()))
}
