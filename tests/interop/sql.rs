//! SQL sources, on a real PostgreSQL.

use std::{collections::BTreeMap, fs, io::Read as _, path::PathBuf, process::Command, thread};

use anyhow::{Context, Result, ensure};
use harness::{Agent as _, Application, Authority, Sandbox, Sidecar, SidecarOptions, Snmpd, debian, run};
use serde_json::{Value as Json, json};

const BASE: &str = "1.3.6.1.4.1.8072.9999.9999.77";

/// A server, and a sidecar that asks it.
struct World {
    sidecar: Sidecar,
    snmpd: Snmpd,
    config: PathBuf,
    application: Application,
    sandbox: Sandbox,
}

impl World {
    /// Of this query, of which each value is a scalar, in the order of their names.
    fn start(query: &str, values: &[(&str, &str)]) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let application = Application::postgresql(&sandbox)?;
        let dsn = Application::dsn(&sandbox);
        Self::with(sandbox, application, &dsn, &document(query, values))
    }

    fn with(sandbox: Sandbox, application: Application, dsn: &str, document: &Json) -> Result<Self> {
        let config = sandbox.folder("config")?;
        fs::write(config.join("dsn"), dsn)?;
        fs::write(config.join("subtree.sql.json"), document.to_string())?;
        let snmpd = Snmpd::start(&sandbox)?;
        let options =
            SidecarOptions { config: config.clone(), masters: vec![snmpd.unix_url()], ..SidecarOptions::default() };
        let sidecar = Sidecar::start(&sandbox, options)?;
        Ok(Self { sidecar, snmpd, config, application, sandbox })
    }

    fn psql(&self, statement: &str) -> Result<String> {
        let mut command = Command::new(debian("psql", "postgresql-client-15")?);
        command
            .args(["-X", "-A", "-t", "-U", "postgres", "-h"])
            .arg(self.sandbox.path("postgres"))
            .args(["-c", statement]);
        Ok(String::from_utf8(run(&mut command)?.stdout)?.trim().to_owned())
    }

    /// The scalars by their arcs, as text.
    fn walk(&self) -> Result<BTreeMap<String, String>> {
        let rows = self.snmpd.v2c().walk(harness::Walk::Bulk(20), BASE)?;
        let below = |row: harness::Row| {
            let shown = row.text().map_or_else(|_| row.number().map(|n| n.to_string()), |text| Ok(text.to_owned()));
            Some((
                row.oid.to_string().strip_prefix(BASE)?.trim_start_matches('.').to_owned(),
                shown.unwrap_or_default(),
            ))
        };
        Ok(rows.into_iter().filter_map(below).collect())
    }

    /// Waits until the scalar at `arc` shows this.
    fn shows(&self, arc: &str, expected: &str) -> Result<()> {
        self.sandbox.wait_for(&format!("{arc} to show {expected:?}"), || {
            let walk = self.walk()?;
            ensure!(walk.get(arc).map(String::as_str) == Some(expected), "{walk:?}\n{}", self.status()?);
            Ok(())
        })
    }

    fn status(&self) -> Result<String> {
        Ok(self.sidecar.status()?.to_string())
    }

    /// Waits until the last error says this.
    fn fails_with(&self, expected: &str) -> Result<String> {
        self.sandbox.wait_for(&format!("the error {expected:?}"), || {
            let status = self.status()?;
            ensure!(status.contains(expected), "{status}");
            Ok(status)
        })
    }
}

fn document(query: &str, values: &[(&str, &str)]) -> Json {
    let scalar = |(i, (name, syntax)): (usize, &(&str, &str))| {
        json!({
            "name": format!("v{i}"), "oid": (i + 2).to_string(), "syntax": syntax,
            "value": {"source": "db", "metric": format!("q_{name}")},
        })
    };
    let mut scalars: Vec<_> = values.iter().enumerate().map(scalar).collect();
    scalars.push(json!({"name": "up", "oid": "1", "syntax": "TruthValue", "value": {"source": "db", "metric": "up"}}));
    let names: Vec<_> = values.iter().map(|(name, _)| *name).collect();
    json!({
        "version": 1, "namespace": "acme", "name": "sql", "oid": BASE, "contexts": [""], "scalars": scalars,
        "sources": [{
            "name": "db", "intervalMs": 500, "timeoutMs": 400, "staleAfterMs": 60_000,
            "sql": {
                "driver": "PostgreSQL", "dsnFile": "dsn", "sampleLimit": 100,
                "queries": [{"name": "q", "query": query, "values": names}],
            },
        }],
    })
}

