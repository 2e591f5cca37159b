//! The examples, each with the real application that it is for.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use agentx::Value;
use anyhow::{Context, Result, ensure};
use harness::{
    Application,
    MasterKind::{self, NetSnmp, Ours},
    Row, Sandbox, Sidecar, SnmpAgent, Walk, debian, example, http, render, run,
};
use rstest::rstest;

/// A running example.
struct Served {
    _sidecar: Sidecar,
    agent: Box<dyn SnmpAgent>,
    base: String,
    application: Application,
    config: PathBuf,
    sandbox: Sandbox,
}

impl Served {
    /// Starts the example `name`, whose base OID ends in `number`, with its application.
    fn start(
        master: MasterKind,
        name: &str,
        number: u32,
        start: impl FnOnce(&Sandbox) -> Result<Application>,
    ) -> Result<Self> {
        Self::start_with(master, name, number, &[], start)
    }

    /// Like [`Self::start`], with these files in its configuration folder, as a Secret has them in a cluster.
    fn start_with(
        master: MasterKind,
        name: &str,
        number: u32,
        files: &[(&str, &str)],
        start: impl FnOnce(&Sandbox) -> Result<Application>,
    ) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let application = start(&sandbox)?;
        let config = render(&[example(name).join("subtree.yaml")], "default", &sandbox.path("config"))?;
        for (file, content) in files {
            fs::write(config.join(file), content)?;
        }
        let agent = master.start(&sandbox)?;
        let sidecar = application.start_sidecar(&sandbox, &config, agent.unix_url())?;
        let base = format!("1.3.6.1.4.1.8072.9999.9999.{number}");
        Ok(Self { _sidecar: sidecar, agent, base, application, config, sandbox })
    }

    /// Walks it by GetNext and GetBulk. Returns the values by their arcs below the base OID.
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
        other => anyhow::bail!("{other:?} is not a text"),
    }
}

