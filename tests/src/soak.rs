//! The soak test: a sidecar among sources and masters that fail at random. Its memory must not grow after the first
//! minute, and every response about objects that the faults do not affect must be right.
//!
//! One sidecar serves six subtrees to three masters: snmpd or snmp-master, which net-snmp's tools walk and which is killed
//! and frozen; a healthy scripted master, which sends requests without a pause; and a faulty scripted master. Half of the
//! sources are healthy. The others fail in every way of [`SourceFault`](crate::SourceFault) and some more. The documents
//! of three subtrees are changed, broken and removed. First every kind of fault occurs once, then they occur at random.
//! The module `truth` knows which responses are right. In the end the faults stop, and everything must be published again.

mod actors;
mod clock;
mod folder;
mod layout;
mod memory;
mod nms;
mod requester;
mod schedule;
mod source;
mod tally;
mod truth;

use std::{
    fmt,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

pub use self::memory::Growth;
use self::{
    actors::SoakState,
    clock::Clock,
    folder::Folder,
    layout::{Plan, Times},
    memory::History,
    nms::Nms,
    source::{Source, SourceTrouble},
    tally::Tally,
    truth::{TrackedSource, Truth},
};
use crate::{DEADLINE, MasterFault, MasterKind, Memory, Sandbox, ScriptedMasterListener, Sidecar, SidecarOptions};

/// The options of a soak.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long faults occur. Memory is compared with the memory after the first minute, or after the first sixth of a
    /// soak of less than six minutes.
    pub duration: Duration,
    /// The seed of the faults and their times. The timing of the machine can still differ between runs.
    pub seed: u64,
    /// The master that net-snmp's tools walk.
    pub master: MasterKind,
}

impl Options {
    /// Returns the time of the reference measurement. All later memory use is compared with the memory use at this time.
    fn compared_with(self) -> Duration {
        (self.duration / 6).min(Duration::from_mins(1))
    }
}

/// The result of a soak.
#[derive(Debug)]
pub struct Summary {
    options: Options,
    tally: Arc<Tally>,
    growth: Growth,
}

impl Summary {
    /// Checks that every response was right, that every kind of fault occurred, and that the memory did not grow.
    ///
    /// # Errors
    /// Returns an error if a check fails.
    pub fn check(&self) -> Result<()> {
        self.check_all().with_context(|| format!("seed {}", self.options.seed))
    }

    fn check_all(&self) -> Result<()> {
        let (tally, growth) = (&self.tally, self.growth);
        ensure!(tally.varbinds() > 0, "no varbind was checked");
        ensure!(tally.wrong_responses() == 0, "{} responses were wrong", tally.wrong_responses());
        let faults = tally.faults();
        for expected in
            SourceTrouble::all().iter().map(|trouble| trouble.name()).chain(MasterFault::ALL.map(|f| f.to_string()))
        {
            ensure!(faults.contains_key(&expected), "the fault '{expected}' did not occur: the soak was too short");
        }
        ensure!(growth.is_tolerable(), "memory grew from {} KiB to {} KiB", growth.first, growth.highest);
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { options, tally, growth } = self;
        writeln!(f, "seed {}, {} s", options.seed, options.duration.as_secs())?;
        for (fault, count) in tally.faults() {
            writeln!(f, "  {count:5} × {fault}")?;
        }
        writeln!(f, "{} varbinds checked, {} responses wrong", tally.varbinds(), tally.wrong_responses())?;
        for report in tally.reports() {
            writeln!(f, "  wrong: {report}")?;
        }
        let Growth { first, last, highest } = growth;
        let after = options.compared_with().as_secs();
        write!(f, "memory: {first} KiB after {after} s, then {highest} KiB at most, {last} KiB at the end")
    }
}

/// How a healthy source is scraped.
const HEALTHY: Times =
    Times { interval: Duration::from_secs(1), timeout: Duration::from_secs(1), stale_after: Duration::from_mins(1) };
/// How a faulty source is scraped.
const FAULTY: Times = Times {
    interval: Duration::from_millis(500),
    timeout: Duration::from_millis(500),
    stale_after: Duration::from_secs(10),
};
/// The sources of the soak: the number of rows, and how they are scraped.
const SOURCES: [(usize, Times); 8] = [
    (300, HEALTHY),
    (50, HEALTHY),
    (50, HEALTHY),
    (50, HEALTHY),
    (50, FAULTY),
    (50, FAULTY),
    (50, FAULTY),
    (50, FAULTY),
];
/// The index of the first faulty source.
const FIRST_FAULTY: usize = 4;
/// The index of the first subtree whose document changes.
const FIRST_CHANGED: usize = 3;

fn plans() -> Vec<Plan> {
    let plan = |name, arc, contexts, sources: &[usize]| Plan { name, arc, contexts, sources: sources.to_vec() };
    let default: &[&str] = &[""];
    vec![
        plan("steady", 1, default, &[0]),
        plan("contexts", 2, &["", "other"], &[1, 2]),
        plan("mixed", 3, default, &[3, 4]),
        plan("faulty-5", 4, default, &[5]),
        plan("faulty-6", 5, default, &[6]),
        plan("faulty-7", 6, default, &[7]),
    ]
}

