//! SQL sources with a real PostgreSQL.

use std::{collections::BTreeMap, fs, io::Read as _, path::PathBuf, process::Command, thread};

use anyhow::{Context, Result, ensure};
use harness::{
    Application, CertificateAuthority, Sandbox, Sidecar, SidecarOptions, SnmpAgent as _, Snmpd, debian, run,
};
use serde_json::{Value as Json, json};

const BASE: &str = "1.3.6.1.4.1.8072.9999.9999.77";

/// A PostgreSQL server, and a sidecar with an SQL source under snmpd.
struct SqlSetup {
    sidecar: Sidecar,
    snmpd: Snmpd,
    config: PathBuf,
    application: Application,
    sandbox: Sandbox,
}

impl SqlSetup {
    /// Starts a setup with one query. Each of its values is published as a scalar, from arc 2 on in this order.
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

    /// Walks the scalars and returns their values as text, by their arcs.
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

    /// Waits until the scalar at `arc` has this value.
    fn wait_for_value(&self, arc: &str, expected: &str) -> Result<()> {
        self.sandbox.wait_for(&format!("{arc} to show {expected:?}"), || {
            let walk = self.walk()?;
            ensure!(walk.get(arc).map(String::as_str) == Some(expected), "{walk:?}\n{}", self.status()?);
            Ok(())
        })
    }

    fn status(&self) -> Result<String> {
        Ok(self.sidecar.status()?.to_string())
    }

