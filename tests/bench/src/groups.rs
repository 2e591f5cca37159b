//! The groups of measurements, each in a module.

mod alone;
mod binary;
mod codec;
mod controllers;
mod crowd;
mod delay;
mod kubernetes;
mod memory;
mod parser;
mod reload;
mod return_of_master;
mod under_master;
mod under_snmpd;

use anyhow::Result;

use crate::{peers::contestants::Bench, report::row::Row};

/// A group of rows that are measured together.
#[derive(Debug)]
pub struct Group {
    /// The name on the command line.
    pub name: &'static str,
    /// The title in the report.
    pub title: &'static str,
    /// The description of the measurement, in Markdown.
    pub about: &'static str,
    /// Measures the group.
    pub measure: fn(&Bench) -> Result<Vec<Row>>,
}

/// All groups, in the order of the report.
pub const GROUPS: &[Group] = &[
    alone::GROUP,
    under_snmpd::GROUP,
    under_master::GROUP,
    crowd::GROUP,
    reload::GROUP,
    delay::GROUP,
    return_of_master::GROUP,
    memory::GROUP,
    binary::GROUP,
    parser::GROUP,
    codec::GROUP,
    kubernetes::GROUP,
    controllers::GROUP,
];
