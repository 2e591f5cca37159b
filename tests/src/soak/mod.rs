//! A sidecar among sources and masters that fail at random. Its memory must stay where it was after the first minute,
//! and every answer to what the faults do not affect must be right.
//!
//! One sidecar serves six subtrees to three masters: snmpd or ours, which net-snmp's tools walk and which is killed and frozen;
//! a master in this process that asks without a pause and is always well; and one that is not. Half of the sources are
//! always well, the others fail in every way of [`SourceFault`](crate::SourceFault) and some more; the documents of three
//! subtrees are changed, broken and removed. At first every kind of fault comes once, then they come at random. What is
//! right is `truth`'s to say. In the end there are no more faults, and everything must show again.

mod actors;
mod asker;
mod clock;
mod folder;
mod layout;
mod memory;
mod nms;
mod rhythm;
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

pub use self::memory::Verdict;
use self::{
    actors::Stage,
    clock::Clock,
    folder::Folder,
    layout::{Plan, Times},
    memory::History,
    nms::Nms,
    source::{Source, Trouble},
    tally::Tally,
    truth::{Truth, Witness},
};
use crate::{DEADLINE, MasterFault, MasterKind, MasterSocket, Memory, Sandbox, Sidecar, SidecarOptions};

/// A soak.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// For how long there are faults. Memory is compared with that after the first minute, or after the first sixth of
    /// a shorter soak.
    pub duration: Duration,
    /// Repeats the faults and their times, as far as those of the machine allow.
    pub seed: u64,
    /// The agent that is walked.
    pub master: MasterKind,
}

impl Options {
    /// The moment whose memory all later is compared with.
    fn compared_with(self) -> Duration {
        (self.duration / 6).min(Duration::from_mins(1))
    }
}

/// What came of a soak.
#[derive(Debug)]
pub struct Summary {
    options: Options,
    tally: Arc<Tally>,
    verdict: Verdict,
}

impl Summary {
    /// Whether everything was as it must be.
    ///
    /// # Errors
    /// What was not.
    pub fn check(&self) -> Result<()> {
        self.judge().with_context(|| format!("seed {}", self.options.seed))
    }

    fn judge(&self) -> Result<()> {
        let (tally, verdict) = (&self.tally, self.verdict);
        ensure!(tally.answers() > 0, "nothing was asked");
        ensure!(tally.wrongs() == 0, "{} answers were wrong", tally.wrongs());
        let faults = tally.faults();
        for expected in
            Trouble::all().iter().map(|trouble| trouble.name()).chain(MasterFault::ALL.map(|f| f.to_string()))
        {
            ensure!(faults.contains_key(&expected), "there was no fault '{expected}': the time was too short");
        }
        ensure!(verdict.holds(), "memory rose from {} KiB to {} KiB", verdict.first, verdict.highest);
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { options, tally, verdict } = self;
        writeln!(f, "seed {}, {} s", options.seed, options.duration.as_secs())?;
        for (fault, count) in tally.faults() {
            writeln!(f, "  {count:5} × {fault}")?;
        }
        writeln!(f, "{} variables checked, {} answers wrong", tally.answers(), tally.wrongs())?;
        for told in tally.told() {
            writeln!(f, "  wrong: {told}")?;
        }
        let Verdict { first, last, highest } = verdict;
        let after = options.compared_with().as_secs();
        write!(f, "memory after {after} s {first} KiB, then at most {highest} KiB, at the end {last} KiB")
    }
}

const WELL: Times =
    Times { interval: Duration::from_secs(1), timeout: Duration::from_secs(1), stale_after: Duration::from_mins(1) };
const UNWELL: Times = Times {
    interval: Duration::from_millis(500),
    timeout: Duration::from_millis(500),
    stale_after: Duration::from_secs(10),
};
/// The soak's sources: so many rows, how they are scraped.
const SOURCES: [(usize, Times); 8] =
    [(300, WELL), (50, WELL), (50, WELL), (50, WELL), (50, UNWELL), (50, UNWELL), (50, UNWELL), (50, UNWELL)];
/// From this one on sources are unwell.
const FIRST_UNWELL: usize = 4;
/// From this one on subtrees have documents that change.
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

