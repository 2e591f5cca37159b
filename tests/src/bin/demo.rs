//! `make demo`: the main job from end to end on this machine. Manifests are rendered, a master and sidecars start beside
//! real applications, and Debian's SNMP tools read and write their values. Each claim that is printed is checked first.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use harness::{
    Application, COMMUNITY, Client, MasterProgram, Sandbox, Sidecar, SnmpAgent as _, USER, Walk, example, http,
    oids_and_types,
};

/// The examples whose SnmpSubtrees are served.
const EXAMPLES: [&str; 5] = ["host", "table", "web-app", "database", "settings"];
/// The OID under which all examples publish: net-snmp's playpen, which is reserved for experiments.
const PLAYPEN: &str = "1.3.6.1.4.1.8072.9999.9999";
/// The base OIDs of the examples that are printed whole, with their names.
const PRINTED: [(&str, &str); 2] =
    [("web-app", "1.3.6.1.4.1.8072.9999.9999.2"), ("database", "1.3.6.1.4.1.8072.9999.9999.3")];
/// The base OID of the example `settings`, whose objects an NMS can write.
const SETTINGS: &str = "1.3.6.1.4.1.8072.9999.9999.9";
/// The MIB module of the example `host`.
const MODULE: &str = "EXAMPLE-HOST-MIB";
/// The most lines that are printed of the walk by name.
const NAMED: usize = 16;
/// The fewest varbinds and syntaxes that the demo must print.
const FEWEST_VARBINDS: usize = 25;
const FEWEST_SYNTAXES: usize = 5;

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

    writeln!(out, "1. snmp-operator renders five SnmpSubtrees (examples/*/subtree.yaml) and one SnmpContext")?;
    writeln!(out, "   (examples/default-context, here with write access for the user noc):")?;
    writeln!(out, "     $ snmp-operator render --format mounted -f context.yaml -f examples/host/subtree.yaml …")?;
    let (mut master, config) = MasterProgram::start_rendered(&sandbox, &manifests(&sandbox)?, "default")?;
    // The credentials in examples/default-context are those of the harness.
    let reader = master.v2c();
    let writer = master.client(USER);
    let address = reader.address().to_owned();
    writeln!(out, "2. snmp-master, the SNMP agent, answers on {address}.")?;

    let applications = start_applications(&sandbox)?;
    writeln!(out, "3. Four applications run. None of them speaks SNMP:")?;
    writeln!(out, "     node_exporter, a web shop, PostgreSQL with its exporter, and a service with settings.")?;
    let sidecars: Vec<Sidecar> = applications
        .iter()
        .map(|application| application.start_sidecar(&sandbox, &config, master.unix_url()))
        .collect::<Result<_>>()?;
    writeln!(out, "4. A snmp-sidecar runs beside each application and has registered with the master over AgentX.")?;

    let mut printed = Vec::new();
    writeln!(out, "5. An NMS walks the example host by name, with examples/host/{MODULE}.txt:")?;
    writeln!(out, "     $ snmpwalk -v2c -c {COMMUNITY} -m {MODULE} {address} {MODULE}::exampleHost")?;
    printed.extend(walk_host(out, &reader)?);
    for (number, (name, base)) in (6..).zip(PRINTED) {
        writeln!(out, "{number}. It walks the example {name} by number:")?;
        writeln!(out, "     $ snmpbulkwalk -v2c -c {COMMUNITY} -On {address} {base}")?;
        let walk = reader.print("snmpbulkwalk", &["-On"], &[base])?;
        let lines: Vec<String> = walk.lines().map(str::to_owned).collect();
        ensure!(lines.iter().all(|line| line.starts_with(&format!(".{base}."))), "a line is not below {base}: {walk}");
        print_lines(out, &lines)?;
        printed.extend(lines);
    }
    check_printed(&printed)?;

    writeln!(out, "8. snmptable prints a table of the example host:")?;
    writeln!(out, "     $ snmptable -v2c -c {COMMUNITY} -m {MODULE} -Cib {address} {MODULE}::hostFilesystemTable")?;
    print_table(out, &reader)?;

    writeln!(out, "9. SNMPv3 with authentication and encryption reads the same objects:")?;
    writeln!(out, "     $ snmpbulkwalk {} -On {address} {PLAYPEN}", USER.join(" "))?;
    let count = sandbox.wait_for("SNMPv3 to show the same objects as SNMPv2c", || {
        let (plain, private) = (reader.walk(Walk::Bulk(50), PLAYPEN)?, writer.walk(Walk::Bulk(50), PLAYPEN)?);
        ensure!(
            oids_and_types(&private) == oids_and_types(&plain),
            "{} varbinds with SNMPv3, {} with SNMPv2c",
            private.len(),
            plain.len()
        );
        Ok(plain.len())
    })?;
    writeln!(out, "     {count} varbinds, with the same OIDs and syntaxes as with SNMPv2c")?;

    let settings = applications.last().context("no application with settings")?;
    change_settings(out, &writer, &reader, settings)?;

    for mut sidecar in sidecars {
        let (status, _) = sidecar.stop()?;
        ensure!(status.success(), "a sidecar ended with {status}\n{}", sandbox.tails());
    }
    let (status, _) = master.stop()?;
    ensure!(status.success(), "the master ended with {status}\n{}", sandbox.tails());
    for process in applications.into_iter().flat_map(|application| application.processes) {
        process.stop()?;
    }
    writeln!(out, "Done in {:.0} s. All processes that the demo started have ended.", began.elapsed().as_secs_f32())?;
    Ok(())
}

