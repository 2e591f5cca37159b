//! The actors of a soak, each of which runs in its own thread.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};

use super::{
    clock::{Moment, StopSignal, millis},
    folder::{Change, Folder},
    layout::{Plan, Times},
    requester::Requester,
    schedule::FaultSchedule,
    source::{Source, SourceTrouble},
    tally::Tally,
    truth::Truth,
};
use crate::{DEADLINE, MasterFault, Random, ScriptedMaster, ScriptedMasterListener};

/// The pause between two requests of a master, which leaves processor time to the other actors.
const PAUSE: Duration = Duration::from_millis(2);

/// The state that all actors share.
#[derive(Clone)]
pub(super) struct SoakState {
    pub(super) truth: Arc<Truth>,
    pub(super) tally: Arc<Tally>,
    /// Stops the faults.
    pub(super) faults_over: Arc<StopSignal>,
    /// Stops the requests.
    pub(super) all_over: Arc<StopSignal>,
    pub(super) seed: u64,
}

impl SoakState {
    pub(super) fn requester(&self, name: &'static str) -> Requester {
        let random = Random::for_actor(self.seed, name);
        Requester::new(name, Arc::clone(&self.truth), Arc::clone(&self.tally), random)
    }

    pub(super) fn random(&self, name: &str) -> Random {
        Random::for_actor(self.seed, name)
    }

    fn now(&self) -> Moment {
        self.truth.clock.now()
    }

    /// Breaks one source repeatedly.
    pub(super) fn break_source(&self, source: &Source, (number, actors): (usize, usize)) {
        let actor = format!("faulty source {number}");
        let mut schedule =
            FaultSchedule::new(SourceTrouble::all(), &SourceTrouble::HEAVY, (number, actors), self.random(&actor));
        while let Some((pause, trouble, lasts)) = schedule.next() {
            if self.faults_over.pause(pause) {
                break;
            }
            self.tally.begin_fault(&actor, &trouble.name());
            source.start_trouble(trouble, schedule.random());
            self.faults_over.pause(lasts);
            source.recover();
            self.tally.end_fault(&actor);
        }
    }

    /// Changes the documents of subtrees repeatedly. `plans` holds each subtree's plan with its index.
    pub(super) fn change_documents(
        &self,
        folder: &mut Folder,
        plans: &[(usize, &Plan)],
        sources: &[(Source, Times)],
    ) -> Result<()> {
        let mut schedule = FaultSchedule::new(Change::ALL.to_vec(), &[], (0, 1), self.random("configuration"));
        while let Some((pause, change, lasts)) = schedule.next() {
            let (number, plan) = schedule.random().pick(plans).copied().context("no document to change")?;
            if self.faults_over.pause(pause) {
                break;
            }
            let subtree = self.truth.subtrees.get(number).context("no such subtree")?;
            self.tally.begin_fault("configuration", &format!("configuration: {change:?}"));
            if change.changes_objects() {
                subtree.begin_change(self.now());
            }
            folder.change(plan, change, sources)?;
            self.faults_over.pause(lasts);
            folder.change(plan, Change::Same, sources)?;
            if change.changes_objects() {
                subtree.end_change(self.now());
            }
            self.tally.end_fault("configuration");
        }
        Ok(())
    }

    /// Sends requests from the healthy master until the soak ends. The session must last.
    pub(super) fn send_requests(&self, master: &mut ScriptedMaster, requester: &mut Requester) -> Result<()> {
        while !self.all_over.pause(PAUSE) {
            requester.send_request(master).context("the session with the healthy master")?;
        }
        Ok(())
    }

    /// Plays a master that alternates between healthy phases and faults, until the faults stop. Then waits until the sidecar
    /// has connected again and everything is published.
    pub(super) fn play_faulty_master(&self, socket: &ScriptedMasterListener) -> Result<()> {
        let mut schedule =
            FaultSchedule::new(MasterFault::ALL.to_vec(), &MasterFault::HEAVY, (0, 1), self.random("faulty master"));
        let base = self.truth.subtrees.first().context("no subtree")?.base.clone();
        while let Some((pause, fault, lasts)) = schedule.next() {
            self.tally.begin_fault("faulty master", &fault.to_string());
            let mut master = accept(socket)?;
            // The subagent may disconnect from such a master.
            _ = fault.inflict(&mut master, &base, lasts, schedule.random());
            drop(master);
            self.tally.end_fault("faulty master");
            if self.faults_over.is_stopped() {
                break;
            }
            let mut master = self.open(socket)?;
            let until = self.now() + millis(pause);
            let mut requester = self.requester("faulty master in a healthy phase");
            while self.now() < until && !self.faults_over.pause(PAUSE) {
                requester.send_request(&mut master).context("the session with the faulty master in a healthy phase")?;
            }
        }
        let mut master = self.open(socket)?;
        let since = self.now();
        self.wait_until_complete(&mut master, &mut self.requester("faulty master"), since)
    }

    /// Accepts connections until one has a registration. Earlier ones may be connections that the sidecar has given up.
    fn open(&self, socket: &ScriptedMasterListener) -> Result<ScriptedMaster> {
        let until = self.now() + millis(DEADLINE);
        loop {
            let mut master = accept(socket)?;
            match master.grant(1) {
                Ok(()) => return Ok(master),
                Err(error) if self.now() > until => return Err(error.context("the sidecar did not register again")),
                Err(_) => {}
            }
        }
    }

    /// Waits until a walk shows all instances with values from `since` or later.
    pub(super) fn wait_until_complete(
        &self,
        master: &mut ScriptedMaster,
        requester: &mut Requester,
        since: Moment,
    ) -> Result<()> {
        let until = self.now() + millis(DEADLINE);
        loop {
            let seen = requester.walk_everything(master, since);
            match seen {
                Err(error) if self.now() > until => return Err(error.context("the walk is incomplete")),
                Err(_) => _ = self.all_over.pause(Duration::from_millis(100)),
                Ok(()) => return Ok(()),
            }
        }
    }
}

fn accept(socket: &ScriptedMasterListener) -> Result<ScriptedMaster> {
    socket.accept(DEADLINE)?.context("the sidecar did not connect again")
}
