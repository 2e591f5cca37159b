//! SETs of the example with settings, as an NMS sends them: what is written, what is refused, and what is put back.

use agentx::Value;
use anyhow::{Context as _, Result, ensure};
use harness::{
    Agent, Application,
    MasterKind::{self, NetSnmp, Ours},
    Sandbox, Sidecar, SidecarOptions, example, http, render,
};
use rstest::rstest;

const BASE: &str = "1.3.6.1.4.1.8072.9999.9999.9";

struct World {
    sidecar: Sidecar,
    agent: Box<dyn Agent>,
    application: Application,
    sandbox: Sandbox,
}

/// What the application is started with.
const AT_FIRST: &str = r#"{"hostName": "web-1", "logLevel": "info", "connectionLimit": 100, "maintenance": false}"#;

impl World {
    fn start(master: MasterKind) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let application = Application::settings(&sandbox)?;
        let config = render(&[example("settings").join("subtree.yaml")], "default", &sandbox.path("config"))?;
        let agent = master.start(&sandbox)?;
        let sidecar = application.start_sidecar(&sandbox, &config, agent.unix_url())?;
        let world = Self { sidecar, agent, application, sandbox };
        world.sandbox.wait_for("the settings to show", || world.shows("1.0", &octets("web-1")))?;
        Ok(world)
    }

    /// One SET of all these: arcs below the base, snmpset's letter, value.
    fn set(&self, variables: &[(&str, &str, &str)]) -> Result<()> {
        let variables: Vec<_> = variables.iter().map(|(arcs, kind, value)| (BASE, *arcs, *kind, *value)).collect();
        set(&*self.agent, &variables)
    }

    /// What is said of a SET that is refused: the error, and the OID that it is about.
    fn refused(&self, variables: &[(&str, &str, &str)]) -> Result<String> {
        match self.set(variables) {
            Ok(()) => anyhow::bail!("{variables:?} was taken"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }

    fn shows(&self, arcs: &str, expected: &Value) -> Result<()> {
        let rows = self.agent.v2c().get(&[&format!("{BASE}.{arcs}")])?;
        ensure!(rows.len() == 1 && rows.iter().all(|row| row.value == *expected), "{arcs} is {rows:?}");
        Ok(())
    }

    fn settings(&self) -> Result<String> {
        http::get(self.application.port, "/settings")
    }

    fn has(&self, expected: &str) -> Result<()> {
        let settings = self.settings()?;
        ensure!(settings == expected, "the application has {settings}, not {expected}");
        Ok(())
    }
}

/// One SET of all these: base, arcs below it, snmpset's letter, value.
fn set(agent: &dyn Agent, variables: &[(&str, &str, &str, &str)]) -> Result<()> {
    let names: Vec<_> = variables.iter().map(|(base, arcs, ..)| format!("{base}.{arcs}")).collect();
    let variables = names.iter().zip(variables).map(|(name, (_, _, kind, value))| (name.as_str(), *kind, *value));
    let variables: Vec<_> = variables.collect();
    // Never sent again by itself: a SET that is answered late is to be seen.
    agent.v2c().patience(std::time::Duration::from_secs(20), 0).set_all(&variables).map(drop)
}

fn octets(text: &str) -> Value {
    Value::OctetString(text.as_bytes().to_vec())
}

#[rstest]
fn what_is_set_is_written_and_reads_back_at_once(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let world = World::start(master)?;
    world.set(&[("1.0", "s", "db-7")])?;
    world.shows("1.0", &octets("db-7"))?;
    world.set(&[("2.0", "i", "4"), ("3.0", "u", "250"), ("4.0", "i", "1")])?;
    world.shows("2.0", &Value::Integer(4))?;
    world.shows("3.0", &Value::Gauge32(250))?;
    world.shows("4.0", &Value::Integer(1))?;
    world.has(r#"{"hostName": "db-7", "logLevel": "debug", "connectionLimit": 250, "maintenance": true}"#)?;
    // What the application says itself is what shows in the end.
    world.set(&[("3.0", "u", "100")])?;
    world.shows("3.0", &Value::Gauge32(100))
}

#[rstest]
fn what_is_wrong_is_refused_by_the_right_error(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let world = World::start(master)?;
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
        // The application has no more than 500.
        ("3.0", "u", "501", "commitFailed"),
    ] {
        let said = world.refused(&[(arcs, kind, value)])?;
        assert!(said.contains(error), "{arcs} = {value} as {kind}: {said}, not {error}");
    }
    world.has(AT_FIRST)
}

#[rstest]
fn a_set_whose_second_variable_fails_leaves_all_as_they_were(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    let world = World::start(master)?;
    let error = world.refused(&[("1.0", "s", "db-7"), ("3.0", "u", "1001"), ("4.0", "i", "1")])?;
    assert!(error.contains("wrongValue") && error.contains(&format!("{BASE}.3.0")), "{error}");
    world.has(AT_FIRST)?;
    // Only the application knows that this is too much, when the first has been written.
    let error = world.refused(&[("1.0", "s", "db-7"), ("3.0", "u", "501"), ("4.0", "i", "1")])?;
    assert!(error.contains("commitFailed"), "{error}");
    world.has(AT_FIRST)?;
    world.shows("1.0", &octets("web-1"))?;
    world.shows("4.0", &Value::Integer(2))?;
    world.set(&[("1.0", "s", "db-7"), ("3.0", "u", "500"), ("4.0", "i", "1")])
}

#[rstest]
fn an_application_that_does_not_answer_has_no_say_over_others(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    let world = World::start(master)?;
    http::post(world.application.port, "/stall")?;
    // It took the value and did not say so: it is put back. Reads go on meanwhile.
    let error = std::thread::scope(|scope| {
        let set = scope.spawn(|| world.refused(&[("1.0", "s", "db-7")]));
        world.shows("3.0", &Value::Gauge32(100))?;
        set.join().expect("the thread does not panic")
    })?;
    // snmpd sends what takes longer than a second once more, and may say genErr then.
    let may_be_general = master == NetSnmp && error.contains("genError");
    assert!(error.contains("commitFailed") || may_be_general, "{error}");
    world.has(AT_FIRST)?;
    world.shows("1.0", &octets("web-1"))?;
    // It refuses the value, and the old one as well: whoever asked is told that it may not be as it was.
    http::post(world.application.port, "/freeze")?;
    let error = world.refused(&[("1.0", "s", "db-7")])?;
    assert!(error.contains("undoFailed"), "{error}");
    http::post(world.application.port, "/thaw")?;
    world.set(&[("1.0", "s", "db-7")])
}

#[rstest]
fn a_sidecar_that_is_killed_within_a_set_puts_it_back(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let mut world = World::start(master)?;
    http::post(world.application.port, "/stall")?;
    std::thread::scope(|scope| -> Result<()> {
        let (agent, sandbox) = (&world.agent, &world.sandbox);
        let port = world.application.port;
        let set = scope.spawn(move || set(&**agent, &[(BASE, "1.0", "s", "db-7"), (BASE, "3.0", "u", "200")]));
        sandbox.wait_for("the first to be written", || {
            let settings = http::get(port, "/settings")?;
            ensure!(settings.contains("db-7"), "{settings}");
            Ok(())
        })?;
        world.sidecar.kill()?;
        ensure!(set.join().expect("the thread does not panic").is_err(), "the SET was taken");
        Ok(())
    })?;
    let journal = std::fs::read_to_string(world.sandbox.path("sidecar-settings.state").join("writes.json"))?;
    ensure!(journal.contains("web-1"), "what to put back: {journal}");
    world.sidecar.start_again()?;
    world.sandbox.wait_for("what was there to be put back", || world.has(AT_FIRST))?;
    world.sidecar.wait_ready()?;
    world.sandbox.wait_for("it to show", || world.shows("1.0", &octets("web-1")))?;
    world.sandbox.wait_for("another SET to be taken", || world.set(&[("1.0", "s", "db-8")]))?;
    world.has(&AT_FIRST.replace("web-1", "db-8"))
}

const OTHER: &str = "1.3.6.1.4.1.8072.9999.9999.77";

/// How the settings of two subtrees are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    /// By one sidecar, in one session of AgentX.
    Together,
    /// By a sidecar of another pod.
    Apart,
}

