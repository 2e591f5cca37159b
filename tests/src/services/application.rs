//! The applications of the examples, started as their pods start them.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

use crate::{
    Process, Sandbox, ServerCertificate, Sidecar, SidecarOptions, debian, free_port, http, pod_labels, repository,
    services::postgres::{start_postgres, start_postgres_over_tls},
};

/// A running application of an example, in the role of a pod.
#[derive(Debug)]
pub struct Application {
    /// The value of its label `app`.
    pub label: &'static str,
    /// The name of its port in the pod.
    pub port_name: &'static str,
    /// The port from which its sidecar reads.
    pub port: u16,
    /// Its processes, in the order in which they are stopped.
    pub processes: Vec<Process>,
}

impl Application {
    /// Starts node_exporter and waits until it serves its metrics.
    pub fn node_exporter(sandbox: &Sandbox) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(debian("prometheus-node-exporter", "prometheus-node-exporter")?);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = start(sandbox, "node-exporter", &command, || http::get(port, "/metrics"))?;
        Ok(Self { label: "node-exporter", port_name: "metrics", port, processes: vec![process] })
    }

    /// Starts the application of the example `web-app`.
    pub fn web_app(sandbox: &Sandbox) -> Result<Self> {
        Self::python(sandbox, "web-app", &[])
    }

    /// Starts PostgreSQL and its exporter, and waits until the exporter reaches the server.
    pub fn database(sandbox: &Sandbox) -> Result<Self> {
        let (postgres, socket) = start_postgres(sandbox)?;
        let port = free_port()?;
        let mut command = Command::new(debian("prometheus-postgres-exporter", "prometheus-postgres-exporter")?);
        let server = format!("host={} user=postgres dbname=postgres sslmode=disable", socket.display());
        command.env("DATA_SOURCE_NAME", server).arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let exporter = start(sandbox, "postgres-exporter", &command, || {
            let page = http::get(port, "/metrics")?;
            ensure!(page.lines().any(|line| line == "pg_up 1"), "the exporter's page has no line 'pg_up 1'");
            Ok(())
        })?;
        Ok(Self { label: "database", port_name: "metrics", port, processes: vec![exporter, postgres] })
    }

    /// Starts PostgreSQL without an exporter. Its sidecar connects with [`Application::dsn`].
    pub fn postgresql(sandbox: &Sandbox) -> Result<Self> {
        let (postgres, _) = start_postgres(sandbox)?;
        Ok(Self { label: "postgresql", port_name: "none", port: 1, processes: vec![postgres] })
    }

    /// Starts PostgreSQL on a port of 127.0.0.1, with TLS for the clients that request it.
    pub fn postgresql_over_tls(sandbox: &Sandbox, certified: &ServerCertificate) -> Result<Self> {
        let port = free_port()?;
        let postgres = start_postgres_over_tls(sandbox, port, certified)?;
        Ok(Self { label: "postgresql", port_name: "postgresql", port, processes: vec![postgres] })
    }

    /// Returns the connection string of the superuser of the PostgreSQL in this sandbox.
    pub fn dsn(sandbox: &Sandbox) -> String {
        format!("host={} user=postgres dbname=postgres", sandbox.path("postgres").display())
    }

    /// Starts the application of the example `http-api`, which accepts the token in the file `token` of the sandbox.
    pub fn http_api(sandbox: &Sandbox) -> Result<Self> {
        let token = sandbox.write("token", "change-me\n")?;
        Self::python(sandbox, "http-api", &["--token-file".as_ref(), token.as_os_str()])
    }

    /// Starts the application of the example `settings`, whose settings can be written.
    pub fn settings(sandbox: &Sandbox) -> Result<Self> {
        Self::python(sandbox, "settings", &[])
    }

    /// Starts the `app.py` of an example and waits until it is healthy.
    fn python(sandbox: &Sandbox, name: &'static str, arguments: &[&OsStr]) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(debian("python3", "python3")?);
        command.arg(example(name).join("app.py")).args(["--port", &port.to_string()]).args(arguments);
        let process = start(sandbox, name, &command, || http::get(port, "/healthz"))?;
        Ok(Self { label: name, port_name: "http", port, processes: vec![process] })
    }

    /// Returns a pod without an application. Its sidecar reads the machine itself.
    pub fn system(_: &Sandbox) -> Result<Self> {
        Ok(Self { label: "system", port_name: "none", port: 1, processes: Vec::new() })
    }

    /// Starts its sidecar with the configuration folder `config`, and waits until it has registered.
    pub fn start_sidecar(&self, sandbox: &Sandbox, config: &Path, master: String) -> Result<Sidecar> {
        let name = format!("sidecar-{}", self.label);
        let labels = sandbox.write(&format!("{name}.labels"), pod_labels(&[("app", self.label)]))?;
        let options = SidecarOptions {
            config: config.to_owned(),
            masters: vec![master],
            pod_name: format!("{}-0", self.label),
            labels: Some(labels),
            state: Some(sandbox.folder(&format!("{name}.state"))?),
            ports: vec![format!("{}={}", self.port_name, self.port)],
            name,
            ..SidecarOptions::default()
        };
        Sidecar::start(sandbox, options)
    }
}

/// Starts a program and waits until `ready` succeeds.
fn start<T>(sandbox: &Sandbox, name: &str, command: &Command, ready: impl Fn() -> Result<T>) -> Result<Process> {
    let mut process = sandbox.start(name, command)?;
    sandbox.wait_for(name, || {
        process.running()?;
        ready()
    })?;
    Ok(process)
}

/// Returns the folder of an example.
pub fn example(name: &str) -> PathBuf {
    repository().join("examples").join(name)
}