/// Runs a soak and writes its progress to `out`.
///
/// # Errors
/// Returns an error if the soak cannot be run to its end. [`Summary::check`] returns the errors of a complete soak.
pub fn run(options: Options, out: &mut (dyn Write + Send)) -> Result<Summary> {
    let Options { duration, seed, master: kind } = options;
    writeln!(out, "seed {seed}, {} s of faults", duration.as_secs())?;
    let (sandbox, clock, plans) = (Sandbox::new()?, Clock::start(), plans());
    let mut sources = Vec::new();
    for (rows, times) in SOURCES {
        sources.push((Source::start(clock, rows)?, times));
    }
    let tracked_sources =
        sources.iter().map(|(source, times)| TrackedSource { shown: Arc::clone(&source.shown), times: *times });
    let truth = Arc::new(Truth::new(clock, &plans, tracked_sources.collect(), &SOURCES.map(|(rows, _)| rows))?);
    let state = SoakState { truth, tally: Arc::default(), faults_over: Arc::default(), all_over: Arc::default(), seed };

    let mut folder = Folder::new(&sandbox, &plans, &sources)?;
    let mut agent = kind.start(&sandbox)?;
    let healthy = ScriptedMasterListener::unix(&sandbox.path("healthy.agentx"))?;
    let faulty = ScriptedMasterListener::tcp()?;
    let masters = vec![agent.unix_url(), healthy.url()?, faulty.url()?];
    let config = folder.mounted.clone();
    let mut sidecar =
        Sidecar::start_unready(&sandbox, SidecarOptions { config, masters, ..SidecarOptions::default() })?;

    let mut master = healthy.accept(DEADLINE)?.context("the sidecar did not connect")?;
    master.grant(plans.iter().map(|plan| plan.contexts.len()).sum())?;
    sidecar.wait_ready()?;
    let mut requester = state.requester("the healthy master");
    state.wait_until_complete(&mut master, &mut requester, 1)?;
    let mut nms = Nms {
        sandbox: sandbox.clone(),
        truth: Arc::clone(&state.truth),
        tally: Arc::clone(&state.tally),
        stop: Arc::clone(&state.faults_over),
        random: state.random("nms"),
    };
    nms.wait_until_complete(&*agent, 1)?;
    state.truth.start_checking();

    let process = sidecar.id()?;
    let memory = Mutex::new(History::default());
    let failed = thread::scope(|scope| -> Vec<String> {
        let mut actors = Vec::new();
        let guard = |name: &str, ended: Result<()>| guard(&state, name, ended);
        let faulty_sources = sources.iter().skip(FIRST_FAULTY).map(|(source, _)| source);
        let count = sources.len() - FIRST_FAULTY;
        for (number, source) in faulty_sources.enumerate() {
            let state = &state;
            actors.push(scope.spawn(move || {
                state.break_source(source, (number, count));
                Ok(())
            }));
        }
        let changed: Vec<(usize, &Plan)> = plans.iter().enumerate().skip(FIRST_CHANGED).collect();
        let (state, sources, memory) = (&state, &sources, &memory);
        actors
            .push(scope.spawn(move || guard("configuration", state.change_documents(&mut folder, &changed, sources))));
        actors.push(scope.spawn(move || guard("the faulty master", state.play_faulty_master(&faulty))));
        actors.push(scope.spawn(move || {
            guard("memory", watch_memory(process, options, state, memory, out).context("the sidecar's memory"))
        }));
        let steady = scope.spawn(move || {
            guard(
                "the healthy master",
                state.send_requests(&mut master, &mut requester).and_then(|()| {
                    let since = state.truth.clock.now();
                    state.wait_until_complete(&mut master, &mut requester, since)
                }),
            )
        });
        // In this thread, because the agent ends with the thread that starts it.
        let mut ended = vec![guard("the agent", nms.walk_and_break(&mut *agent))];
        ended.extend(actors.into_iter().map(join));
        state.all_over.stop();
        ended.push(join(steady));
        ended.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect()
    });
    if !failed.is_empty() {
        let reports = state.tally.reports().join("\n");
        bail!("seed {seed}: {}\n{reports}\n{}", failed.join("\n"), sandbox.tails());
    }
    sidecar.running()?;
    let memory = memory.into_inner().unwrap_or_else(PoisonError::into_inner);
    let growth = memory.growth(options.compared_with(), duration)?;
    Ok(Summary { options, tally: state.tally, growth })
}

/// Ends the soak for all actors if one of them has failed.
fn guard(state: &SoakState, name: &str, ended: Result<()>) -> Result<()> {
    if ended.is_err() {
        state.faults_over.stop();
        state.all_over.stop();
    }
    ended.with_context(|| name.to_owned())
}

fn join(actor: thread::ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    actor.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Samples the memory every second and reports it ten times, until the faults end.
fn watch_memory(
    process: u32,
    options: Options,
    state: &SoakState,
    memory: &Mutex<History>,
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let step = (options.duration / 10).min(Duration::from_mins(1));
    writeln!(out, "      s  RSS KiB   faults    varbinds  wrong")?;
    let began = Instant::now();
    let mut next_report = step;
    loop {
        let at = began.elapsed();
        let (newest, over) = {
            let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.sample(at, Memory::of(process)?.resident >> 10);
            (memory.newest(), at >= options.duration)
        };
        if at >= next_report {
            next_report += step;
            let (tally, seconds) = (&state.tally, at.as_secs());
            let faults: u64 = tally.faults().values().sum();
            writeln!(out, "{seconds:7} {newest:8} {faults:8} {:11} {:6}", tally.varbinds(), tally.wrong_responses())?;
        }
        if over {
            state.faults_over.stop();
        }
        if over || state.faults_over.pause(Duration::from_secs(1)) {
            return Ok(());
        }
    }
}
