//! An agent, walked by net-snmp's tools without a pause, and killed and frozen now and then.

use std::{sync::Arc, time::Instant};

use agentx::Oid;
use anyhow::{Context as _, Result};

use super::{
    clock::{Moment, Stop},
    layout::ROOT,
    rhythm::Rhythm,
    tally::Tally,
    truth::{Span, Truth},
};
use crate::{Agent, Random, Row, Sandbox, Signal, Walk};

/// What is wrong with agent.
#[derive(Debug, Clone, Copy)]
enum AgentFault {
    /// It is killed, and started again later.
    Killed,
    /// It is killed, and started again at once.
    Restarted,
    /// It stands still.
    Frozen,
}

/// Who walks.
pub(super) struct Nms {
    pub(super) sandbox: Sandbox,
    pub(super) truth: Arc<Truth>,
    pub(super) tally: Arc<Tally>,
    pub(super) stop: Arc<Stop>,
    pub(super) random: Random,
}

/// A question of the NMS.
enum Question {
    Walk(Walk),
    Get(Vec<Oid>),
}

impl Nms {
    /// Walks and breaks `agent` until it is told to stop; then waits until everything shows once more.
    pub(super) fn run(mut self, agent: &mut dyn Agent) -> Result<()> {
        let faults = vec![AgentFault::Killed, AgentFault::Restarted, AgentFault::Frozen];
        let mut rhythm = Rhythm::new(faults, &[], (0, 1), self.random.clone());
        while let Some((pause, fault, lasts)) = rhythm.next() {
            self.wait_until_whole(agent, 0)?;
            let until = Instant::now() + pause;
            while Instant::now() < until && !self.stop.is_stopped() {
                self.ask(agent)?;
            }
            if self.stop.is_stopped() {
                break;
            }
            self.tally.begin("agent", &format!("agent: {fault:?}"));
            match fault {
                AgentFault::Killed => {
                    agent.kill()?;
                    self.stop.pause(lasts);
                    agent.start_again()?;
                }
                AgentFault::Restarted => {
                    agent.kill()?;
                    agent.start_again()?;
                }
                AgentFault::Frozen => {
                    agent.signal(Signal::STOP)?;
                    self.stop.pause(lasts);
                    agent.signal(Signal::CONT)?;
                }
            }
            self.tally.end("agent");
        }
        self.wait_until_whole(agent, self.truth.clock.now())
    }

    /// Waits until a walk shows what is there without trouble, and, from `since` on, all that there is.
    pub(super) fn wait_until_whole(&mut self, agent: &dyn Agent, since: Moment) -> Result<()> {
        let (client, truth) = (agent.v2c(), &self.truth);
        self.sandbox.wait_for("the agent to show everything again", || {
            let asked = truth.clock.now();
            let rows = client.walk(Walk::Bulk(50), ROOT)?;
            if since == 0 {
                let span = Span { asked, answered: truth.clock.now() };
                return check_walk(truth, &rows, span);
            }
            truth.check_whole(rows.iter().map(|row| (&row.oid, &row.value)), since)
        })
    }

    fn ask(&mut self, agent: &dyn Agent) -> Result<()> {
        let client = agent.v2c();
        let question = match self.random.below(4) {
            0 => Question::Walk(Walk::Next),
            1 => Question::Walk(Walk::Bulk(50)),
            _ => {
                let names: Vec<&Oid> = self.truth.instances.keys().collect();
                let count = 1 + self.random.below(20);
                Question::Get((0..count).filter_map(|_| self.random.pick(&names).map(|name| (*name).clone())).collect())
            }
        };
        let asked = self.truth.clock.now();
        let (rows, checked) = match &question {
            Question::Walk(how) => {
                let root = if matches!(how, Walk::Next) { self.small()? } else { ROOT.parse()? };
                let rows = client.walk(*how, &root.to_string())?;
                let span = Span { asked, answered: self.truth.clock.now() };
                let checked = if matches!(how, Walk::Next) {
                    rows.iter().try_for_each(|row| check_row(&self.truth, row, span))
                } else {
                    check_walk(&self.truth, &rows, span)
                };
                (rows, checked)
            }
            Question::Get(names) => {
                let texts: Vec<String> = names.iter().map(ToString::to_string).collect();
                let rows = client.get(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
                let span = Span { asked, answered: self.truth.clock.now() };
                let checked = rows.iter().try_for_each(|row| check_row(&self.truth, row, span));
                (rows, checked)
            }
        };
        self.tally.checked(rows.len());
        if let Err(error) = checked {
            self.tally.wrong(&format!("at the agent: {error:#}"));
        }
        Ok(())
    }

    /// A subtree that is small enough for a walk without bulk.
    fn small(&self) -> Result<Oid> {
        Ok(self.truth.subtrees.last().context("no subtree")?.base.clone())
    }
}

fn check_row(truth: &Truth, row: &Row, span: Span) -> Result<()> {
    truth.check(&row.oid, &row.value, span).map(drop).with_context(|| format!("{} = {:?}", row.oid, row.value))
}

/// A walk of everything shows all that must be there, in order, and each value is right.
fn check_walk(truth: &Truth, rows: &[Row], span: Span) -> Result<()> {
    let root: Oid = ROOT.parse()?;
    let behind = Oid::new(vec![1, 4])?;
    let mut start = root;
    for found in rows.iter().map(Some).chain([None]) {
        let pair = found.map(|row| (&row.oid, &row.value));
        truth
            .check_next((&start, false, &behind), pair, "", span)
            .with_context(|| format!("after {start} of a walk: {found:?}"))?;
        if let Some(row) = found {
            start.clone_from(&row.oid);
        }
    }
    Ok(())
}
