//! The NMS of a soak: net-snmp's tools walk an agent without a pause, and the agent is killed and frozen.

use std::{sync::Arc, time::Instant};

use agentx::Oid;
use anyhow::{Context as _, Result};

use super::{
    clock::{Moment, StopSignal},
    layout::ROOT,
    schedule::FaultSchedule,
    tally::Tally,
    truth::{Span, Truth},
};
use crate::{Random, Row, Sandbox, Signal, SnmpAgent, Walk};

/// A fault of the agent.
#[derive(Debug, Clone, Copy)]
enum AgentFault {
    /// It is killed, and started again later.
    Killed,
    /// It is killed and started again immediately.
    Restarted,
    /// It is stopped by SIGSTOP.
    Frozen,
}

/// The NMS.
pub(super) struct Nms {
    pub(super) sandbox: Sandbox,
    pub(super) truth: Arc<Truth>,
    pub(super) tally: Arc<Tally>,
    pub(super) stop: Arc<StopSignal>,
    pub(super) random: Random,
}

/// A request of the NMS.
enum Request {
    Walk(Walk),
    Get(Vec<Oid>),
}

impl Nms {
    /// Walks and breaks `agent` until the faults stop. Then waits until a walk is complete.
    pub(super) fn walk_and_break(mut self, agent: &mut dyn SnmpAgent) -> Result<()> {
        let faults = vec![AgentFault::Killed, AgentFault::Restarted, AgentFault::Frozen];
        let mut schedule = FaultSchedule::new(faults, &[], (0, 1), self.random.clone());
        while let Some((pause, fault, lasts)) = schedule.next() {
            self.wait_until_complete(agent, 0)?;
            let until = Instant::now() + pause;
            while Instant::now() < until && !self.stop.is_stopped() {
                self.send_request(agent)?;
            }
            if self.stop.is_stopped() {
                break;
            }
            self.tally.begin_fault("agent", &format!("agent: {fault:?}"));
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
            self.tally.end_fault("agent");
        }
        self.wait_until_complete(agent, self.truth.clock.now())
    }

    /// Waits until a walk is right. Unless `since` is 0, it must be complete, with values from `since` or later.
    pub(super) fn wait_until_complete(&mut self, agent: &dyn SnmpAgent, since: Moment) -> Result<()> {
        let (client, truth) = (agent.v2c(), &self.truth);
        self.sandbox.wait_for("a complete walk of the agent", || {
            let requested = truth.clock.now();
            let rows = client.walk(Walk::Bulk(50), ROOT)?;
            if since == 0 {
                let span = Span { requested, responded: truth.clock.now() };
                return check_walk(truth, &rows, span);
            }
            truth.check_complete(rows.iter().map(|row| (&row.oid, &row.value)), since)
        })
    }

    fn send_request(&mut self, agent: &dyn SnmpAgent) -> Result<()> {
        let client = agent.v2c();
        let request = match self.random.below(4) {
            0 => Request::Walk(Walk::Next),
            1 => Request::Walk(Walk::Bulk(50)),
            _ => {
                let names: Vec<&Oid> = self.truth.instances.keys().collect();
                let count = 1 + self.random.below(20);
                Request::Get((0..count).filter_map(|_| self.random.pick(&names).map(|name| (*name).clone())).collect())
            }
        };
        let requested = self.truth.clock.now();
        let (rows, checked) = match &request {
            Request::Walk(how) => {
                let root = if matches!(how, Walk::Next) { self.small()? } else { ROOT.parse()? };
                let rows = client.walk(*how, &root.to_string())?;
                let span = Span { requested, responded: self.truth.clock.now() };
                let checked = if matches!(how, Walk::Next) {
                    rows.iter().try_for_each(|row| check_row(&self.truth, row, span))
                } else {
                    check_walk(&self.truth, &rows, span)
                };
                (rows, checked)
            }
            Request::Get(names) => {
                let texts: Vec<String> = names.iter().map(ToString::to_string).collect();
                let rows = client.get(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
                let span = Span { requested, responded: self.truth.clock.now() };
                let checked = rows.iter().try_for_each(|row| check_row(&self.truth, row, span));
                (rows, checked)
            }
        };
        self.tally.count_varbinds(rows.len());
        if let Err(error) = checked {
            self.tally.record_wrong(&format!("under the agent: {error:#}"));
        }
        Ok(())
    }

    /// Returns a subtree that is small enough for a walk by GetNext.
    fn small(&self) -> Result<Oid> {
        Ok(self.truth.subtrees.last().context("no subtree")?.base.clone())
    }
}

fn check_row(truth: &Truth, row: &Row, span: Span) -> Result<()> {
    truth.check(&row.oid, &row.value, span).map(drop).with_context(|| format!("{} = {:?}", row.oid, row.value))
}

/// Checks that a walk shows all instances that must exist, in order and with right values.
fn check_walk(truth: &Truth, rows: &[Row], span: Span) -> Result<()> {
    let root: Oid = ROOT.parse()?;
    let end = Oid::new(vec![1, 4])?;
    let mut start = root;
    for found in rows.iter().map(Some).chain([None]) {
        let pair = found.map(|row| (&row.oid, &row.value));
        truth
            .check_next((&start, false, &end), pair, "", span)
            .with_context(|| format!("after {start} of a walk: {found:?}"))?;
        if let Some(row) = found {
            start.clone_from(&row.oid);
        }
    }
    Ok(())
}