#[test]
fn numbers_are_exact_and_null_is_no_instance() -> Result<()> {
    let query = "select 9223372036854775807::int8 as a, 18446744073709551615::numeric as b, 12.5::numeric(6,2) as c, \
        null::int as d, true as e, 'text'::varchar as f, timestamptz '2000-01-01 00:00:01Z' as g, \
        interval '1 hour' as h, '42'::text as i";
    let gauge = "Gauge32";
    let values = [
        ("a", "Counter64"),
        ("b", "Counter64"),
        ("c", gauge),
        ("d", gauge),
        ("e", "TruthValue"),
        ("f", "DisplayString"),
        ("g", gauge),
        ("h", gauge),
        ("i", gauge),
    ];
    let world = World::start(query, &values)?;
    world.shows("1.0", "1")?;
    let expected = [
        ("1.0", "1"),
        ("10.0", "42"),
        ("2.0", "9223372036854775807"),
        ("3.0", "18446744073709551615"),
        ("4.0", "13"),
        ("6.0", "1"),
        ("7.0", "text"),
        ("8.0", "946684801"),
        ("9.0", "3600"),
    ];
    assert_eq!(world.walk()?, expected.map(|(arc, shown)| (arc.to_owned(), shown.to_owned())).into());
    Ok(())
}

#[test]
fn a_server_that_ends_the_connection_is_asked_again() -> Result<()> {
    let world =
        World::start("select pg_backend_pid() as pid, n from numbers", &[("n", "Gauge32"), ("pid", "Gauge32")])?;
    world.fails_with("the query q: relation \\\"numbers\\\" does not exist (SQLSTATE 42P01), at character 40")?;
    world.psql("create table numbers (n int); insert into numbers values (1)")?;
    world.shows("2.0", "1")?;
    let kept = world.walk()?.get("3.0").context("no pid")?.clone();
    world.psql("update numbers set n = 2")?;
    world.shows("2.0", "2")?;
    assert_eq!(world.walk()?.get("3.0"), Some(&kept), "the connection is kept");
    world.psql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'snmp-sidecar'")?;
    world.psql("update numbers set n = 3")?;
    world.shows("2.0", "3")?;
    assert_ne!(world.walk()?.get("3.0"), Some(&kept), "another connection");
    Ok(())
}

#[test]
fn nothing_is_written_and_nothing_takes_longer_than_it_may() -> Result<()> {
    let world = World::start("insert into log values (1) returning 1 as a", &[("a", "Gauge32")])?;
    world.psql("create table log (n int)")?;
    world.fails_with("cannot execute INSERT in a read-only transaction (SQLSTATE 25006)")?;
    // A query that would end the transaction is not run, and so none runs outside of it.
    let document = |query: &str| document(query, &[("a", "Gauge32")]);
    let mut two = document("commit");
    two["sources"][0]["sql"]["queries"] = json!([
        {"name": "end", "query": "commit", "values": ["a"]},
        {"name": "q", "query": "insert into log values (1) returning 1 as a", "values": ["a"]},
    ]);
    two["scalars"][0]["value"]["metric"] = json!("end_a");
    two["scalars"].as_array_mut().context("no scalars")?.push(json!({
        "name": "q", "oid": "9", "syntax": "Gauge32", "value": {"source": "db", "metric": "q_a"},
    }));
    fs::write(world.config.join("subtree.sql.json"), two.to_string())?;
    world.fails_with("the query end: it has no column a")?;
    fs::write(world.config.join("subtree.sql.json"), document("select 1 as a; select 2 as a").to_string())?;
    world.fails_with("cannot insert multiple commands into a prepared statement (SQLSTATE 42601)")?;
    assert_eq!(world.psql("select count(*) from log")?, "0");
    fs::write(world.config.join("subtree.sql.json"), document("select 1 as a from pg_sleep(60)").to_string())?;
    world.fails_with("not done within 400ms, while waiting for query 1 of 1")?;
    world.sandbox.wait_for("no query to be left at the server", || {
        let asleep = world
            .psql("select count(*) from pg_stat_activity where query like '%pg_sleep(60)' and state = 'active'")?;
        let asleep: u32 = asleep.parse()?;
        ensure!(asleep <= 2, "{asleep} of them");
        Ok(())
    })?;
    fs::write(world.config.join("subtree.sql.json"), document("select 7 as a").to_string())?;
    world.shows("2.0", "7")
}