/// Returns the values of a column by their index.
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
fn the_mib_module_of_host_names_every_object(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let served = Served::start(master, "host", 1, Application::node_exporter)?;
    let numbered = served.walk()?;
    let by_name =
        served.agent.v2c().print_by_name("snmpwalk", &[], &example("host"), "EXAMPLE-HOST-MIB", "exampleHost")?;
    let names: Vec<&str> = by_name.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    assert_eq!(names.len(), numbered.len(), "{by_name}");
    for name in &names {
        let (module, object) = name.split_once("::").context("a name has no module")?;
        assert_eq!(module, "EXAMPLE-HOST-MIB");
        assert!(object.starts_with("host"), "the MIB module has no name for {name}");
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
    http::get(port, "/nowhere").expect_err("the page does not exist");
    let walk = served.sandbox.wait_for("the requests to be counted", || {
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

const TOKEN: &str = "secret.http-api.token";

#[rstest]
fn http_api_shows_the_values_in_its_json(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let served = Served::start_with(master, "http-api", 5, &[(TOKEN, "change-me")], Application::http_api)?;
    let port = served.application.port;
    for _ in 0..2 {
        http::post(port, "/login")?;
    }
    let walk = served.sandbox.wait_for("two users to be counted", || {
        let walk = served.walk()?;
        ensure!(walk.get("3.0") == Some(&Value::Gauge32(2)), "{walk:?}");
        Ok(walk)
    })?;
    assert_eq!(text(walk.get("1.0"))?, "2.3.0");
    assert_eq!(walk.get("2.0"), Some(&Value::Integer(1)), "up");
    assert_eq!(walk.get("4.0"), Some(&Value::Counter64(2)), "requests, which are a string in JSON");
    assert_eq!(walk.get("5.0"), Some(&Value::Counter64(0)), "errors");
    assert_eq!(text(walk.get("6.0"))?, "none");
    assert_eq!(walk.get("7.0"), Some(&Value::Integer(1)), "the API replies");
    assert_eq!(walk.get("10.1.2.109.97.105.108"), Some(&Value::Gauge32(4)), "depth of mail");
    assert_eq!(walk.get("10.1.3.114.101.112.111.114.116.115"), Some(&Value::Integer(1)), "reports are paused");
    http::post(port, "/nowhere").expect_err("the page does not exist");
    served.sandbox.wait_for("the error to be counted", || {
        let walk = served.walk()?;
        ensure!(
            walk.get("2.0") == Some(&Value::Integer(2)) && walk.get("5.0") == Some(&Value::Counter64(1)),
            "{walk:?}"
        );
        Ok(())
    })
}

#[rstest]
fn http_api_keeps_its_last_values_when_it_fails(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let served = Served::start_with(master, "http-api", 5, &[(TOKEN, "change-me")], Application::http_api)?;
    let port = served.application.port;
    let shows = |users: u32, up: i32| {
        let walk = served.walk()?;
        let right = walk.get("3.0") == Some(&Value::Gauge32(users)) && walk.get("7.0") == Some(&Value::Integer(up));
        ensure!(right && text(walk.get("1.0"))? == "2.3.0", "{walk:?}");
        Ok(())
    };
    http::post(port, "/login")?;
    served.sandbox.wait_for("a user to be counted", || shows(1, 1))?;
    http::post(port, "/fail")?;
    http::post(port, "/login")?;
    served.sandbox.wait_for("the failure beside the last values", || shows(1, 2))?;
    // The API gets a new token first, and refuses the old one.
    let token = served.sandbox.path("token");
    fs::write(&token, "another")?;
    http::post(port, "/recover")?;
    served.sandbox.wait_for("the last values while the sidecar has the old token", || shows(1, 2))?;
    fs::write(served.config.join(TOKEN), "another")?;
    served.sandbox.wait_for("the new token to be used", || shows(2, 1))
}

#[rstest]
fn system_shows_this_machine(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let served = Served::start(master, "system", 7, Application::system)?;
    let walk = served.sandbox.wait_for("the load of the processors", || {
        let walk = served.walk()?;
        ensure!(matches!(walk.get("1.0"), Some(Value::Gauge32(0..=100))), "{walk:?}");
        Ok(walk)
    })?;
    assert!(matches!(walk.get("2.0"), Some(Value::Gauge32(1..=100))), "memory: {:?}", walk.get("2.0"));
    let memory = fs::read_to_string("/proc/meminfo")?;
    let total: u32 = memory.split_whitespace().nth(1).context("no MemTotal")?.parse()?;
    assert_eq!(walk.get("6.0"), Some(&Value::Gauge32(total)));
    let stat = fs::read_to_string("/proc/stat")?;
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")).context("no btime")?;
    assert_eq!(walk.get("7.0"), Some(&Value::Gauge32(boot.trim().parse()?)));
    for load in ["3.0", "4.0", "5.0"] {
        assert!(matches!(walk.get(load), Some(Value::Gauge32(_))), "{load}: {:?}", walk.get(load));
    }
    let processors = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
    assert_eq!(column(&walk, "10.1.2").len(), processors);
    let root = column(&walk, "11.1.2");
    assert!(matches!(root.get("1.47"), Some(Value::Gauge32(1..))), "no file system at /: {root:?}");
    assert!(matches!(column(&walk, "11.1.3").get("1.47"), Some(Value::Gauge32(1..=100))));
    assert!(!column(&walk, "12.1.2").is_empty(), "no disks: {walk:?}");
    Ok(())
}

#[rstest]
fn interfaces_shows_every_interface_in_every_column(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let served = Served::start(master, "interfaces", 8, Application::system)?;
    let walk = served.walk()?;
    let mut interfaces: Vec<String> = fs::read_dir("/sys/class/net")?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    interfaces.retain(|name| fs::metadata(format!("/sys/class/net/{name}")).is_ok_and(|file| file.is_dir()));
    interfaces.sort();
    assert_eq!(walk.get("1.0"), Some(&Value::Integer(i32::try_from(interfaces.len())?)));
    let names = column(&walk, "2.1.2");
    let mut shown: Vec<String> = names.values().map(|value| text(Some(value))).collect::<Result<_>>()?;
    shown.sort();
    assert_eq!(shown, interfaces);
    let client = served.agent.v2c();
    for arc in [2, 4, 6, 8, 10, 11, 13, 14, 16, 17, 19, 20] {
        let rows = client.walk(Walk::Bulk(10), &format!("{}.2.1.{arc}", served.base))?;
        assert_eq!(rows.len(), interfaces.len(), "column {arc}");
    }
    let (index, _) = names.iter().find(|(_, name)| text(Some(name)).is_ok_and(|name| name == "lo")).context("no lo")?;
    let mtu = fs::read_to_string("/sys/class/net/lo/mtu")?.trim().parse()?;
    assert_eq!(column(&walk, "2.1.4").get(index), Some(&&Value::Integer(mtu)));
    assert!(!column(&walk, "2.1.5").contains_key(index), "lo has no speed");
    Ok(())
}

#[rstest]
fn postgresql_shows_the_results_of_its_queries(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let served = Served::start(master, "postgresql", 6, Application::postgresql)?;
    // In a cluster, the operator copies this file from a Secret.
    fs::write(served.config.join("secret.postgresql-monitor.dsn"), Application::dsn(&served.sandbox))?;
    let walk = served.sandbox.wait_for("the values of PostgreSQL", || {
        let walk = served.walk()?;
        ensure!(walk.get("1.0") == Some(&Value::Integer(1)), "{walk:?}");
        Ok(walk)
    })?;
    assert!(text(walk.get("2.0"))?.starts_with(|first: char| first.is_ascii_digit()));
    assert!(matches!(walk.get("3.0"), Some(Value::Gauge32(1..))), "connections: {:?}", walk.get("3.0"));
    assert_eq!(walk.get("4.0"), Some(&Value::Gauge32(100)), "connections at most");
    assert!(matches!(walk.get("5.0"), Some(Value::TimeTicks(1..))), "uptime: {:?}", walk.get("5.0"));
    assert!(matches!(walk.get("6.0"), Some(Value::Counter64(1..))), "commits: {:?}", walk.get("6.0"));
    let name = "8.112.111.115.116.103.114.101.115";
    for arc in 2..=6 {
        column(&walk, &format!("10.1.{arc}")).get(name).with_context(|| format!("no column {arc}: {walk:?}"))?;
    }
    assert!(matches!(column(&walk, "10.1.2").get(name), Some(Value::Counter64(1_000_000..))), "size");
    // The state "active" has one connection, that of the sidecar.
    assert_eq!(walk.get("11.1.2.97.99.116.105.118.101"), Some(&Value::Gauge32(1)));
    Ok(())
}
