//! Who does what in a soak, each in a thread of its own.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};

use super::{
    asker::Asker,
    clock::{Moment, Stop, millis},
    folder::{Change, Folder},
    layout::{Plan, Times},
    rhythm::Rhythm,
    source::{Source, Trouble},
    tally::Tally,
    truth::Truth,
};
use crate::{DEADLINE, Master, MasterFault, MasterSocket, Random};

/// Between two questions of a master: so many fewer cycles, that others have some too.
const PACE: Duration = Duration::from_millis(2);

/// What all actors need.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) truth: Arc<Truth>,
    pub(super) tally: Arc<Tally>,
    /// No more faults.
    pub(super) calm: Arc<Stop>,
    /// No more questions.
    pub(super) over: Arc<Stop>,
    pub(super) seed: u64,
}

impl Stage {
    pub(super) fn asker(&self, name: &'static str) -> Asker {
        let random = Random::for_actor(self.seed, name);
        Asker::new(name, Arc::clone(&self.truth), Arc::clone(&self.tally), random)
    }

    pub(super) fn random(&self, name: &str) -> Random {
        Random::for_actor(self.seed, name)
    }

    fn now(&self) -> Moment {
        self.truth.clock.now()
    }

    /// Troubles one source again and again.
    pub(super) fn trouble_source(&self, source: &Source, (number, actors): (usize, usize)) {
        let place = format!("faulty source {number}");
        let mut rhythm = Rhythm::new(Trouble::all(), &Trouble::HEAVY, (number, actors), self.random(&place));
        while let Some((pause, trouble, lasts)) = rhythm.next() {
            if self.calm.pause(pause) {
                break;
            }
            self.tally.begin(&place, &trouble.name());
            source.trouble(trouble, rhythm.random());
            self.calm.pause(lasts);
            source.recover();
            self.tally.end(&place);
        }
    }

    /// Changes the documents of these subtrees, given with their numbers, again and again.
    pub(super) fn change_documents(
        &self,
        folder: &mut Folder,
        plans: &[(usize, &Plan)],
        sources: &[(Source, Times)],
    ) -> Result<()> {
        let mut rhythm = Rhythm::new(Change::ALL.to_vec(), &[], (0, 1), self.random("configuration"));
        while let Some((pause, change, lasts)) = rhythm.next() {
            let (number, plan) = rhythm.random().pick(plans).copied().context("no document to change")?;
            if self.calm.pause(pause) {
                break;
            }
            let subtree = self.truth.subtrees.get(number).context("no such subtree")?;
            self.tally.begin("configuration", &format!("configuration: {change:?}"));
            if change.disturbs() {
                subtree.disturb(self.now());
            }
            folder.change(plan, change, sources)?;
            self.calm.pause(lasts);
            folder.change(plan, Change::Same, sources)?;
            if change.disturbs() {
                subtree.calm(self.now());
            }
            self.tally.end("configuration");
        }
        Ok(())
    }

    /// Asks at a master without faults until all is over. The session must last.
    pub(super) fn ask_steadily(&self, master: &mut Master, asker: &mut Asker) -> Result<()> {
        while !self.over.pause(PACE) {
            asker.ask(master).context("the session at the master without faults")?;
        }
        Ok(())
    }

    /// Plays a master that is well for a while and then is not, until there are to be no more faults; then waits until
    /// the sidecar is back and all is well.
    pub(super) fn misbehave(&self, socket: &MasterSocket) -> Result<()> {
        let mut rhythm =
            Rhythm::new(MasterFault::ALL.to_vec(), &MasterFault::HEAVY, (0, 1), self.random("faulty master"));
        let base = self.truth.subtrees.first().context("no subtree")?.base.clone();
        while let Some((pause, fault, lasts)) = rhythm.next() {
            self.tally.begin("faulty master", &fault.to_string());
            let mut master = accept(socket)?;
            // That the subagent leaves such a master is right.
            _ = fault.inflict(&mut master, &base, lasts, rhythm.random());
            drop(master);
            self.tally.end("faulty master");
            if self.calm.is_stopped() {
                break;
            }
            let mut master = self.open(socket)?;
            let until = self.now() + millis(pause);
            let mut asker = self.asker("faulty master while it is well");
            while self.now() < until && !self.calm.pause(PACE) {
                asker.ask(&mut master).context("the session at the faulty master, while it is well")?;
            }
        }
        let mut master = self.open(socket)?;
        let since = self.now();
        self.wait_until_whole(&mut master, &mut self.asker("faulty master"), since)
    }

    /// A session with something registered. Connections that the sidecar has given up meanwhile may come first.
    fn open(&self, socket: &MasterSocket) -> Result<Master> {
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

    /// Waits until everything shows, from `since` or later.
    pub(super) fn wait_until_whole(&self, master: &mut Master, asker: &mut Asker, since: Moment) -> Result<()> {
        let until = self.now() + millis(DEADLINE);
        loop {
            let seen = asker.walk_whole(master, since);
            match seen {
                Err(error) if self.now() > until => return Err(error.context("not everything shows")),
                Err(_) => _ = self.over.pause(Duration::from_millis(100)),
                Ok(()) => return Ok(()),
            }
        }
    }
}

fn accept(socket: &MasterSocket) -> Result<Master> {
    socket.accept(DEADLINE)?.context("the sidecar did not connect again")
}
