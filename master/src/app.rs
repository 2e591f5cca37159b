//! The master as it serves: everything wired up, and nothing else.
//!
//! Two threads work. The `agent` thread answers managers and does nothing else, so that neither a new document nor the
//! keys of its users delay an answer. The main thread does all the rest. A third watches over both.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use daemon::{
    admin::Face,
    drain::{self, Watcher},
    heartbeat::Heartbeat,
    readiness::Readiness,
    signals::Signals,
    watchdog::{self, Watched},
};
use master_config::ParseError;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
    task::LocalSet,
    time::interval,
};

use crate::{
    admin,
    agent::{self, Command, Parts},
    authority::Grants,
    cli::{Invocation, RunArgs},
    config::{self, Configuration, Loaded},
    dispatch::Dispatcher,
    engine_store::EngineStore,
    identity::KubeReviewer,
    listener::{
        Arrival, Bound,
        tls::{BoundTls, Front, Outward, Settings},
    },
    listener::Bound,
    probe,
    snmp::{Engine, EngineIdentity, SystemObjects},
    statistics::Statistics,
    status::Status,
    traffic::Traffic,
};

/// How often the main thread shows that it runs.
const BEAT: Duration = Duration::from_secs(1);
/// How long ending may take in all.
const DRAIN: Duration = Duration::from_millis(970);
/// The longest time without a sign of life from the agent thread: managers give an answer about that long.
const AGENT_LIMIT: Duration = Duration::from_secs(3);
/// The same from the main thread, where a large document takes its time.
const MAIN_LIMIT: Duration = Duration::from_mins(1);
/// How many commands may wait for the agent thread.
const COMMANDS: usize = 16;

/// Does what was asked for.
///
/// # Errors
/// What keeps the program from doing it.
pub fn start(invocation: Invocation) -> anyhow::Result<ExitCode> {
    match invocation {
        Invocation::Check(args) => check(&args.config),
        Invocation::Probe(args) => answered(&probe::probe(&args)?),
        Invocation::Run(args) => {
            daemon::logging::init(&args.log)?;
            let runtime = runtime()?;
            let ended = runtime.block_on(run(args));
            // Keys that are being derived must not hold up the end.
            runtime.shutdown_background();
            ended.map(|()| ExitCode::SUCCESS)
        }
    }
}

