//! Wires the parts of the sidecar together and runs it.
//!
//! The sidecar has two working threads. The `session` thread answers masters from memory and does nothing else, so that
//! not even a large collection or mapping delays a response. The main thread does the rest. A third thread is the
//! watchdog of both.

use std::{
    io,
    process::ExitCode,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use daemon::{
    admin::Face,
    drain::{self, Watcher},
    heartbeat::Heartbeat,
    readiness::Readiness,
    signals::Signals,
    watchdog::{self, Watched},
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::oneshot,
    task::{JoinSet, LocalSet},
    time::{MissedTickBehavior, interval, interval_at},
};

use crate::{
    cli::{Invocation, RunArgs},
    commands,
    config::{Watch, pod},
    mapping,
    observability::{admin, readiness::ReadinessCheck, status::Status},
    set::{Backends, SetCoordinator},
    source::SourceSettings,
    state::StateDirectory,
    subagent::Subagent,
    subtree::{pipeline::PipelineEnvironment, supervisor::SubtreeSupervisor},
    task::resume_panic,
    view::exports::ExportTable,
};

/// The interval at which configuration, readiness and subtrees are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The same interval until the sidecar is ready for the first time.
const STARTUP_CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// The time limit of a graceful shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(970);
/// The longest time without a heartbeat of the session thread. It is shorter than the time after which snmpd gives up a
/// session.
const SESSION_HEARTBEAT_LIMIT: Duration = Duration::from_secs(3);
/// The longest time without a heartbeat of the main thread, where a large mapping may take a while.
const MAIN_HEARTBEAT_LIMIT: Duration = Duration::from_mins(1);

/// Runs the command that was given on the command line.
///
/// # Errors
/// Returns an error if the sidecar cannot start, or if a command cannot read its input or write its output.
pub fn start(invocation: Invocation) -> anyhow::Result<ExitCode> {
    daemon::install_crypto_provider()?;
    match invocation {
        Invocation::Check(args) => commands::check(&args),
        Invocation::Walk(args) => {
            let runtime = runtime()?;
            let result = runtime.block_on(commands::walk(&args));
            // A hanging file system must not delay the exit.
            runtime.shutdown_background();
            result
        }
        Invocation::Run(args) => {
            daemon::logging::init(&args.log)?;
            let runtime = runtime()?;
            let result = runtime.block_on(run(args));
            // A hanging write or file system must not delay the exit.
            runtime.shutdown_background();
            result.map(|()| ExitCode::SUCCESS)
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_io().enable_time().build()
}

async fn run(args: RunArgs) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("cannot install signal handlers")?;
    let (trigger, watcher) = drain::channel();
    let pod_name = pod::name(args.pod_name.as_deref());
    let (files, roots) = (args.tls_files(), args.roots.roots());
    let operator = args.operator();
    let (exports, state) = (ExportTable::new(), StateDirectory::new(args.state));
    let settings = SourceSettings { directory: args.config.clone(), ports: args.ports, roots };
    let (sets, coordinate) = SetCoordinator::new(Backends::new(&settings, operator), state.clone());
    tokio::spawn(coordinate);

    let description = format!("snmp-sidecar {} {pod_name}", env!("CARGO_PKG_VERSION"));
    let subagents = args
        .masters
        .into_iter()
        .map(|url| Subagent::new(url, files.clone(), exports.subscribe(), sets.clone(), &description));
    let subagents: Vec<_> = subagents.collect();
    let status = Status::new(&pod_name, subagents.iter().map(Subagent::status).collect(), state.clone(), sets.counts());
    let main_heartbeat = Heartbeat::new();
    watchdog::start(watched_threads(&main_heartbeat, &subagents)).context("cannot start the watchdog")?;

    let readiness = Readiness::new();
    let mut readiness_check = ReadinessCheck::new(readiness.clone());
    let admin = Arc::new(admin::server(readiness, &status, &exports));
    for (address, face) in [(args.listen, Face::Public), (args.local_listen, Face::Local)] {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        tracing::info!(%address, ?face, "listening");
        tokio::spawn(Arc::clone(&admin).serve(listener, face, watcher.clone()));
    }
    let mut sessions_ended = start_sessions(subagents, watcher).context("cannot start the session thread")?;

    let mut watch = Watch::new(args.config.clone(), args.labels);
    let mut subtrees = SubtreeSupervisor::new(PipelineEnvironment {
        sources: settings,
        pod_index: 0,
        state,
        exports: exports.clone(),
        sets,
        status: status.clone(),
    });
    let mut ticks = interval(STARTUP_CHECK_INTERVAL);
    loop {
        tokio::select! {
            signal = signals.received() => {
                tracing::info!(signal, "shutting down");
                break;
            }
            _ = &mut sessions_ended => anyhow::bail!("the session thread ended unexpectedly; this is a defect of the sidecar"),
            now = ticks.tick() => {
                main_heartbeat.beat();
                if let Some(selection) = watch.poll(SystemTime::now()).cloned() {
                    let pod_index = mapping::pod_index(watch.labels(), &pod_name);
                    status.set_selection(&selection, pod_index);
                    subtrees.apply(&selection, pod_index);
                }
                status.set_configuration_errors(watch.errors().collect());
                subtrees.restart_failed(now);
                if readiness_check.update(&status, &exports) && ticks.period() != CHECK_INTERVAL {
                    tracing::info!("ready");
                    ticks = interval_at(now + CHECK_INTERVAL, CHECK_INTERVAL);
                    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                }
            }
        }
    }
    drop(subtrees);
    if let Err(overdue) = trigger.drain(DRAIN_TIMEOUT).await {
        tracing::warn!("{overdue}");
    }
    Ok(())
}

/// Starts the thread that answers masters. The returned receiver resolves when the thread ends, also by a panic.
fn start_sessions(subagents: Vec<Subagent>, watcher: Watcher) -> io::Result<oneshot::Receiver<()>> {
    let runtime = runtime()?;
    let (ended, receiver) = oneshot::channel();
    let serve = async move {
        let mut sessions = JoinSet::new();
        for subagent in subagents {
            let mut stop = watcher.clone();
            sessions.spawn_local(subagent.run(async move { stop.triggered().await }));
        }
        while let Some(ended) = sessions.join_next().await {
            resume_panic(ended);
        }
        drop(watcher);
    };
    let thread = move || {
        let _ended = ended;
        LocalSet::new().block_on(&runtime, serve);
    };
    thread::Builder::new().name("session".to_owned()).spawn(thread)?;
    Ok(receiver)
}

fn watched_threads(main: &Heartbeat, subagents: &[Subagent]) -> Vec<Watched> {
    let watched = |name, limit, heartbeat: Heartbeat| Watched { name, limit, heartbeat };
    let sessions = subagents.iter().map(|subagent| watched("session", SESSION_HEARTBEAT_LIMIT, subagent.heartbeat()));
    sessions.chain([watched("main", MAIN_HEARTBEAT_LIMIT, main.clone())]).collect()
}