/// Two applications with settings, each in a subtree of its own, of the same master.
struct Two {
    agent: Box<dyn Agent>,
    applications: [Application; 2],
    _sidecars: Vec<Sidecar>,
    sandbox: Sandbox,
}

impl Two {
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
        two.sandbox.wait_for("the settings of both to show", || two.show("web-1", "web-1"))?;
        Ok(two)
    }

    /// Whether these are their host names, in SNMP and in the applications.
    fn show(&self, first: &str, second: &str) -> Result<()> {
        let names = [BASE, OTHER].map(|base| format!("{base}.1.0"));
        let rows = self.agent.v2c().get(&names.each_ref().map(String::as_str))?;
        let shown: Vec<_> = rows.into_iter().map(|row| row.value).collect();
        ensure!(shown == [octets(first), octets(second)], "{shown:?}");
        self.have(0, first)?;
        self.have(1, second)
    }

    /// Whether this application has the host name.
    fn have(&self, application: usize, expected: &str) -> Result<()> {
        let settings = http::get(self.applications[application].port, "/settings")?;
        ensure!(settings.contains(&format!(r#""hostName": "{expected}""#)), "{settings}, not {expected}");
        Ok(())
    }
}

#[rstest]
fn a_set_over_subtrees_is_whole_or_not_at_all(
    #[values(NetSnmp, Ours)] master: MasterKind,
    #[values(Served::Together, Served::Apart)] served: Served,
) -> Result<()> {
    let two = Two::start(master, served)?;
    let refused = |variables: &[_], error: &str, name: &str| -> Result<()> {
        let said = format!("{:#}", set(&*two.agent, variables).err().context("it was taken")?);
        ensure!(said.contains(error) && said.contains(name), "{said}, not {error} of {name}");
        Ok(())
    };
    // At the test of the second.
    let wrong = [(BASE, "1.0", "s", "db-1"), (OTHER, "1.0", "s", "db-2"), (OTHER, "3.0", "u", "1001")];
    refused(&wrong, "wrongValue", &format!("{OTHER}.3.0"))?;
    two.show("web-1", "web-1")?;
    // At the commit of the second: the first was written, maybe.
    let too_many = [(BASE, "1.0", "s", "db-1"), (OTHER, "1.0", "s", "db-2"), (OTHER, "3.0", "u", "501")];
    refused(&too_many, "commitFailed", &format!("{OTHER}.3.0"))?;
    two.show("web-1", "web-1")?;
    // And at that of the first, as the request has them.
    let too_many = [(OTHER, "1.0", "s", "db-2"), (BASE, "3.0", "u", "501"), (BASE, "1.0", "s", "db-1")];
    refused(&too_many, "commitFailed", &format!("{BASE}.3.0"))?;
    two.show("web-1", "web-1")?;
    set(&*two.agent, &[(OTHER, "1.0", "s", "db-2"), (BASE, "1.0", "s", "db-1"), (OTHER, "3.0", "u", "7")])?;
    two.show("db-1", "db-2")?;
    ensure!(http::get(two.applications[1].port, "/settings")?.contains(r#""connectionLimit": 7"#));
    // The second takes the value without saying so, and then not even the old one back: whoever asked is told, and the
    // first is as it was.
    http::post(two.applications[1].port, "/stall")?;
    std::thread::scope(|scope| -> Result<()> {
        let set = scope.spawn(|| set(&*two.agent, &[(BASE, "1.0", "s", "x-1"), (OTHER, "1.0", "s", "x-2")]));
        two.sandbox.wait_for("the second to be written", || two.have(1, "x-2"))?;
        http::post(two.applications[1].port, "/freeze")?;
        let said = format!("{:#}", set.join().expect("the thread does not panic").err().context("it was taken")?);
        // snmpd asks once more for what takes longer than its second, and may say genErr then.
        ensure!(said.contains("undoFailed") || master == NetSnmp && said.contains("genError"), "{said}");
        Ok(())
    })?;
    two.have(0, "db-1")?;
    two.have(1, "x-2")
}
