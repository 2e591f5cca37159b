//! The groups of rows, a module each.

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

use crate::{contestants::Bench, row::Row};

/// Rows that are measured together.
#[derive(Debug)]
pub struct Group {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it is called in the report.
    pub title: &'static str,
    /// How it is measured: Markdown.
    pub about: &'static str,
    /// Measures it.
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
