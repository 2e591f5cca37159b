//! Wires the parts of the master and runs them.
//!
//! In a cluster each replica does the same, and the replica that holds the Lease answers managers.
//!
//! Two threads do the work. The `agent` thread answers managers and does nothing else, so that neither a new document
//! nor the derivation of its users' keys delays a response. The main thread does the rest. A watchdog thread monitors
//! both.

mod deployment;
mod engine_switch;
mod main_loop;

use std::{
    io,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use daemon::{
    admin::Face,
    drain::{self, Watcher},
    heartbeat::Heartbeat,
    logging::LogArgs,
    readiness::Readiness,
    signals::Signals,
    watchdog::{self, Watched},
};
use identity::KubeReviewer;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
    task::LocalSet,
    time::interval,
};
use tracing::level_filters::LevelFilter;

use self::{deployment::Deployment, engine_switch::EngineSwitch, main_loop::MainLoop};
use crate::{
    agent::{self, ActiveEngine, Parts},
    cli::{Invocation, RunArgs},
    commands,
    config::{Configuration, Loaded},
    io::{
        Bound,
        tls::{Dependencies, Settings, TlsListener},
        traffic::Traffic,
    },
    observability::{admin, status::Status},
    snmp::statistics::Statistics,
    subagents::{authority::Grants, dispatch::Dispatcher},
};

/// Period of the main thread's heartbeat.
const BEAT: Duration = Duration::from_secs(1);
/// Libraries that log each failed call. Their log is off, because the master logs the consequence of a failure once.
const SILENCED: [&str; 2] = ["kube_client", "kube_runtime"];
/// The watchdog ends the process if the agent thread hangs this long. Managers wait about as long for a response.
const AGENT_HANG_LIMIT: Duration = Duration::from_secs(3);
/// The watchdog ends the process if the main thread hangs this long. It is longer because of large documents.
const MAIN_HANG_LIMIT: Duration = Duration::from_mins(1);
/// Capacity of the channel of commands to the agent thread.
const COMMANDS: usize = 16;