    /// Waits until the status contains this error, and returns the status.
    fn wait_for_error(&self, expected: &str) -> Result<String> {
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
fn numbers_are_exact_and_null_has_no_instance() -> Result<()> {
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
    let setup = SqlSetup::start(query, &values)?;
    setup.wait_for_value("1.0", "1")?;
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
    assert_eq!(setup.walk()?, expected.map(|(arc, shown)| (arc.to_owned(), shown.to_owned())).into());
    Ok(())
}

#[test]
fn the_sidecar_keeps_its_connection_and_reconnects_when_the_server_ends_it() -> Result<()> {
    let setup =
        SqlSetup::start("select pg_backend_pid() as pid, n from numbers", &[("n", "Gauge32"), ("pid", "Gauge32")])?;
    setup.wait_for_error("the query q: relation \\\"numbers\\\" does not exist (SQLSTATE 42P01), at character 40")?;
    setup.psql("create table numbers (n int); insert into numbers values (1)")?;
    setup.wait_for_value("2.0", "1")?;
    let kept = setup.walk()?.get("3.0").context("no pid")?.clone();
    setup.psql("update numbers set n = 2")?;
    setup.wait_for_value("2.0", "2")?;
    assert_eq!(setup.walk()?.get("3.0"), Some(&kept), "the sidecar must keep its connection");
    setup.psql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'snmp-sidecar'")?;
    setup.psql("update numbers set n = 3")?;
    setup.wait_for_value("2.0", "3")?;
    assert_ne!(setup.walk()?.get("3.0"), Some(&kept), "the sidecar must have another connection");
    Ok(())
}

#[test]
fn queries_can_neither_write_nor_exceed_their_timeout() -> Result<()> {
    let setup = SqlSetup::start("insert into log values (1) returning 1 as a", &[("a", "Gauge32")])?;
    setup.psql("create table log (n int)")?;
    setup.wait_for_error("cannot execute INSERT in a read-only transaction (SQLSTATE 25006)")?;
    // A query that would end the read-only transaction is not run, so no query runs outside it.
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
    fs::write(setup.config.join("subtree.sql.json"), two.to_string())?;
    setup.wait_for_error("the query end: it has no column a")?;
    fs::write(setup.config.join("subtree.sql.json"), document("select 1 as a; select 2 as a").to_string())?;
    setup.wait_for_error("cannot insert multiple commands into a prepared statement (SQLSTATE 42601)")?;
    assert_eq!(setup.psql("select count(*) from log")?, "0");
    fs::write(setup.config.join("subtree.sql.json"), document("select 1 as a from pg_sleep(60)").to_string())?;
    setup.wait_for_error("timed out after 400ms while waiting for query 1 of 1")?;
    setup.sandbox.wait_for("the server to cancel the query", || {
        let asleep = setup
            .psql("select count(*) from pg_stat_activity where query like '%pg_sleep(60)' and state = 'active'")?;
        let asleep: u32 = asleep.parse()?;
        ensure!(asleep <= 2, "{asleep} queries are active");
        Ok(())
    })?;
    fs::write(setup.config.join("subtree.sql.json"), document("select 7 as a").to_string())?;
    setup.wait_for_value("2.0", "7")
}

#[test]
fn the_server_cancels_a_query_that_waits_for_a_lock_too_long() -> Result<()> {
    let setup = SqlSetup::start("select count(*) as a from numbers", &[("a", "Gauge32")])?;
    setup.psql("create table numbers (n int)")?;
    setup.wait_for_value("2.0", "0")?;
    let mut locker = Command::new(debian("psql", "postgresql-client-15")?);
    locker.args(["-X", "-U", "postgres", "-h"]).arg(setup.sandbox.path("postgres"));
    locker.args(["-c", "begin; lock table numbers; select pg_sleep(600)"]);
    let _locker = setup.sandbox.start("locker", &locker)?;
    let waiting = "select coalesce(string_agg(pid::text, ' '), '') from pg_stat_activity \
        where application_name = 'snmp-sidecar' and wait_event_type = 'Lock'";
    // The first backend waits to execute the prepared query. The second belongs to a new connection, and waits to prepare it.
    let mut seen = std::collections::BTreeSet::new();
    setup.sandbox.wait_for("two backends to wait for the lock", || {
        seen.extend(setup.psql(waiting)?.split(' ').filter(|pid| !pid.is_empty()).map(ToOwned::to_owned));
        ensure!(seen.len() >= 2, "{seen:?}\n{}", setup.status()?);
        Ok(())
    })?;
    setup.sandbox.wait_for("both backends to stop waiting", || {
        let waits = setup.psql(waiting)?;
        ensure!(!waits.split(' ').any(|pid| seen.contains(pid)), "the backends {waits} wait, of {seen:?}");
        Ok(())
    })
}

#[test]
fn tls_and_the_verification_of_the_certificate_follow_the_settings() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let (authority, other) = (CertificateAuthority::new("theirs")?, CertificateAuthority::new("another")?);
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
    let setup = SqlSetup::with(sandbox, application, &dsn("postgres", "disable"), &plain)?;
    let write = |name: &str, content: &str| fs::write(setup.config.join(name), content);
    // The values are true(1) and false(2).
    setup.wait_for_value("2.0", "2")?;
    write("dsn", &dsn("postgres", "require"))?;
    setup.wait_for_value("2.0", "1")?;
    write("dsn", &dsn("postgres", "prefer"))?;
    setup.wait_for_value("2.0", "1")?;
    // The field `tls` of the source requires TLS, whatever the connection string says.
    write("dsn", &dsn("postgres", "disable"))?;
    setup.wait_for_value("2.0", "2")?;
    write("ca", &other.pem())?;
    let settings = json!({"caFile": "ca", "serverName": "db.example"});
    write("subtree.sql.json", &with_tls(settings))?;
    setup.wait_for_error("TLS error: invalid peer certificate: UnknownIssuer")?;
    write("ca", &authority.pem())?;
    setup.wait_for_value("2.0", "1")?;
    write("subtree.sql.json", &with_tls(json!({"caFile": "ca"})))?;
    setup.wait_for_error("TLS error: invalid peer certificate: certificate not valid for name")?;
    write("dsn", &dsn("nowhere", "require"))?;
    write("subtree.sql.json", &plain.to_string())?;
    let status = setup.wait_for_error("database \\\"nowhere\\\" does not exist (SQLSTATE 3D000)")?;
    let log = setup.sandbox.log("sidecar.errors");
    assert!(log.contains("UnknownIssuer") && !log.contains("s3cret") && !status.contains("s3cret"), "{status}\n{log}");
    Ok(())
}

#[test]
fn a_new_connection_string_is_used_immediately_and_passwords_stay_secret() -> Result<()> {
    let setup = SqlSetup::start("select current_user::text as a", &[("a", "DisplayString")])?;
    setup.wait_for_value("2.0", "postgres")?;
    setup.psql("create role monitor login password 's3cret-right' in role pg_monitor")?;
    let socket = setup.sandbox.path("postgres");
    let hba = socket.join("pg_hba.conf");
    fs::write(&hba, format!("local all monitor scram-sha-256\n{}", fs::read_to_string(&hba)?))?;
    setup.psql("select pg_reload_conf()")?;
    let dsn = |password: &str| format!("host={} user=monitor password={password} dbname=postgres", socket.display());
    fs::write(setup.config.join("dsn"), dsn("s3cret-wrong"))?;
    let status = setup.wait_for_error("password authentication failed for user \\\"monitor\\\" (SQLSTATE 28P01)")?;
    assert!(!status.contains("s3cret"), "{status}");
    fs::write(setup.config.join("dsn"), "postgres://monitor:s3cret@[")?;
    let status = setup.wait_for_error("is not a connection string")?;
    assert!(!status.contains("s3cret"), "{status}");
    fs::write(setup.config.join("dsn"), dsn("s3cret-right"))?;
    setup.wait_for_value("2.0", "monitor")?;
    let log = setup.sandbox.log("sidecar.errors");
    assert!(log.contains("password authentication failed") && !log.contains("s3cret"), "{log}");
    Ok(())
}

#[test]
fn a_malicious_server_affects_neither_memory_nor_other_sources() -> Result<()> {
    let setup = SqlSetup::start("select 7 as a", &[("a", "Gauge32")])?;
    setup.wait_for_value("2.0", "7")?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    // The server reads the first message, announces an authentication message of 1 GiB, and sends octets without end.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let mut request = [0; 64];
                // The sidecar may disconnect at any time.
                let _ = stream.read(&mut request);
                let _ = std::io::Write::write_all(&mut stream, &[b'R', 0x40, 0, 0, 0]);
                while std::io::Write::write_all(&mut stream, &[0; 16_384]).is_ok() {}
            });
        }
    });
    let mut malicious = document("select 7 as a", &[("a", "Gauge32")]);
    malicious["name"] = json!("lies");
    malicious["oid"] = json!("1.3.6.1.4.1.8072.9999.9999.78");
    malicious["sources"][0]["sql"]["dsnFile"] = json!("lies");
    fs::write(setup.config.join("lies"), format!("postgres://u@127.0.0.1:{port}/d?sslmode=disable"))?;
    fs::write(setup.config.join("subtree.lies.json"), malicious.to_string())?;
    let status = setup.wait_for_error(&format!("postgresql://127.0.0.1:{port}/d"))?;
    assert!(
        status.contains("the server sent more than 8388608 bytes") || status.contains("timed out after"),
        "{status}"
    );
    setup.psql("create table numbers (n int)")?;
    let other = document("select count(*) as a from numbers", &[("a", "Gauge32")]);
    fs::write(setup.config.join("subtree.sql.json"), other.to_string())?;
    setup.wait_for_value("2.0", "0")?;
    setup.psql("insert into numbers values (1)")?;
    setup.wait_for_value("2.0", "1")?;
    let memory = setup.sidecar.memory()?.peak;
    ensure!(memory < 64 << 20, "{memory} bytes at the most");
    drop(setup.application);
    Ok(())
}
