//! SETs of the example `settings`: writes, refusals, and values that are restored after a failure.

use agentx::Value;
use anyhow::{Context as _, Result, ensure};
use harness::{
    Application,
    MasterKind::{self, NetSnmp, Ours},
    Sandbox, Sidecar, SidecarOptions, SnmpAgent, example, http, render,
};
use rstest::rstest;

const BASE: &str = "1.3.6.1.4.1.8072.9999.9999.9";

/// The application of the example `settings` with its sidecar under a master.
struct SettingsSetup {
    sidecar: Sidecar,
    agent: Box<dyn SnmpAgent>,
    application: Application,
    sandbox: Sandbox,
}

/// The settings with which the application starts.
const INITIAL: &str = r#"{"hostName": "web-1", "logLevel": "info", "connectionLimit": 100, "maintenance": false}"#;

impl SettingsSetup {
    fn start(master: MasterKind) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let application = Application::settings(&sandbox)?;
        let config = render(&[example("settings").join("subtree.yaml")], "default", &sandbox.path("config"))?;
        let agent = master.start(&sandbox)?;
        let sidecar = application.start_sidecar(&sandbox, &config, agent.unix_url())?;
        let setup = Self { sidecar, agent, application, sandbox };
        setup.sandbox.wait_for("the settings to be published", || setup.check_value("1.0", &octets("web-1")))?;
        Ok(setup)
    }

    /// Sends one SET. Each varbind has the arcs below the base OID, snmpset's letter for the syntax, and the value.
    fn set(&self, variables: &[(&str, &str, &str)]) -> Result<()> {
        let variables: Vec<_> = variables.iter().map(|(arcs, kind, value)| (BASE, *arcs, *kind, *value)).collect();
        set(&*self.agent, &variables)
    }

    /// Sends a SET that must be refused. Returns the error, with the OID that caused it.
    fn expect_refusal(&self, variables: &[(&str, &str, &str)]) -> Result<String> {
        match self.set(variables) {
            Ok(()) => anyhow::bail!("the SET of {variables:?} succeeded"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }

    fn check_value(&self, arcs: &str, expected: &Value) -> Result<()> {
        let rows = self.agent.v2c().get(&[&format!("{BASE}.{arcs}")])?;
        ensure!(rows.len() == 1 && rows.iter().all(|row| row.value == *expected), "{arcs} is {rows:?}");
        Ok(())
    }

    fn settings(&self) -> Result<String> {
        http::get(self.application.port, "/settings")
    }

    fn check_settings(&self, expected: &str) -> Result<()> {
        let settings = self.settings()?;
        ensure!(settings == expected, "the application has the settings {settings}, not {expected}");
        Ok(())
    }
}

/// Sends one SET. Each varbind has a base OID, the arcs below it, snmpset's letter for the syntax, and the value.
fn set(agent: &dyn SnmpAgent, variables: &[(&str, &str, &str, &str)]) -> Result<()> {
    let names: Vec<_> = variables.iter().map(|(base, arcs, ..)| format!("{base}.{arcs}")).collect();
    let variables = names.iter().zip(variables).map(|(name, (_, _, kind, value))| (name.as_str(), *kind, *value));
    let variables: Vec<_> = variables.collect();
    // Without retries, so that a late response to a SET is an error.
    agent.v2c().with_timeout(std::time::Duration::from_secs(20), 0).set_all(&variables).map(drop)
}

fn octets(text: &str) -> Value {
    Value::OctetString(text.as_bytes().to_vec())
}

#[rstest]
fn a_set_writes_values_that_can_be_read_immediately(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let setup = SettingsSetup::start(master)?;
    setup.set(&[("1.0", "s", "db-7")])?;
    setup.check_value("1.0", &octets("db-7"))?;
    setup.set(&[("2.0", "i", "4"), ("3.0", "u", "250"), ("4.0", "i", "1")])?;
    setup.check_value("2.0", &Value::Integer(4))?;
    setup.check_value("3.0", &Value::Gauge32(250))?;
    setup.check_value("4.0", &Value::Integer(1))?;
    setup
        .check_settings(r#"{"hostName": "db-7", "logLevel": "debug", "connectionLimit": 250, "maintenance": true}"#)?;
    // The next collection confirms the value.
    setup.set(&[("3.0", "u", "100")])?;
    setup.check_value("3.0", &Value::Gauge32(100))
}

#[rstest]
fn wrong_values_are_refused_with_the_right_error(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let setup = SettingsSetup::start(master)?;
    let long = "a".repeat(64);
    for (arcs, kind, value, error) in [
        ("1.0", "i", "1", "wrongType"),
        ("1.0", "s", "", "wrongLength"),
        ("1.0", "s", long.as_str(), "wrongLength"),
        ("1.0", "s", "Not A Name", "wrongValue"),
        ("2.0", "i", "9", "wrongValue"),
        ("2.0", "u", "1", "wrongType"),
        ("3.0", "u", "0", "wrongValue"),
        ("3.0", "u", "1001", "wrongValue"),
        ("4.0", "i", "3", "wrongValue"),
        ("3.1", "u", "5", "noCreation"),
        ("5.0", "i", "1", "notWritable"),
        ("6.0", "i", "1", "notWritable"),
        // The application refuses more than 500 connections.
        ("3.0", "u", "501", "commitFailed"),
    ] {
        let seen = setup.expect_refusal(&[(arcs, kind, value)])?;
        assert!(seen.contains(error), "{arcs} = {value} as {kind}: expected {error}, received {seen}");
    }
    setup.check_settings(INITIAL)
}

#[rstest]
fn a_set_whose_second_varbind_fails_changes_nothing(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let setup = SettingsSetup::start(master)?;
    let error = setup.expect_refusal(&[("1.0", "s", "db-7"), ("3.0", "u", "1001"), ("4.0", "i", "1")])?;
    assert!(error.contains("wrongValue") && error.contains(&format!("{BASE}.3.0")), "{error}");
    setup.check_settings(INITIAL)?;
    // Only the application refuses this value, after the first varbind is written.
    let error = setup.expect_refusal(&[("1.0", "s", "db-7"), ("3.0", "u", "501"), ("4.0", "i", "1")])?;
    assert!(error.contains("commitFailed"), "{error}");
    setup.check_settings(INITIAL)?;
    setup.check_value("1.0", &octets("web-1"))?;
    setup.check_value("4.0", &Value::Integer(2))?;
    setup.set(&[("1.0", "s", "db-7"), ("3.0", "u", "500"), ("4.0", "i", "1")])
}

#[rstest]
fn an_unresponsive_application_fails_only_its_own_set(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let setup = SettingsSetup::start(master)?;
    http::post(setup.application.port, "/stall")?;
    // The application has accepted the value without a reply, so the old value is restored. Reads continue meanwhile.
    let error = std::thread::scope(|scope| {
        let set = scope.spawn(|| setup.expect_refusal(&[("1.0", "s", "db-7")]));
        setup.check_value("3.0", &Value::Gauge32(100))?;
        set.join().expect("the thread does not panic")
    })?;
    // snmpd repeats a request after a second, and may respond with genErr then.
    let may_be_general = master == NetSnmp && error.contains("genError");
    assert!(error.contains("commitFailed") || may_be_general, "{error}");
    setup.check_settings(INITIAL)?;
    setup.check_value("1.0", &octets("web-1"))?;
    // The application refuses the new value and then the old one, so the response says that the value may have changed.
    http::post(setup.application.port, "/freeze")?;
    let error = setup.expect_refusal(&[("1.0", "s", "db-7")])?;
    assert!(error.contains("undoFailed"), "{error}");
    http::post(setup.application.port, "/thaw")?;
    setup.set(&[("1.0", "s", "db-7")])
}

#[rstest]
fn a_sidecar_that_is_killed_during_a_set_restores_the_values(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    let mut setup = SettingsSetup::start(master)?;
    http::post(setup.application.port, "/stall")?;
    std::thread::scope(|scope| -> Result<()> {
        let (agent, sandbox) = (&setup.agent, &setup.sandbox);
        let port = setup.application.port;
        let set = scope.spawn(move || set(&**agent, &[(BASE, "1.0", "s", "db-7"), (BASE, "3.0", "u", "200")]));
        sandbox.wait_for("the first value to be written", || {
            let settings = http::get(port, "/settings")?;
            ensure!(settings.contains("db-7"), "{settings}");
            Ok(())
        })?;
        setup.sidecar.kill()?;
        ensure!(set.join().expect("the thread does not panic").is_err(), "the SET succeeded");
        Ok(())
    })?;
    let journal = std::fs::read_to_string(setup.sandbox.path("sidecar-settings.state").join("writes.json"))?;
    ensure!(journal.contains("web-1"), "the journal does not have the old value: {journal}");
    setup.sidecar.start_again()?;
    setup.sandbox.wait_for("the old values to be restored", || setup.check_settings(INITIAL))?;
    setup.sidecar.wait_ready()?;
    setup.sandbox.wait_for("the old value to be published", || setup.check_value("1.0", &octets("web-1")))?;
    setup.sandbox.wait_for("another SET to succeed", || setup.set(&[("1.0", "s", "db-8")]))?;
    setup.check_settings(&INITIAL.replace("web-1", "db-8"))
}

const OTHER: &str = "1.3.6.1.4.1.8072.9999.9999.77";

/// How two subtrees are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    /// By one sidecar in one AgentX session.
    Together,
    /// By the sidecars of two pods.
    Apart,
}

/// Two applications with settings, each with its own subtree, under one master.
struct TwoApplications {
    agent: Box<dyn SnmpAgent>,
    applications: [Application; 2],
    _sidecars: Vec<Sidecar>,
    sandbox: Sandbox,
}

impl TwoApplications {
    fn start(master: MasterKind, served: Served) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let applications = [Application::settings(&sandbox)?, Application::settings(&sandbox)?];
        let agent = master.start(&sandbox)?;
        let manifest = std::fs::read_to_string(example("settings").join("subtree.yaml"))?;
        let mut manifests = Vec::new();
        for (i, base) in [BASE, OTHER].into_iter().enumerate() {
            let port = format!("port: http{i}");
            let of_one = manifest.replace("name: settings\n", &format!("name: settings{i}\n")).replace(BASE, base);
            let of_one = of_one.replace("port: http", &port).replace("  - name: settings", &format!("  - name: s{i}"));
            manifests.push(sandbox.write(&format!("{i}.yaml"), of_one)?);
        }
        let mut configurations = vec![manifests.clone()];
        if served == Served::Apart {
            configurations = manifests.into_iter().map(|manifest| vec![manifest]).collect();
        }
        let mut sidecars = Vec::new();
        for (i, manifests) in configurations.iter().enumerate() {
            let name = format!("sidecar{i}");
            let options = SidecarOptions {
                config: render(manifests, "default", &sandbox.path(&format!("{name}.config")))?,
                masters: vec![agent.unix_url()],
                pod_name: format!("settings-{i}"),
                state: Some(sandbox.folder(&format!("{name}.state"))?),
                ports: applications.iter().enumerate().map(|(i, one)| format!("http{i}={}", one.port)).collect(),
                name,
                ..SidecarOptions::default()
            };
            sidecars.push(Sidecar::start(&sandbox, options)?);
        }
        let two = Self { agent, applications, _sidecars: sidecars, sandbox };
        two.sandbox.wait_for("the settings of both to be published", || two.check_names("web-1", "web-1"))?;
        Ok(two)
    }

    /// Checks the two host names, by SNMP and in the applications.
    fn check_names(&self, first: &str, second: &str) -> Result<()> {
        let names = [BASE, OTHER].map(|base| format!("{base}.1.0"));
        let rows = self.agent.v2c().get(&names.each_ref().map(String::as_str))?;
        let shown: Vec<_> = rows.into_iter().map(|row| row.value).collect();
        ensure!(shown == [octets(first), octets(second)], "{shown:?}");
        self.check_name(0, first)?;
        self.check_name(1, second)
    }

    /// Checks the host name in an application.
    fn check_name(&self, application: usize, expected: &str) -> Result<()> {
        let settings = http::get(self.applications[application].port, "/settings")?;
        ensure!(
            settings.contains(&format!(r#""hostName": "{expected}""#)),
            "expected the host name {expected} in {settings}"
        );
        Ok(())
    }
}

#[rstest]
fn a_set_over_two_subtrees_is_all_or_nothing(
    #[values(NetSnmp, Ours)] master: MasterKind,
    #[values(Served::Together, Served::Apart)] served: Served,
) -> Result<()> {
    let two = TwoApplications::start(master, served)?;
    let expect_refusal = |variables: &[_], error: &str, name: &str| -> Result<()> {
        let seen = format!("{:#}", set(&*two.agent, variables).err().context("the SET succeeded")?);
        ensure!(seen.contains(error) && seen.contains(name), "expected {error} for {name}, received {seen}");
        Ok(())
    };
    // The TestSet of the second subtree fails.
    let wrong = [(BASE, "1.0", "s", "db-1"), (OTHER, "1.0", "s", "db-2"), (OTHER, "3.0", "u", "1001")];
    expect_refusal(&wrong, "wrongValue", &format!("{OTHER}.3.0"))?;
    two.check_names("web-1", "web-1")?;
    // The CommitSet of the second subtree fails. The first may be written by then.
    let too_many = [(BASE, "1.0", "s", "db-1"), (OTHER, "1.0", "s", "db-2"), (OTHER, "3.0", "u", "501")];
    expect_refusal(&too_many, "commitFailed", &format!("{OTHER}.3.0"))?;
    two.check_names("web-1", "web-1")?;
    // The CommitSet of the first subtree fails, which is the second in the request.
    let too_many = [(OTHER, "1.0", "s", "db-2"), (BASE, "3.0", "u", "501"), (BASE, "1.0", "s", "db-1")];
    expect_refusal(&too_many, "commitFailed", &format!("{BASE}.3.0"))?;
    two.check_names("web-1", "web-1")?;
    set(&*two.agent, &[(OTHER, "1.0", "s", "db-2"), (BASE, "1.0", "s", "db-1"), (OTHER, "3.0", "u", "7")])?;
    two.check_names("db-1", "db-2")?;
    ensure!(http::get(two.applications[1].port, "/settings")?.contains(r#""connectionLimit": 7"#));
    // The second application accepts the value without a reply, and then refuses the old value. The response is undoFailed,
    // and the first application has its old value.
    http::post(two.applications[1].port, "/stall")?;
    std::thread::scope(|scope| -> Result<()> {
        let set = scope.spawn(|| set(&*two.agent, &[(BASE, "1.0", "s", "x-1"), (OTHER, "1.0", "s", "x-2")]));
        two.sandbox.wait_for("the second value to be written", || two.check_name(1, "x-2"))?;
        http::post(two.applications[1].port, "/freeze")?;
        let seen = format!("{:#}", set.join().expect("the thread does not panic").err().context("the SET succeeded")?);
        // snmpd repeats a request after a second, and may respond with genErr then.
        ensure!(seen.contains("undoFailed") || master == NetSnmp && seen.contains("genError"), "{seen}");
        Ok(())
    })?;
    two.check_name(0, "db-1")?;
    two.check_name(1, "x-2")
}