/// Checks a document, strictly. Everything that is wrong goes to standard error.
fn check(path: &Path) -> anyhow::Result<ExitCode> {
    let contents = config::read(path).with_context(|| path.display().to_string())?;
    match master_config::parse_strict(&contents) {
        Ok(_) => say("the document is valid"),
        Err(ParseError::Invalid(violations)) => {
            for violation in violations {
                eprintln!("{}: {violation}", path.display());
            }
            Ok(ExitCode::FAILURE)
        }
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Prints a line, and that all is well.
fn say(line: &str) -> anyhow::Result<ExitCode> {
    match writeln!(io::stdout(), "{line}") {
        // A reader that has seen enough is no error.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn answered(probe::Answer { description, up_time }: &probe::Answer) -> anyhow::Result<ExitCode> {
    say(&format!("{description}, up for {}.{:02} s", up_time / 100, up_time % 100))
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_io().enable_time().build()
}

async fn run(args: RunArgs) -> anyhow::Result<()> {
    daemon::install_crypto_provider()?;
    let mut signals = Signals::install().context("cannot catch signals")?;
    let (trigger, watcher) = drain::channel();
    if let Err(error) = raise_descriptors() {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    let store = EngineStore::open(&args.state).context("cannot keep the SNMP engine's identity")?;
    if store.is_worn_out() {
        tracing::error!("the engine has no boots left: without another engine id SNMPv3 cannot be served");
    }
    let (statistics, traffic) = (Arc::new(Statistics::default()), Arc::new(Traffic::default()));
    let standing = Arc::default();
    let (commander, commands) = mpsc::channel(COMMANDS);
    let (main_heartbeat, agent_heartbeat) = (Heartbeat::new(), Heartbeat::new());
    let (status, readiness) = (Status::new(&store), Readiness::new());
    let unconfigured = readiness.block("configuration");
    let admin = Arc::new(admin::server(readiness, &status, &statistics, &traffic, &standing, commander.clone()));
    for (address, face) in [(args.listen, Face::Public), (args.local_listen, Face::Local)] {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))?;
        tracing::info!(%address, ?face, "listening");
        tokio::spawn(Arc::clone(&admin).serve(listener, face, watcher.clone()));
    }
    tokio::spawn(beat(main_heartbeat.clone()));

    let (door, operator) = (args.tls, args.operator_service_account);
    let mut configuration = Configuration::new(args.config, store.engine_id(), status.clone());
    let Loaded { document, access } = tokio::select! {
        signal = signals.received() => {
            tracing::info!(signal, "ending without ever having been configured");
            return Ok(());
        }
        loaded = configuration.next() => loaded,
    };
    let access = Arc::new(ArcSwap::from_pointee(access));
    let started = Instant::now();
    let identity = EngineIdentity { engine_id: store.engine_id().into(), boots: store.boots() };
    let objects = SystemObjects::new(identity.clone(), started, Arc::clone(&access), Arc::clone(&statistics));
    let mut bound = Bound::bind(&document.listeners)?;
    let (front, arrivals) = match bound.agentx_tls.take() {
        None => (None, None),
        Some(bound) => {
            let directory = door.context("listeners.agentxTls needs --tls, the folder of its certificate")?;
            let (replica, active) = (replica(), Arc::new(AtomicBool::new(true)));
            let settings = Settings { directory, operator, replica, active };
            let outward = (commander.clone(), Arc::clone(&traffic), watcher.clone());
            let (front, arrivals) = open_front(bound, settings, &document.limits, outward).await?;
            (Some(front), Some(arrivals))
        }
    };
    let mut dispatcher = Dispatcher::new(objects, &document.limits, started);
    dispatcher.grant(Grants::new(&document.contexts), started);
    let parts = Parts {
        engine: Engine::new(identity, Arc::clone(&access), statistics, started).context("cannot be an SNMP engine")?,
        dispatcher,
        bound,
        arrivals,
        commands,
        traffic,
        standing,
        heartbeat: agent_heartbeat.clone(),
    };
    agent_heartbeat.beat();
    let mut agent_ended = start_agent(parts, watcher).context("cannot start the agent thread")?;
    let thread = |name, limit, heartbeat| Watched { name, limit, heartbeat };
    watchdog::start(vec![thread("agent", AGENT_LIMIT, agent_heartbeat), thread("main", MAIN_LIMIT, main_heartbeat)])
        .context("cannot start the watchdog")?;
    status.loaded(&document);
    drop(unconfigured);
    tracing::info!("ready");

    loop {
        tokio::select! {
            signal = signals.received() => {
                tracing::info!(signal, "ending");
                break;
            }
            ended = &mut agent_ended => {
                ended.context("the agent thread has ended by a panic, which is a defect")?.context("cannot serve")?;
                anyhow::bail!("the agent thread has ended, which is a defect");
            }
            Loaded { document, access: new } = configuration.next() => {
                access.store(Arc::new(new));
                // The agent thread is gone only if it has ended, which is told above.
                _ = commander.send(Command::Limit(Box::new(document.limits.clone()))).await;
                _ = commander.send(Command::Grant(Box::new(Grants::new(&document.contexts)))).await;
                if let Some(front) = &front {
                    front.limit(&document.limits);
                }
                status.loaded(&document);
            }
        }
    }
    if let Err(overdue) = trigger.drain(DRAIN).await {
        tracing::warn!("{overdue}");
    }
    Ok(())
}

/// Opens the door of AgentX over TLS, with the API server that the environment leads to for reviewing tokens: that of
/// KUBECONFIG or `~/.kube/config`, else that of the cluster.
async fn open_front(
    bound: BoundTls,
    settings: Settings,
    limits: &master_config::Limits,
    (commander, traffic, drain): (mpsc::Sender<Command>, Arc<Traffic>, Watcher),
) -> anyhow::Result<(Front, mpsc::Receiver<Arrival>)> {
    let client = kube::Client::try_default().await;
    let client = client.context("listeners.agentxTls needs the Kubernetes API, to review tokens")?;
    let outward = Outward { reviewer: Box::new(KubeReviewer::new(client)), commander, traffic };
    Ok(Front::start(bound, settings, limits, outward, drain))
}

/// What this replica is called: its pod's name, else its host's.
fn replica() -> String {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim_end().to_owned());
    std::env::var("POD_NAME").or_else(|_| host()).unwrap_or_default()
}

/// Allows as many open files as the system grants: each subagent's connection is one.
fn raise_descriptors() -> nix::Result<()> {
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

/// Starts the thread that answers managers. The answer resolves when it ends, also by a panic.
fn start_agent(parts: Parts, watcher: Watcher) -> io::Result<oneshot::Receiver<io::Result<()>>> {
    let runtime = runtime()?;
    let (ended, receiver) = oneshot::channel();
    let thread = move || {
        let result = LocalSet::new().block_on(&runtime, agent::run(parts, watcher));
        // Whoever does not wait for it is ending as well.
        _ = ended.send(result);
    };
    thread::Builder::new().name("agent".to_owned()).spawn(thread)?;
    Ok(receiver)
}