/// Returns the manifests of the demo. The context is that of `examples/default-context` with write access for its user.
fn manifests(sandbox: &Sandbox) -> Result<Vec<PathBuf>> {
    let (read_only, read_write) =
        ("securityLevel: AuthPriv\n    access: ReadOnly", "securityLevel: AuthPriv\n    access: ReadWrite");
    let context = fs::read_to_string(example("default-context").join("context.yaml"))?;
    ensure!(context.contains(read_only), "the user of examples/default-context has no access: ReadOnly to replace");
    let context = sandbox.write("context.yaml", context.replace(read_only, read_write))?;
    let mut manifests = vec![context, example("default-context").join("secrets.yaml")];
    manifests.extend(EXAMPLES.iter().map(|name| example(name).join("subtree.yaml")));
    Ok(manifests)
}

/// Starts the applications of the examples; the last one is that of `settings`. The web shop gets a few visitors.
fn start_applications(sandbox: &Sandbox) -> Result<[Application; 4]> {
    let web_app = Application::web_app(sandbox)?;
    for page in ["/", "/", "/cart"] {
        http::get(web_app.port, page)?;
    }
    Ok([
        Application::node_exporter(sandbox)?,
        web_app,
        Application::database(sandbox)?,
        Application::settings(sandbox)?,
    ])
}

/// Prints the first lines of a walk by name, and returns them.
fn walk_host(out: &mut impl Write, reader: &Client) -> Result<Vec<String>> {
    let walk = reader.print_by_name("snmpwalk", &[], &example("host"), MODULE, "exampleHost")?;
    let mut lines = Vec::new();
    for line in walk.lines() {
        let line = line.strip_prefix(&format!("{MODULE}::")).with_context(|| format!("not in {MODULE}: {line}"))?;
        ensure!(line.starts_with("host"), "the MIB module has no name for {line}");
        lines.push(line.to_owned());
    }
    let rest = lines.split_off(NAMED.min(lines.len()));
    print_lines(out, &lines)?;
    if !rest.is_empty() {
        writeln!(out, "     … and {} more", rest.len())?;
    }
    Ok(lines)
}

fn print_lines(out: &mut impl Write, lines: &[String]) -> Result<()> {
    for line in lines {
        writeln!(out, "     {line}")?;
    }
    Ok(())
}

/// Returns an error if the printed walks are too few varbinds, or of too few syntaxes.
fn check_printed(lines: &[String]) -> Result<()> {
    let syntaxes: BTreeSet<&str> =
        lines.iter().filter_map(|line| Some(line.split_once(" = ")?.1.split_once(": ")?.0)).collect();
    ensure!(lines.len() >= FEWEST_VARBINDS, "{} varbinds were printed, not {FEWEST_VARBINDS}", lines.len());
    ensure!(syntaxes.len() >= FEWEST_SYNTAXES, "the printed varbinds have only the syntaxes {syntaxes:?}");
    Ok(())
}

