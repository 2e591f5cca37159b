//! Agents that serve the same objects, and take turns at being asked.

use std::time::Duration;

use anyhow::{Context, Result};
use harness::Sandbox;

use crate::{
    questions::last_cell,
    row::Seen,
    snmp::{self, Asker, Question},
    statistics::median,
    v3,
};

/// A kind of work.
#[derive(Debug, Clone)]
pub enum Work {
    /// These questions, in SNMPv2c.
    V2c(Vec<Question>),
    /// These questions, in SNMPv3 with authentication and privacy.
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

/// How long a turn is.
const TURN: Duration = Duration::from_millis(500);

/// An agent, and a client for each kind of work. A client is none from when its answers were wrong.
pub struct Contestant {
    name: &'static str,
    clients: Vec<Result<Asked>>,
}

/// A client, and the rates of its turns.
struct Asked {
    client: Box<dyn Asker>,
    rates: Vec<f64>,
}

impl Contestant {
    /// Waits until the agent serves the last cell of the table, and checks its answers to each kind of work.
    ///
    /// # Errors
    /// Where the last cell is not there before the tests' deadline.
    pub fn check(name: &'static str, address: &str, folder: &Sandbox, work: &[Work]) -> Result<Self> {
        folder.wait_for("the last cell", || snmp::Client::check(address, &[last_cell()?]))?;
        let clients = work.iter().map(|work| Ok(Asked { client: work.check(address)?, rates: Vec::new() })).collect();
        Ok(Self { name, clients })
    }

    /// What it is called in the report.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    fn take_turn(&mut self, number: usize) {
        let Some(asked) = self.clients.get_mut(number) else { return };
        let Ok(Asked { client, rates }) = asked else { return };
        match client.rate(TURN) {
            Ok(rate) => rates.push(rate),
            Err(error) => *asked = Err(error),
        }
    }

    /// Varbinds answered in a second of this kind of work: the median of its turns.
    ///
    /// # Errors
    /// Where it had no turn.
    pub fn seen(&self, number: usize) -> Result<Seen> {
        Ok(match self.clients.get(number) {
            Some(Ok(asked)) => Seen::Measured(median(&asked.rates)?),
            Some(Err(error)) => Seen::Broken(format!("{error:#}")),
            None => Seen::Broken("not asked".to_owned()),
        })
    }

    /// As [`Self::seen`], of one whose every answer has to be right.
    ///
    /// # Errors
    /// Where an answer was not.
    pub fn measured(&self, number: usize) -> Result<f64> {
        match self.clients.get(number) {
            Some(Ok(asked)) => median(&asked.rates),
            Some(Err(error)) => anyhow::bail!("{}: {error:#}", self.name),
            None => Err(anyhow::anyhow!("{} was not asked", self.name)),
        }
    }
}

/// The one of this name.
///
/// # Errors
/// Where there is none.
pub fn named<'a>(contestants: &'a [Contestant], name: &str) -> Result<&'a Contestant> {
    contestants.iter().find(|contestant| contestant.name == name).with_context(|| format!("no {name}"))
}

/// So many rounds, in which each has a turn at each kind of work.
pub fn take_turns(contestants: &mut [Contestant], kinds: usize, rounds: usize) {
    for _ in 0..rounds {
        for number in 0..kinds {
            for contestant in contestants.iter_mut() {
                contestant.take_turn(number);
            }
        }
    }
}
