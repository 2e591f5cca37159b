//! The main job in front of your eyes, on this machine alone: manifests, real exporters, sidecars, an SNMP agent, a walk.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use harness::{
    Agent as _, Application, COMMUNITY, Row, Sandbox, SnmpMaster, USER, Walk, example, http, oids_and_types,
};

const EXAMPLES: [&str; 4] = ["host", "table", "web-app", "database"];
const PLAYPEN: &str = "1.3.6.1.4.1.8072.9999.9999";
/// How many lines of the walk by name are printed.
const SHOWN: usize = 8;

fn main() -> ExitCode {
    match demo(&mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe demo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo(out: &mut impl Write) -> Result<()> {
    let began = Instant::now();
    let sandbox = Sandbox::new()?;
    let mut manifests: Vec<PathBuf> = EXAMPLES.iter().map(|name| example(name).join("subtree.yaml")).collect();
    manifests.extend(["context.yaml", "secrets.yaml"].map(|file| example("default-context").join(file)));
    let (mut master, config) = SnmpMaster::start_rendered(&sandbox, &manifests, "default")?;
    // examples/default-context has the harness's own credentials.
    let client = master.v2c();
    writeln!(out, "1. Four SnmpSubtree manifests, examples/*/subtree.yaml, and who may read them,")?;
    writeln!(out, "   examples/default-context, became the configuration of sidecars and of the master:")?;
    writeln!(out, "     snmp-operator render --format mounted -f examples/default-context -f examples/host …")?;
    writeln!(out, "2. The SNMP agent runs: snmp-master on {}.", client.address())?;

    let applications = start_applications(&sandbox)?;
    writeln!(out, "3. Three applications run that know nothing of SNMP: node_exporter, a web shop, PostgreSQL.")?;

    let mut sidecars = Vec::new();
    for application in &applications {
        sidecars.push(application.start_sidecar(&sandbox, &config, master.unix_url())?);
    }
    writeln!(
        out,
        "4. Beside each application runs a snmp-sidecar, which reads its metrics and serves them to the master."
    )?;

    writeln!(out, "5. A management system sees them all:")?;
    writeln!(out, "     snmpbulkwalk -v2c -c {COMMUNITY} -On {} {PLAYPEN}", client.address())?;
    let rows = client.walk(Walk::Bulk(50), PLAYPEN)?;
    for (number, name) in [(1, "host"), (2, "web-app"), (3, "database"), (4, "table")] {
        let base: agentx::Oid = format!("{PLAYPEN}.{number}").parse()?;
        let own: Vec<&Row> = rows.iter().filter(|row| row.oid.starts_with(&base)).collect();
        let first = own.first().with_context(|| format!("nothing of the example {name} shows\n{}", sandbox.tails()))?;
        writeln!(out, "     {:2} variables of {name:8}  .{} = {}", own.len(), first.oid, value(first))?;
    }

    writeln!(out, "6. The same with SNMPv3, authenticated and private:")?;
    writeln!(out, "     snmpbulkwalk {} -On {} {PLAYPEN}", USER.join(" "), client.address())?;
    let private = master.client(USER).walk(Walk::Bulk(50), PLAYPEN)?;
    ensure!(oids_and_types(&private) == oids_and_types(&rows), "{} variables, not {}", private.len(), rows.len());
    writeln!(out, "     {} variables", private.len())?;

    writeln!(out, "7. The same by name, with examples/host/EXAMPLE-HOST-MIB.txt:")?;
    let by_name = client.walk_by_name(&example("host"), "EXAMPLE-HOST-MIB", "exampleHost")?;
    for (number, line) in by_name.lines().enumerate() {
        let named = line.strip_prefix("EXAMPLE-HOST-MIB::").with_context(|| format!("no name: {line}"))?;
        ensure!(named.starts_with("host"), "no name of its own: {line}");
        if number < SHOWN {
            writeln!(out, "     {named}")?;
        }
    }
    writeln!(out, "     … and {} more", by_name.lines().count().saturating_sub(SHOWN))?;

    for mut sidecar in sidecars {
        let (ended, _) = sidecar.stop()?;
        ensure!(ended.success(), "a sidecar ended with {ended}\n{}", sandbox.tails());
    }
    master.stop()?;
    for process in applications.into_iter().flat_map(|application| application.processes) {
        process.stop()?;
    }
    writeln!(out, "Done in {:.0} s. Everything that was started has ended.", began.elapsed().as_secs_f32())?;
    Ok(())
}

/// The examples' applications, the web shop with a few visitors.
fn start_applications(sandbox: &Sandbox) -> Result<[Application; 3]> {
    let web_app = Application::web_app(sandbox)?;
    for page in ["/", "/", "/cart"] {
        http::get(web_app.port, page)?;
    }
    Ok([Application::node_exporter(sandbox)?, web_app, Application::database(sandbox)?])
}

/// A value in a few characters.
fn value(row: &Row) -> String {
    row.text().map_or_else(|_| row.number().map_or_else(|_| "…".to_owned(), |number| number.to_string()), str::to_owned)
}
