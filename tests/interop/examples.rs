//! The examples, each on the real thing that it is for.

use std::{collections::BTreeMap, fs, process::Command};

use agentx::Value;
use anyhow::{Context, Result, ensure};
use harness::{
    Agent, Application,
    MasterKind::{self, NetSnmp, Ours},
    Row, Sandbox, Sidecar, Walk, debian, example, http, render, run,
};
use rstest::rstest;

/// An example that is served.
struct Served {
    _sidecar: Sidecar,
    agent: Box<dyn Agent>,
    base: String,
    application: Application,
    sandbox: Sandbox,
}

impl Served {
    /// Serves the example `name`, whose OID ends in `number`, on its application.
    fn start(
        master: MasterKind,
        name: &str,
        number: u32,
        start: impl FnOnce(&Sandbox) -> Result<Application>,
    ) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let application = start(&sandbox)?;
        let config = render(&[example(name).join("subtree.yaml")], "default", &sandbox.path("config"))?;
        let agent = master.start(&sandbox)?;
        let sidecar = application.start_sidecar(&sandbox, &config, agent.unix_url())?;
        let base = format!("1.3.6.1.4.1.8072.9999.9999.{number}");
        Ok(Self { _sidecar: sidecar, agent, base, application, sandbox })
    }

    /// Walks it both ways and gives the values by their arcs below the base.
    fn walk(&self) -> Result<BTreeMap<String, Value>> {
        let client = self.agent.v2c();
        let rows = client.walk(Walk::Bulk(50), &self.base)?;
        let names = |rows: &[Row]| rows.iter().map(|row| row.oid.clone()).collect::<Vec<_>>();
        ensure!(names(&client.walk(Walk::Next, &self.base)?) == names(&rows), "the two walks differ");
        let below = |row: Row| {
            Some((row.oid.to_string().strip_prefix(&self.base)?.trim_start_matches('.').to_owned(), row.value))
        };
        Ok(rows.into_iter().filter_map(below).collect())
    }
}

fn text(value: Option<&Value>) -> Result<String> {
    match value {
        Some(Value::OctetString(text)) => Ok(String::from_utf8(text.clone())?),
        other => anyhow::bail!("{other:?} is no text"),
    }
}

/// The values of a column by their index.
fn column<'a>(walk: &'a BTreeMap<String, Value>, entry_and_column: &str) -> BTreeMap<&'a str, &'a Value> {
    let prefix = format!("{entry_and_column}.");
    walk.iter().filter_map(|(arcs, value)| Some((arcs.strip_prefix(&prefix)?, value))).collect()
}

#[rstest]
fn host_shows_this_machine(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let served = Served::start(master, "host", 1, Application::node_exporter)?;
    let walk = served.walk()?;
    let kernel = run(Command::new(debian("uname", "coreutils")?).arg("-r"))?.stdout;
    assert_eq!(text(walk.get("2.0"))?, String::from_utf8(kernel)?.trim());
    for (scalar, matches) in [
        ("3.0", (|v| matches!(v, Value::Gauge32(_))) as fn(&Value) -> bool),
        ("4.0", |v| matches!(v, Value::Gauge32(65_536..))),
        ("5.0", |v| matches!(v, Value::Gauge32(1..))),
        ("6.0", |v| matches!(v, Value::Gauge32(1_700_000_000..))),
        ("7.0", |v| matches!(v, Value::Counter64(1..))),
        ("8.0", |v| *v == Value::Integer(1)),
    ] {
        assert!(walk.get(scalar).is_some_and(matches), "{scalar}: {:?}", walk.get(scalar));
    }
    let processors = std::thread::available_parallelism()?.get();
    assert!(column(&walk, "10.1.2").len() >= processors, "{walk:?}");
    let root = column(&walk, "11.1.3");
    assert!(matches!(root.get("1.47"), Some(Value::Gauge32(1..))), "no file system at /: {root:?}");
    Ok(())
}

