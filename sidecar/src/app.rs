//! The sidecar as it serves: everything wired up, and nothing else.
//!
//! Two threads work. The `session` thread answers masters, from memory, and does nothing else, so that no scrape or
//! mapping, however large, delays an answer. The main thread does all the rest. A third watches over both.

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
    admin,
    cli::{Invocation, RunArgs},
    commands,
    config::Watch,
    defect::resume_panic,
    exports::ExportTable,
    gates::Gates,
    mapping,
    pipeline::Surroundings,
    pod,
    source::Place,
    state::StateFolder,
    status::Status,
    subagent::Subagent,
    subtrees::Subtrees,
    write::{Desk, Outside},
};

/// How often configuration, readiness and subtrees are looked after.
const TICK: Duration = Duration::from_secs(1);
/// The same until the sidecar is ready for the first time.
const FIRST_TICKS: Duration = Duration::from_millis(100);
/// How long ending may take in all.
const DRAIN: Duration = Duration::from_millis(970);
/// The longest time without a sign of life from the sessions: less than it takes snmpd to give up a session.
const SESSION_LIMIT: Duration = Duration::from_secs(3);
/// The same from the main thread, where a large mapping takes its time.
const MAIN_LIMIT: Duration = Duration::from_mins(1);

/// Does what was asked for.
///
/// # Errors
/// What keeps the program from doing it.
pub fn start(invocation: Invocation) -> anyhow::Result<ExitCode> {
    daemon::install_crypto_provider()?;
    match invocation {
        Invocation::Check(args) => commands::check(&args),
        Invocation::Walk(args) => {
            let runtime = runtime()?;
            let ended = runtime.block_on(commands::walk(&args));
            // A file system that hangs must not hold up the end.
            runtime.shutdown_background();
            ended
        }
        Invocation::Run(args) => {
            daemon::logging::init(&args.log)?;
            let runtime = runtime()?;
            let ended = runtime.block_on(run(args));
            // A write that hangs must not hold up the end, nor a file system.
            runtime.shutdown_background();
            ended.map(|()| ExitCode::SUCCESS)
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_io().enable_time().build()
}

async fn run(args: RunArgs) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("cannot catch signals")?;
    let (trigger, watcher) = drain::channel();
    let pod_name = pod::name(args.pod_name.as_deref());
    let (files, roots) = (args.tls_files(), args.roots.roots());
    let operator = args.operator();
    let (exports, state) = (ExportTable::new(), StateFolder::new(args.state));
    let place = Place { folder: args.config.clone(), ports: args.ports, roots };
    let (desk, decide) = Desk::new(Outside::new(&place, operator), state.clone());
    tokio::spawn(decide);

    let description = format!("snmp-sidecar {} {pod_name}", env!("CARGO_PKG_VERSION"));
    let subagents = args
        .masters
        .into_iter()
        .map(|url| Subagent::new(url, files.clone(), exports.subscribe(), desk.clone(), &description));
    let subagents: Vec<_> = subagents.collect();
    let status = Status::new(&pod_name, subagents.iter().map(Subagent::status).collect(), state.clone(), desk.counts());
    let main_heartbeat = Heartbeat::new();
    watchdog::start(watched(&main_heartbeat, &subagents)).context("cannot start the watchdog")?;

    let readiness = Readiness::new();
    let mut gates = Gates::new(readiness.clone());
    let admin = Arc::new(admin::server(readiness, &status, &exports));
    for (address, face) in [(args.listen, Face::Public), (args.local_listen, Face::Local)] {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))?;
        tracing::info!(%address, ?face, "listening");
        tokio::spawn(Arc::clone(&admin).serve(listener, face, watcher.clone()));
    }
    let mut sessions_ended = start_sessions(subagents, watcher).context("cannot start the session thread")?;

    let mut watch = Watch::new(args.config.clone(), args.labels);
    let mut subtrees = Subtrees::new(Surroundings {
        place,
        pod_index: 0,
        state,
        exports: exports.clone(),
        desk,
        status: status.clone(),
    });
    let mut ticks = interval(FIRST_TICKS);
    loop {
        tokio::select! {
            signal = signals.received() => {
                tracing::info!(signal, "ending");
                break;
            }
            _ = &mut sessions_ended => anyhow::bail!("the session thread has ended, which is a defect"),
            now = ticks.tick() => {
                main_heartbeat.beat();
                if let Some(selection) = watch.poll(SystemTime::now()).cloned() {
                    let pod_index = mapping::pod_index(watch.labels(), &pod_name);
                    status.configured(&selection, pod_index);
                    subtrees.apply(&selection, pod_index);
                }
                status.configuration_errors(watch.errors().collect());
                subtrees.tend(now);
                if gates.update(&status, &exports) && ticks.period() != TICK {
                    tracing::info!("ready");
                    ticks = interval_at(now + TICK, TICK);
                    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                }
            }
        }
    }
    drop(subtrees);
    if let Err(overdue) = trigger.drain(DRAIN).await {
        tracing::warn!("{overdue}");
    }
    Ok(())
}

/// Starts the thread that answers masters. The answer resolves when it ends, also by a panic.
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

fn watched(main: &Heartbeat, subagents: &[Subagent]) -> Vec<Watched> {
    let watched = |name, limit, heartbeat: Heartbeat| Watched { name, limit, heartbeat };
    let sessions = subagents.iter().map(|subagent| watched("session", SESSION_LIMIT, subagent.heartbeat()));
    sessions.chain([watched("main", MAIN_LIMIT, main.clone())]).collect()
}