#[test]
fn a_query_that_waits_for_a_lock_does_not_wait_longer_than_the_sidecar() -> Result<()> {
    let world = World::start("select count(*) as a from numbers", &[("a", "Gauge32")])?;
    world.psql("create table numbers (n int)")?;
    world.shows("2.0", "0")?;
    let mut locker = Command::new(debian("psql", "postgresql-client-15")?);
    locker.args(["-X", "-U", "postgres", "-h"]).arg(world.sandbox.path("postgres"));
    locker.args(["-c", "begin; lock table numbers; select pg_sleep(600)"]);
    let _locker = world.sandbox.start("locker", &locker)?;
    let waiting = "select coalesce(string_agg(pid::text, ' '), '') from pg_stat_activity \
        where application_name = 'snmp-sidecar' and wait_event_type = 'Lock'";
    // The first asks what is prepared, and the second, over a connection of its own, prepares.
    let mut seen = std::collections::BTreeSet::new();
    world.sandbox.wait_for("two backends to wait for the lock", || {
        seen.extend(world.psql(waiting)?.split(' ').filter(|pid| !pid.is_empty()).map(ToOwned::to_owned));
        ensure!(seen.len() >= 2, "{seen:?}\n{}", world.status()?);
        Ok(())
    })?;
    world.sandbox.wait_for("them to be gone", || {
        let waits = world.psql(waiting)?;
        ensure!(!waits.split(' ').any(|pid| seen.contains(pid)), "{waits} of {seen:?}");
        Ok(())
    })
}

#[test]
fn tls_is_used_and_the_certificate_verified_as_the_settings_say() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let (authority, other) = (Authority::new("theirs")?, Authority::new("another")?);
    let application = Application::postgresql_over_tls(&sandbox, &authority.certify(&["db.example"])?)?;
    let port = application.port;
    let dsn =
        |database: &str, mode: &str| format!("postgres://postgres:s3cret@127.0.0.1:{port}/{database}?sslmode={mode}");
    let query = "select ssl as a from pg_stat_ssl where pid = pg_backend_pid()";
    let plain = document(query, &[("a", "TruthValue")]);
    let with_tls = |tls: Json| {
        let mut document = plain.clone();
        document["sources"][0]["sql"]["tls"] = tls;
        document.to_string()
    };
    let world = World::with(sandbox, application, &dsn("postgres", "disable"), &plain)?;
    let write = |name: &str, content: &str| fs::write(world.config.join(name), content);
    // true(1), false(2).
    world.shows("2.0", "2")?;
    write("dsn", &dsn("postgres", "require"))?;
    world.shows("2.0", "1")?;
    write("dsn", &dsn("postgres", "prefer"))?;
    world.shows("2.0", "1")?;
    // Settings ask for TLS, whatever the connection string says.
    write("dsn", &dsn("postgres", "disable"))?;
    world.shows("2.0", "2")?;
    write("ca", &other.pem())?;
    let settings = json!({"caFile": "ca", "serverName": "db.example"});
    write("subtree.sql.json", &with_tls(settings))?;
    world.fails_with("TLS: invalid peer certificate: UnknownIssuer")?;
    write("ca", &authority.pem())?;
    world.shows("2.0", "1")?;
    write("subtree.sql.json", &with_tls(json!({"caFile": "ca"})))?;
    world.fails_with("TLS: invalid peer certificate: certificate not valid for name")?;
    write("dsn", &dsn("nowhere", "require"))?;
    write("subtree.sql.json", &plain.to_string())?;
    let status = world.fails_with("database \\\"nowhere\\\" does not exist (SQLSTATE 3D000)")?;
    let log = world.sandbox.log("sidecar.errors");
    assert!(log.contains("UnknownIssuer") && !log.contains("s3cret") && !status.contains("s3cret"), "{status}\n{log}");
    Ok(())
}

