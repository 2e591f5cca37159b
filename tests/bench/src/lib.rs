//! `make bench`: speed and memory of our programs compared with those of peers, in one run.
//!
//! Each [group](groups) of measurements is a module that returns [rows](report::row) with their targets, of which the [report] is
//! made.

pub mod cluster;
pub mod cores;
pub mod groups;
pub mod part;
pub mod peers;
pub mod programs;
pub mod report;
pub mod requests;

use std::{fs, process::ExitCode, time::Instant};

use anyhow::{Result, ensure};
use clap::Parser;

use crate::{
    cores::Cores,
    groups::{GROUPS, Group},
    peers::contestants::Bench,
    programs::{Programs, output_folder, say},
};

/// Measures our programs and their peers, and writes report.md and report.json
///
/// The exit status is 1 if a row could not be measured. A missed target is not an error.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Measure only these groups of rows
    groups: Vec<String>,
    /// Print the groups and exit
    #[arg(long)]
    list: bool,
}

/// Measures the groups on the command line and writes the report.
///
/// # Errors
/// Returns an error if nothing can be measured.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.list {
        for group in GROUPS {
            say(&format!("{:12} {}", group.name, group.title));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let groups = chosen(&arguments.groups)?;
    let started = Instant::now();
    // The machine is described before the bench puts load on it.
    let machine = report::machine::describe()?;
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
        let exists = GROUPS.iter().any(|group| group.name == name);
        ensure!(exists, "unknown group {name}; `bench --list` prints all groups");
    }
    let is_chosen = |group: &&Group| names.is_empty() || names.iter().any(|name| name == group.name);
    Ok(GROUPS.iter().filter(is_chosen).collect())
}
