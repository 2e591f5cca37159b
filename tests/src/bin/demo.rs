//! The main job in front of your eyes, on this machine alone: manifests, real exporters, sidecars, an SNMP agent, a walk.

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context, Result, ensure};
use harness::{Application, COMMUNITY, Row, Sandbox, Snmpd, Walk, example, render};

const EXAMPLES: [&str; 4] = ["host", "table", "web-app", "database"];
const PLAYPEN: &str = "1.3.6.1.4.1.8072.9999.9999";

fn main() -> ExitCode {
    let began = Instant::now();
    match demo() {
        Ok(()) => {
            println!("\nDone in {:.0} s. Everything that was started has ended.", began.elapsed().as_secs_f32());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("\nThe demo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let manifests: Vec<PathBuf> = EXAMPLES.iter().map(|name| example(name).join("subtree.yaml")).collect();
    let config = render(&manifests, "default", &sandbox.path("rendered"))?;
    println!("1. Four SnmpSubtree manifests (examples/*/subtree.yaml) became the configuration of sidecars:");
    println!("     snmp-operator render --format mounted");

    let applications =
        [Application::node_exporter(&sandbox)?, Application::web_app(&sandbox)?, Application::database(&sandbox)?];
    println!(
        "2. Three applications run, none of which knows SNMP: node_exporter, a web shop, PostgreSQL with its exporter."
    );

    let mut snmpd = Snmpd::start(&sandbox)?;
    println!("3. An SNMP agent runs: net-snmp's snmpd on {}, AgentX master.", snmpd.v2c().address());

    let mut sidecars = Vec::new();
    for application in &applications {
        sidecars.push(application.start_sidecar(&sandbox, &config, snmpd.unix_url())?);
    }
    println!(
        "4. Beside each application runs a snmp-sidecar. It reads the metrics and registers its subtrees with snmpd."
    );

    let client = snmpd.v2c();
    println!("5. A management system sees them all:");
    println!("     snmpbulkwalk -v2c -c {COMMUNITY} {} {PLAYPEN}", client.address());
    let rows = client.walk(Walk::Bulk(50), PLAYPEN)?;
    for (number, name) in [(1, "host"), (2, "web-app"), (3, "database"), (4, "table")] {
        let base: agentx::Oid = format!("{PLAYPEN}.{number}").parse()?;
        let own: Vec<&Row> = rows.iter().filter(|row| row.oid.starts_with(&base)).collect();
        let first = own.first().with_context(|| format!("nothing of the example {name} shows\n{}", sandbox.tails()))?;
        println!("     {:3} variables of {name:8}  .{} = {}", own.len(), first.oid, value(first));
    }

    println!("6. The same by name, with examples/host/EXAMPLE-HOST-MIB.txt:");
    let by_name = client.walk_by_name(&example("host"), "EXAMPLE-HOST-MIB", "exampleHost")?;
    for line in by_name.lines() {
        ensure!(line.starts_with("EXAMPLE-HOST-MIB::host"), "no name: {line}");
        println!("     {}", line.trim_start_matches("EXAMPLE-HOST-MIB::"));
    }

    for mut sidecar in sidecars {
        let (ended, _) = sidecar.stop()?;
        ensure!(ended.success(), "a sidecar ended with {ended}\n{}", sandbox.tails());
    }
    snmpd.stop()?;
    for process in applications.into_iter().flat_map(|application| application.processes) {
        process.stop()?;
    }
    Ok(())
}

/// A value in a few characters.
fn value(row: &Row) -> String {
    row.text().map_or_else(|_| row.number().map_or_else(|_| "…".to_owned(), |number| number.to_string()), str::to_owned)
}