#[test]
fn another_connection_string_is_used_at_once_and_no_password_is_told() -> Result<()> {
    let world = World::start("select current_user::text as a", &[("a", "DisplayString")])?;
    world.shows("2.0", "postgres")?;
    world.psql("create role monitor login password 's3cret-right' in role pg_monitor")?;
    let socket = world.sandbox.path("postgres");
    let hba = socket.join("pg_hba.conf");
    fs::write(&hba, format!("local all monitor scram-sha-256\n{}", fs::read_to_string(&hba)?))?;
    world.psql("select pg_reload_conf()")?;
    let dsn = |password: &str| format!("host={} user=monitor password={password} dbname=postgres", socket.display());
    fs::write(world.config.join("dsn"), dsn("s3cret-wrong"))?;
    let status = world.fails_with("password authentication failed for user \\\"monitor\\\" (SQLSTATE 28P01)")?;
    assert!(!status.contains("s3cret"), "{status}");
    fs::write(world.config.join("dsn"), "postgres://monitor:s3cret@[")?;
    let status = world.fails_with("is not a connection string")?;
    assert!(!status.contains("s3cret"), "{status}");
    fs::write(world.config.join("dsn"), dsn("s3cret-right"))?;
    world.shows("2.0", "monitor")?;
    let log = world.sandbox.log("sidecar.errors");
    assert!(log.contains("password authentication failed") && !log.contains("s3cret"), "{log}");
    Ok(())
}

#[test]
fn a_server_that_lies_harms_neither_memory_nor_others() -> Result<()> {
    let world = World::start("select 7 as a", &[("a", "Gauge32")])?;
    world.shows("2.0", "7")?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    // It takes whatever is asked for, and sends messages of authentication that announce 1 GiB, and octets without end.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let mut asked = [0; 64];
                // Whoever goes away has seen enough.
                let _ = stream.read(&mut asked);
                let _ = std::io::Write::write_all(&mut stream, &[b'R', 0x40, 0, 0, 0]);
                while std::io::Write::write_all(&mut stream, &[0; 16_384]).is_ok() {}
            });
        }
    });
    let mut lying = document("select 7 as a", &[("a", "Gauge32")]);
    lying["name"] = json!("lies");
    lying["oid"] = json!("1.3.6.1.4.1.8072.9999.9999.78");
    lying["sources"][0]["sql"]["dsnFile"] = json!("lies");
    fs::write(world.config.join("lies"), format!("postgres://u@127.0.0.1:{port}/d?sslmode=disable"))?;
    fs::write(world.config.join("subtree.lies.json"), lying.to_string())?;
    let status = world.fails_with(&format!("postgresql://127.0.0.1:{port}/d"))?;
    assert!(
        status.contains("the server sends more than 8388608 bytes") || status.contains("not done within"),
        "{status}"
    );
    world.psql("create table numbers (n int)")?;
    let other = document("select count(*) as a from numbers", &[("a", "Gauge32")]);
    fs::write(world.config.join("subtree.sql.json"), other.to_string())?;
    world.shows("2.0", "0")?;
    world.psql("insert into numbers values (1)")?;
    world.shows("2.0", "1")?;
    let memory = world.sidecar.memory()?.peak;
    ensure!(memory < 64 << 20, "{memory} bytes at the most");
    drop(world.application);
    Ok(())
}