/// Runs a soak, and tells of it as it goes on.
///
/// # Errors
/// What kept it from being run to its end. What was wrong otherwise is for [`Summary::check`] to say.
pub fn run(options: Options, out: &mut (dyn Write + Send)) -> Result<Summary> {
    let Options { duration, seed, master: kind } = options;
    writeln!(out, "seed {seed}, {} s of faults", duration.as_secs())?;
    let (sandbox, clock, plans) = (Sandbox::new()?, Clock::start(), plans());
    let mut sources = Vec::new();
    for (rows, times) in SOURCES {
        sources.push((Source::start(clock, rows)?, times));
    }
    let witnesses = sources.iter().map(|(source, times)| Witness { shown: Arc::clone(&source.shown), times: *times });
    let truth = Arc::new(Truth::new(clock, &plans, witnesses.collect(), &SOURCES.map(|(rows, _)| rows))?);
    let stage = Stage { truth, tally: Arc::default(), calm: Arc::default(), over: Arc::default(), seed };

    let mut folder = Folder::new(&sandbox, &plans, &sources)?;
    let mut agent = kind.start(&sandbox)?;
    let well = MasterSocket::unix(&sandbox.path("well.agentx"))?;
    let faulty = MasterSocket::tcp()?;
    let masters = vec![agent.unix_url(), well.url()?, faulty.url()?];
    let config = folder.mounted.clone();
    let mut sidecar =
        Sidecar::start_unready(&sandbox, SidecarOptions { config, masters, ..SidecarOptions::default() })?;

    let mut master = well.accept(DEADLINE)?.context("the sidecar does not connect")?;
    master.grant(plans.iter().map(|plan| plan.contexts.len()).sum())?;
    sidecar.wait_ready()?;
    let mut asker = stage.asker("the master without faults");
    stage.wait_until_whole(&mut master, &mut asker, 1)?;
    let mut nms = Nms {
        sandbox: sandbox.clone(),
        truth: Arc::clone(&stage.truth),
        tally: Arc::clone(&stage.tally),
        stop: Arc::clone(&stage.calm),
        random: stage.random("nms"),
    };
    nms.wait_until_whole(&*agent, 1)?;
    stage.truth.settle();

    let process = sidecar.id()?;
    let memory = Mutex::new(History::default());
    let failed = thread::scope(|scope| -> Vec<String> {
        let mut actors = Vec::new();
        let guard = |name: &str, ended: Result<()>| guard(&stage, name, ended);
        let unwell = sources.iter().skip(FIRST_UNWELL).map(|(source, _)| source);
        let count = sources.len() - FIRST_UNWELL;
        for (number, source) in unwell.enumerate() {
            let stage = &stage;
            actors.push(scope.spawn(move || {
                stage.trouble_source(source, (number, count));
                Ok(())
            }));
        }
        let changed: Vec<(usize, &Plan)> = plans.iter().enumerate().skip(FIRST_CHANGED).collect();
        let (stage, sources, memory) = (&stage, &sources, &memory);
        actors
            .push(scope.spawn(move || guard("configuration", stage.change_documents(&mut folder, &changed, sources))));
        actors.push(scope.spawn(move || guard("the faulty master", stage.misbehave(&faulty))));
        actors.push(scope.spawn(move || {
            guard("memory", watch_memory(process, options, stage, memory, out).context("the sidecar's memory"))
        }));
        let steady = scope.spawn(move || {
            guard(
                "the master without faults",
                stage.ask_steadily(&mut master, &mut asker).and_then(|()| {
                    let since = stage.truth.clock.now();
                    stage.wait_until_whole(&mut master, &mut asker, since)
                }),
            )
        });
        // Here, in the thread that started the agent: it ends with the thread that starts it again.
        let mut ended = vec![guard("the agent", nms.run(&mut *agent))];
        ended.extend(actors.into_iter().map(join));
        stage.over.stop();
        ended.push(join(steady));
        ended.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect()
    });
    if !failed.is_empty() {
        let told = stage.tally.told().join("\n");
        bail!("seed {seed}: {}\n{told}\n{}", failed.join("\n"), sandbox.tails());
    }
    sidecar.running()?;
    let memory = memory.into_inner().unwrap_or_else(PoisonError::into_inner);
    let verdict = memory.judge(options.compared_with(), duration)?;
    Ok(Summary { options, tally: stage.tally, verdict })
}

/// An actor that fails ends the soak for all.
fn guard(stage: &Stage, name: &str, ended: Result<()>) -> Result<()> {
    if ended.is_err() {
        stage.calm.stop();
        stage.over.stop();
    }
    ended.with_context(|| name.to_owned())
}

fn join(actor: thread::ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    actor.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Samples the memory once a second and tells of it, until the faults are to end.
fn watch_memory(
    process: u32,
    options: Options,
    stage: &Stage,
    memory: &Mutex<History>,
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let step = (options.duration / 10).min(Duration::from_mins(1));
    writeln!(out, "      s  RSS KiB   faults   variables  wrong")?;
    let began = Instant::now();
    let mut told = step;
    loop {
        let at = began.elapsed();
        let (newest, over) = {
            let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.sample(at, Memory::of(process)?.resident >> 10);
            (memory.newest(), at >= options.duration)
        };
        if at >= told {
            told += step;
            let (tally, seconds) = (&stage.tally, at.as_secs());
            let faults: u64 = tally.faults().values().sum();
            writeln!(out, "{seconds:7} {newest:8} {faults:8} {:11} {:6}", tally.answers(), tally.wrongs())?;
        }
        if over {
            stage.calm.stop();
        }
        if over || stage.calm.pause(Duration::from_secs(1)) {
            return Ok(());
        }
    }
}
