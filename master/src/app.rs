//! The master as it serves: everything wired up, and nothing else.
//!
//! In a cluster the same is done by each replica, and the one that holds the Lease answers managers.
//!
//! Two threads work. The `agent` thread answers managers and does nothing else, so that neither a new document nor the
//! keys of its users delay an answer. The main thread does all the rest. A third watches over both.

use std::{
    io::{self, Write},
    path::Path,
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
use master_config::ParseError;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
    task::LocalSet,
    time::interval,
};
use tracing::level_filters::LevelFilter;

use crate::{
    admin,
    agent::{self, Active, Parts},
    authority::Grants,
    cli::{Invocation, RunArgs},
    config::{self, Configuration, Loaded},
    desk::Desk,
    dispatch::Dispatcher,
    home::Home,
    identity::KubeReviewer,
    listener::{
        Bound,
        tls::{Front, Outward, Settings},
    },
    probe,
    service::Service,
    statistics::Statistics,
    status::Status,
    traffic::Traffic,
};

/// How often the main thread shows that it runs.
const BEAT: Duration = Duration::from_secs(1);
/// Libraries that tell each failed call in the log; what comes of it is told here, once.
const TALKATIVE: [&str; 2] = ["kube_client", "kube_runtime"];
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
            daemon::logging::init(&quiet(&args.log))?;
            let runtime = runtime()?;
            let ended = runtime.block_on(run(*args));
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
    let status = Status::default();
    let mut home = Home::open(&args).await?;
    let (statistics, traffic) = (Arc::new(Statistics::default()), Arc::new(Traffic::default()));
    let standing = Arc::default();
    let (commander, commands) = mpsc::channel(COMMANDS);
    let (main_heartbeat, agent_heartbeat) = (Heartbeat::new(), Heartbeat::new());
    let readiness = Readiness::new();
    let unconfigured = readiness.block("configuration");
    let admin =
        Arc::new(admin::server(readiness.clone(), &status, &statistics, &traffic, &standing, commander.clone()));
    for (address, face) in [(args.listen, Face::Public), (args.local_listen, Face::Local)] {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))?;
        tracing::info!(%address, ?face, "listening");
        tokio::spawn(Arc::clone(&admin).serve(listener, face, watcher.clone()));
    }
    tokio::spawn(beat(main_heartbeat.clone()));

    let begun = async {
        let unknown = readiness.block("engine");
        let engine = home.engine(&status).await;
        drop(unknown);
        let mut configuration = Configuration::new(home.source(&status), &engine.engine_id, status.clone());
        let loaded = configuration.next().await;
        (engine, configuration, loaded)
    };
    let (engine, configuration, Loaded { document, access }) = tokio::select! {
        signal = signals.received() => {
            tracing::info!(signal, "ending without ever having been configured");
            return Ok(());
        }
        begun = begun => begun,
    };
    let access = Arc::new(ArcSwap::from_pointee(access));
    let is_alone = matches!(home, Home::Alone(..));
    let active = Arc::new(AtomicBool::new(is_alone));
    let desk = Desk { access, statistics, commander, active: Arc::clone(&active), status: status.clone() };
    let Active { engine: first, objects, started } = desk.engine(&engine).context("cannot be an SNMP engine")?;
    let mut bound = Bound::bind(&document.listeners)?;
    let (front, arrivals) = match bound.agentx_tls.take() {
        None => (None, None),
        Some(bound) => {
            let directory = args.tls.context("listeners.agentxTls needs --tls, the folder of its certificate")?;
            let (operator, replica) = (args.operator_service_account, home.name());
            let settings = Settings { directory, operator, replica, active };
            let client =
                home.client().await.context("listeners.agentxTls needs the Kubernetes API, to review tokens")?;
            let reviewer = Box::new(KubeReviewer::new(client));
            let (commander, traffic) = (desk.commander.clone(), Arc::clone(&traffic));
            let outward = Outward { reviewer, commander, traffic };
            let (front, arrivals) = Front::start(bound, settings, &document.limits, outward, watcher.clone());
            (Some(front), Some(arrivals))
        }
    };
    let mut dispatcher = Dispatcher::new(objects, &document.limits, started);
    dispatcher.grant(Grants::new(&document.contexts), started);
    let parts = Parts {
        engine: is_alone.then_some(first),
        dispatcher,
        bound,
        arrivals,
        commands,
        traffic,
        standing,
        heartbeat: agent_heartbeat.clone(),
    };
    agent_heartbeat.beat();
    let agent_ended = start_agent(parts, watcher).context("cannot start the agent thread")?;
    let thread = |name, limit, heartbeat| Watched { name, limit, heartbeat };
    watchdog::start(vec![thread("agent", AGENT_LIMIT, agent_heartbeat), thread("main", MAIN_LIMIT, main_heartbeat)])
        .context("cannot start the watchdog")?;
    status.loaded(&document);
    if is_alone {
        status.activated(&engine);
    }
    let replica = home.replica(&status);
    drop(unconfigured);
    tracing::info!("ready");
    let mut service = Service { desk, front, configuration, replica, agent_ended, awaited: None };
    service.serve(&mut signals).await?;
    service.end(trigger).await;
    Ok(())
}

/// The log without what libraries say of each call, unless it is asked for by name.
fn quiet(log: &LogArgs) -> LogArgs {
    let mut log = log.clone();
    for library in TALKATIVE {
        if !log.log_level.iter().any(|(target, _)| target == library) {
            log.log_level = log.log_level.with_target(library, LevelFilter::OFF);
        }
    }
    log
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
