//! Agents that serve the same objects, and are measured in turns.

use std::time::Duration;

use anyhow::{Context, Result};
use harness::Sandbox;

use crate::{
    report::row::Seen,
    report::statistics::median,
    requests::questions::last_cell,
    requests::snmp::{self, Asker, Question},
    requests::v3,
};

/// A kind of work.
#[derive(Debug, Clone)]
pub enum Work {
    /// These requests over SNMPv2c.
    V2c(Vec<Question>),
    /// These requests over SNMPv3 with authentication and privacy.
    V3(Vec<Question>),
}

impl Work {
    fn check(&self, address: &str) -> Result<Box<dyn Asker>> {
        Ok(match self {
            Self::V2c(questions) => Box::new(snmp::Client::check(address, questions)?),
            Self::V3(questions) => Box::new(v3::Client::check(address, questions)?),
        })
    }
}

/// The length of a turn.
const TURN: Duration = Duration::from_millis(500);

/// An agent with a client for each kind of work. A client is removed after a wrong response.
pub struct Contestant {
    name: &'static str,
    clients: Vec<Result<MeasuredClient>>,
}

/// A client with the rates of its turns.
struct MeasuredClient {
    client: Box<dyn Asker>,
    rates: Vec<f64>,
}

impl Contestant {
    /// Waits until the agent serves the last cell of the table, and checks its responses for each kind of work.
    ///
    /// # Errors
    /// Returns an error if the last cell is not served before the deadline.
    pub fn check(name: &'static str, address: &str, folder: &Sandbox, work: &[Work]) -> Result<Self> {
        folder.wait_for("the last cell", || snmp::Client::check(address, &[last_cell()?]))?;
        let clients =
            work.iter().map(|work| Ok(MeasuredClient { client: work.check(address)?, rates: Vec::new() })).collect();
        Ok(Self { name, clients })
    }

    /// Returns its name in the report.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    fn take_turn(&mut self, number: usize) {
        let Some(entry) = self.clients.get_mut(number) else { return };
        let Ok(MeasuredClient { client, rates }) = entry else { return };
        match client.rate(TURN) {
            Ok(rate) => rates.push(rate),
            Err(error) => *entry = Err(error),
        }
    }

    /// Returns the varbinds per second for this kind of work, as the median of its turns.
    ///
    /// # Errors
    /// Returns an error if it had no turn.
    pub fn seen(&self, number: usize) -> Result<Seen> {
        Ok(match self.clients.get(number) {
            Some(Ok(client)) => Seen::Measured(median(&client.rates)?),
            Some(Err(error)) => Seen::Broken(format!("{error:#}")),
            None => Seen::Broken("not asked".to_owned()),
        })
    }

    /// Like [`Self::seen`], for an agent whose responses must all be right.
    ///
    /// # Errors
    /// Returns an error if a response was wrong.
    pub fn measured(&self, number: usize) -> Result<f64> {
        match self.clients.get(number) {
            Some(Ok(client)) => median(&client.rates),
            Some(Err(error)) => anyhow::bail!("{}: {error:#}", self.name),
            None => Err(anyhow::anyhow!("{} was not asked", self.name)),
        }
    }
}

/// Returns the agent with this name.
///
/// # Errors
/// Returns an error if there is none.
pub fn named<'a>(contestants: &'a [Contestant], name: &str) -> Result<&'a Contestant> {
    contestants.iter().find(|contestant| contestant.name == name).with_context(|| format!("no {name}"))
}

/// Runs several rounds, in each of which every agent has a turn for each kind of work.
pub fn take_turns(contestants: &mut [Contestant], kinds: usize, rounds: usize) {
    for _ in 0..rounds {
        for number in 0..kinds {
            for contestant in contestants.iter_mut() {
                contestant.take_turn(number);
            }
        }
    }
}
