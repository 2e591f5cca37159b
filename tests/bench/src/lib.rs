//! How fast and how small our programs are, beside their peers, in one run: `make bench`.
//!
//! A [group](groups) of rows is a module; each gives [rows](row) that know their target. The [report] is made of them.

pub mod bare;
pub mod cluster;
pub mod contestants;
pub mod cores;
pub mod crowd;
pub mod encoding;
pub mod floor;
pub mod get_next;
pub mod groups;
pub mod installation;
pub mod link;
pub mod machine;
pub mod objects;
pub mod operator;
pub mod part;
pub mod programs;
pub mod questions;
pub mod report;
pub mod row;
pub mod snmp;
pub mod statistics;
pub mod tenants;
pub mod turns;
pub mod v3;

use std::{fs, process::ExitCode, time::Instant};

use anyhow::{Result, ensure};
use clap::Parser;

use crate::{
    contestants::Bench,
    cores::Cores,
    groups::{GROUPS, Group},
    programs::{Programs, output_folder, say},
};

/// Measures our programs beside their peers, and writes report.md and report.json
///
/// The exit status is 1 if a row could not be measured. A target that is not met is no error.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Measure these groups of rows alone
    groups: Vec<String>,
    /// Print the groups and end
    #[arg(long)]
    list: bool,
}

/// Measures what was asked for, and writes the report.
///
/// # Errors
/// Where nothing can be measured at all.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.list {
        for group in GROUPS {
            say(&format!("{:12} {}", group.name, group.title));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let groups = chosen(&arguments.groups)?;
    let started = Instant::now();
    // Before the bench is a load itself.
    let machine = machine::describe()?;
    let bench = Bench { programs: Programs::build()?, cores: Cores::find()? };
    let mut outcomes = Vec::new();
    for group in groups {
        say(&format!("{:4.0} s  {}", started.elapsed().as_secs_f64(), group.title));
        bench.cores.stay_on_client()?;
        let rows = (group.measure)(&bench);
        if let Err(error) = &rows {
            say(&format!("{} could not be measured: {error:#}", group.name));
        }
        outcomes.push((group, rows));
    }
    let folder = output_folder()?;
    fs::write(folder.join("report.md"), report::markdown(&outcomes, &machine))?;
    fs::write(folder.join("report.json"), report::json(&outcomes)?)?;
    say(&format!("{:4.0} s  done\n\n{}", started.elapsed().as_secs_f64(), report::table(&outcomes)));
    say(&format!("the report is in {}", folder.display()));
    let all = outcomes.iter().all(|(_, rows)| rows.is_ok());
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(names: &[String]) -> Result<Vec<&'static Group>> {
    for name in names {
        let known = GROUPS.iter().any(|group| group.name == name);
        ensure!(known, "there is no group {name}; `bench --list` names them");
    }
    let is_chosen = |group: &&Group| names.is_empty() || names.iter().any(|name| name == group.name);
    Ok(GROUPS.iter().filter(is_chosen).collect())
}