/// Runs the command that was given on the command line.
///
/// # Errors
/// Returns an error if the master cannot start, if one of its threads fails, or if a subcommand cannot do its work.
pub fn start(invocation: Invocation) -> anyhow::Result<ExitCode> {
    match invocation {
        Invocation::Check(args) => commands::check(&args),
        Invocation::Probe(args) => commands::probe(&args),
        Invocation::Run(args) => {
            daemon::logging::init(&silence_libraries(&args.log))?;
            let runtime = runtime()?;
            let result = runtime.block_on(serve(*args));
            // Does not wait for the derivation of keys.
            runtime.shutdown_background();
            result.map(|()| ExitCode::SUCCESS)
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_io().enable_time().build()
}

async fn serve(args: RunArgs) -> anyhow::Result<()> {
    daemon::install_crypto_provider()?;
    let mut signals = Signals::install().context("cannot catch signals")?;
    let (trigger, watcher) = drain::channel();
    if let Err(error) = raise_open_files_limit() {
        tracing::warn!(%error, "failed to raise the limit of open files; fewer subagents can connect");
    }
    let status = Status::default();
    let mut deployment = Deployment::open(&args).await?;
    let (statistics, traffic) = (Arc::new(Statistics::default()), Arc::new(Traffic::default()));
    let snapshot = Arc::default();
    let (commander, receiver) = mpsc::channel(COMMANDS);
    let (main_heartbeat, agent_heartbeat) = (Heartbeat::new(), Heartbeat::new());
    let readiness = Readiness::new();
    let unconfigured = readiness.block("configuration");
    let admin =
        Arc::new(admin::server(readiness.clone(), &status, &statistics, &traffic, &snapshot, commander.clone()));
    for (address, face) in [(args.listen, Face::Public), (args.local_listen, Face::Local)] {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))?;
        tracing::info!(%address, ?face, "listening");
        tokio::spawn(Arc::clone(&admin).serve(listener, face, watcher.clone()));
    }
    tokio::spawn(beat(main_heartbeat.clone()));

    let startup = async {
        let waiting = readiness.block("engine");
        let engine = deployment.engine(&status).await;
        drop(waiting);
        let mut configuration = Configuration::new(deployment.source(&status), &engine.engine_id, status.clone());
        let loaded = configuration.next().await;
        (engine, configuration, loaded)
    };
    let (engine, configuration, Loaded { document, access }) = tokio::select! {
        signal = signals.received() => {
            tracing::info!(signal, "shutting down before a document was loaded");
            return Ok(());
        }
        loaded = startup => loaded,
    };
    let access = Arc::new(ArcSwap::from_pointee(access));
    let is_standalone = matches!(deployment, Deployment::Standalone(..));
    let active = Arc::new(AtomicBool::new(is_standalone));
    let engine_switch =
        EngineSwitch { access, statistics, commander, active: Arc::clone(&active), status: status.clone() };
    let ActiveEngine { engine: first, objects, started } =
        engine_switch.create(&engine).context("cannot start the SNMP engine")?;
    let mut bound = Bound::bind(&document.listeners)?;
    let (tls_listener, arrivals) = match bound.agentx_tls.take() {
        None => (None, None),
        Some(bound) => {
            let directory = args.tls.context("listeners.agentxTls needs --tls, the directory of its certificate")?;
            let (operator, replica) = (args.operator_service_account, deployment.name());
            let settings = Settings { directory, operator, replica, active };
            let client =
                deployment.client().await.context("listeners.agentxTls needs the Kubernetes API, to review tokens")?;
            let reviewer = Box::new(KubeReviewer::new(client));
            let (commander, traffic) = (engine_switch.commander.clone(), Arc::clone(&traffic));
            let dependencies = Dependencies { reviewer, commander, traffic };
            let (listener, arrivals) =
                TlsListener::start(bound, settings, &document.limits, dependencies, watcher.clone());
            (Some(listener), Some(arrivals))
        }
    };
    let mut dispatcher = Dispatcher::new(objects, &document.limits, started);
    dispatcher.set_grants(Grants::new(&document.contexts), started);
    let parts = Parts {
        engine: is_standalone.then_some(first),
        dispatcher,
        bound,
        arrivals,
        commands: receiver,
        traffic,
        snapshot,
        heartbeat: agent_heartbeat.clone(),
    };
    agent_heartbeat.beat();
    let agent_ended = start_agent(parts, watcher).context("cannot start the agent thread")?;
    let thread = |name, limit, heartbeat| Watched { name, limit, heartbeat };
    watchdog::start(vec![
        thread("agent", AGENT_HANG_LIMIT, agent_heartbeat),
        thread("main", MAIN_HANG_LIMIT, main_heartbeat),
    ])
    .context("cannot start the watchdog")?;
    status.loaded(&document);
    if is_standalone {
        status.activated(&engine);
    }
    let replica = deployment.replica(&status);
    drop(unconfigured);
    tracing::info!("ready");
    let mut main_loop =
        MainLoop { engine: engine_switch, tls_listener, configuration, replica, agent_ended, pending: None };
    main_loop.run(&mut signals).await?;
    main_loop.shut_down(trigger).await;
    Ok(())
}

/// Turns off the log of the [`SILENCED`] libraries, unless the log level names them.
fn silence_libraries(log: &LogArgs) -> LogArgs {
    let mut log = log.clone();
    for library in SILENCED {
        if !log.log_level.iter().any(|(target, _)| target == library) {
            log.log_level = log.log_level.with_target(library, LevelFilter::OFF);
        }
    }
    log
}

/// Raises the soft limit of open files to the hard limit: each connection of a subagent is an open file.
fn raise_open_files_limit() -> nix::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard { setrlimit(Resource::RLIMIT_NOFILE, hard, hard) } else { Ok(()) }
}

async fn beat(heartbeat: Heartbeat) {
    let mut beats = interval(BEAT);
    loop {
        beats.tick().await;
        heartbeat.beat();
    }
}

/// Starts the agent thread. The receiver resolves when the thread ends, also if it panics.
fn start_agent(parts: Parts, watcher: Watcher) -> io::Result<oneshot::Receiver<io::Result<()>>> {
    let runtime = runtime()?;
    let (ended, receiver) = oneshot::channel();
    let thread = move || {
        let result = LocalSet::new().block_on(&runtime, agent::run(parts, watcher));
        // The receiver is gone only while the process ends.
        _ = ended.send(result);
    };
    thread::Builder::new().name("agent".to_owned()).spawn(thread)?;
    Ok(receiver)
}