/// Prints the file systems of this machine as `snmptable` shows them.
fn print_table(out: &mut impl Write, reader: &Client) -> Result<()> {
    let folder: &Path = &example("host");
    let table = reader.print_by_name("snmptable", &["-Cib"], folder, MODULE, "hostFilesystemTable")?;
    let lines: Vec<String> = table.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    ensure!(lines.iter().any(|line| line.contains("Device") && line.contains("ReadOnly")), "no heading:\n{table}");
    ensure!(lines.iter().any(|line| line.trim_start().starts_with("\"/\" ")), "no row for /:\n{table}");
    print_lines(out, &lines)
}

/// Writes objects of the example `settings`, and shows that the application has taken the values.
fn change_settings(out: &mut impl Write, writer: &Client, reader: &Client, settings: &Application) -> Result<()> {
    let address = writer.address();
    let (name, limit) = (format!("{SETTINGS}.1.0"), format!("{SETTINGS}.3.0"));
    let user = "-v3 -u noc …";
    writeln!(out, "10. The NMS writes two settings of a running application in one SET:")?;
    writeln!(out, "     $ snmpset {user} -On {address} {name} s db-7 {limit} u 250")?;
    let answer = writer.print("snmpset", &["-On"], &[&name, "s", "db-7", &limit, "u", "250"])?;
    let expected = [format!(".{name} = STRING: \"db-7\""), format!(".{limit} = Gauge32: 250")];
    ensure!(answer.lines().eq(expected.iter()), "snmpset printed\n{answer}");
    print_lines(out, &expected)?;
    writeln!(out, "    It reads them back, and the application itself shows them over HTTP:")?;
    writeln!(out, "     $ snmpget -v2c -c {COMMUNITY} -On {address} {name} {limit}")?;
    let answer = reader.print("snmpget", &["-On"], &[&name, &limit])?;
    ensure!(answer.lines().eq(expected.iter()), "snmpget printed\n{answer}");
    print_lines(out, &expected)?;
    writeln!(out, "     $ curl http://127.0.0.1:{}/settings", settings.port)?;
    let body = http::get(settings.port, "/settings")?;
    let written = r#"{"hostName": "db-7", "logLevel": "info", "connectionLimit": 250, "maintenance": false}"#;
    ensure!(body == written, "the application has the settings {body}, not {written}");
    writeln!(out, "     {body}")?;

    writeln!(
        out,
        "11. A SET is all or nothing. The application refuses more than 500 connections, so the name stays:"
    )?;
    writeln!(out, "     $ snmpset {user} -On {address} {name} s db-8 {limit} u 501")?;
    let error = failure(writer.print("snmpset", &["-On"], &[&name, "s", "db-8", &limit, "u", "501"]))?;
    let reason = error.lines().find(|line| line.contains("commitFailed")).with_context(|| error.clone())?;
    writeln!(out, "     {}", reason.trim())?;
    let answer = reader.print("snmpget", &["-On"], &[&name, &limit])?;
    ensure!(answer.lines().eq(expected.iter()), "after the refused SET, snmpget printed\n{answer}");
    ensure!(http::get(settings.port, "/settings")? == written, "the refused SET changed the application");
    writeln!(out, "     $ snmpget -v2c -c {COMMUNITY} -On {address} {name} {limit}")?;
    print_lines(out, &expected)?;

    writeln!(out, "12. The community {COMMUNITY} has read access only, so its SET is refused:")?;
    writeln!(out, "     $ snmpset -v2c -c {COMMUNITY} -On {address} {name} s db-9")?;
    let error = failure(reader.print("snmpset", &["-On"], &[&name, "s", "db-9"]))?;
    let reason = error.lines().find(|line| line.contains("noAccess")).with_context(|| error.clone())?;
    writeln!(out, "     {}", reason.trim())?;
    Ok(())
}

/// Returns the message of a command that must fail.
fn failure(result: Result<String>) -> Result<String> {
    match result {
        Ok(output) => anyhow::bail!("the command succeeded, but had to fail: {output}"),
        Err(error) => Ok(format!("{error:#}")),
    }
}