#[rstest]
fn host_has_a_name_for_every_object(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let served = Served::start(master, "host", 1, Application::node_exporter)?;
    let numbered = served.walk()?;
    let by_name = served.agent.v2c().walk_by_name(&example("host"), "EXAMPLE-HOST-MIB", "exampleHost")?;
    let names: Vec<&str> = by_name.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    assert_eq!(names.len(), numbered.len(), "{by_name}");
    for name in &names {
        let (module, object) = name.split_once("::").context("no module")?;
        assert_eq!(module, "EXAMPLE-HOST-MIB");
        assert!(object.starts_with("host"), "{name} has no name of its own");
    }
    assert!(names.contains(&"EXAMPLE-HOST-MIB::hostFilesystemSize.\"/\""), "{by_name}");
    assert!(by_name.contains("EXAMPLE-HOST-MIB::hostExporterUp.0 = INTEGER: true(1)"), "{by_name}");
    Ok(())
}

#[rstest]
fn table_shows_the_interfaces_of_this_machine(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let served = Served::start(master, "table", 4, Application::node_exporter)?;
    let walk = served.walk()?;
    let mut names: Vec<String> =
        column(&walk, "1.1.2").into_values().map(|value| text(Some(value))).collect::<Result<_>>()?;
    names.sort();
    let mut interfaces: Vec<String> = fs::read_dir("/sys/class/net")?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    interfaces.sort();
    assert_eq!(names, interfaces);
    let indexes: Vec<&str> = column(&walk, "1.1.2").into_keys().collect();
    let mut numbers: Vec<usize> = indexes.iter().map(|index| Ok(index.parse()?)).collect::<Result<_>>()?;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=interfaces.len()).collect::<Vec<_>>(), "rows are numbered from 1");
    assert_eq!(column(&walk, "1.1.9").len(), interfaces.len(), "the constant stands in every row");
    Ok(())
}

#[rstest]
fn web_app_counts_its_requests(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let served = Served::start(master, "web-app", 2, Application::web_app)?;
    let port = served.application.port;
    for _ in 0..3 {
        http::get(port, "/")?;
    }
    http::get(port, "/cart")?;
    http::get(port, "/nowhere").expect_err("no such page");
    let walk = served.sandbox.wait_for("the requests to show", || {
        let walk = served.walk()?;
        ensure!(walk.get("3.0") == Some(&Value::Counter64(5)), "{walk:?}");
        Ok(walk)
    })?;
    assert_eq!(text(walk.get("1.0"))?, "1.4.2");
    assert_eq!(walk.get("4.0"), Some(&Value::Counter64(1)), "errors");
    assert!(matches!(walk.get("7.0"), Some(Value::Gauge32(1..))), "latency");
    // GET /cart: 3.71.69.84 is the method, the rest is the path.
    assert_eq!(walk.get("10.1.3.3.71.69.84.47.99.97.114.116"), Some(&Value::Counter64(1)));
    Ok(())
}

#[rstest]
fn database_shows_a_postgresql_server(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let served = Served::start(master, "database", 3, Application::database)?;
    let walk = served.walk()?;
    assert_eq!(walk.get("1.0"), Some(&Value::Integer(1)), "up");
    assert!(text(walk.get("2.0"))?.starts_with(|first: char| first.is_ascii_digit()));
    assert!(matches!(walk.get("3.0"), Some(Value::Gauge32(1..))), "connections");
    assert_eq!(walk.get("4.0"), Some(&Value::Gauge32(100)), "connections at most");
    let name = "8.112.111.115.116.103.114.101.115";
    for (arc, what) in [(2, "size"), (3, "sessions"), (4, "commits"), (5, "rollbacks")] {
        column(&walk, &format!("10.1.{arc}")).get(name).with_context(|| format!("no {what}: {walk:?}"))?;
    }
    Ok(())
}
