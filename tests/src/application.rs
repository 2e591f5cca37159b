//! The applications of the examples, each as its pod runs it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

use crate::{
    Certified, Process, Sandbox, Sidecar, SidecarOptions, debian, free_port, http, pod_labels,
    postgres::{start_postgres, start_postgres_over_tls},
    repository,
};

/// A running application with a page of metrics, as the pod that a Deployment makes of it.
#[derive(Debug)]
pub struct Application {
    /// The value of its label `app`.
    pub label: &'static str,
    /// What its pod calls the page's port.
    pub port_name: &'static str,
    /// The page's port.
    pub port: u16,
    /// What runs for it; ends in this order.
    pub processes: Vec<Process>,
}

impl Application {
    /// Starts node_exporter, and waits until it serves its page.
    pub fn node_exporter(sandbox: &Sandbox) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(debian("prometheus-node-exporter", "prometheus-node-exporter")?);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = start(sandbox, "node-exporter", &command, || http::get(port, "/metrics"))?;
        Ok(Self { label: "node-exporter", port_name: "metrics", port, processes: vec![process] })
    }

    /// Starts the web application of the examples, and waits until it is healthy.
    pub fn web_app(sandbox: &Sandbox) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(debian("python3", "python3")?);
        command.arg(example("web-app").join("app.py")).args(["--port", &port.to_string()]);
        let process = start(sandbox, "web-app", &command, || http::get(port, "/healthz"))?;
        Ok(Self { label: "web-app", port_name: "http", port, processes: vec![process] })
    }

    /// Starts PostgreSQL and its exporter, and waits until the exporter sees the server.
    pub fn database(sandbox: &Sandbox) -> Result<Self> {
        let (postgres, socket) = start_postgres(sandbox)?;
        let port = free_port()?;
        let mut command = Command::new(debian("prometheus-postgres-exporter", "prometheus-postgres-exporter")?);
        let server = format!("host={} user=postgres dbname=postgres sslmode=disable", socket.display());
        command.env("DATA_SOURCE_NAME", server).arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let exporter = start(sandbox, "postgres-exporter", &command, || {
            let page = http::get(port, "/metrics")?;
            ensure!(page.lines().any(|line| line == "pg_up 1"), "no pg_up 1 on its page");
            Ok(())
        })?;
        Ok(Self { label: "database", port_name: "metrics", port, processes: vec![exporter, postgres] })
    }

    /// Starts PostgreSQL alone: what its sidecar asks it is in the file of [`Application::dsn`].
    pub fn postgresql(sandbox: &Sandbox) -> Result<Self> {
        let (postgres, _) = start_postgres(sandbox)?;
        Ok(Self { label: "postgresql", port_name: "none", port: 1, processes: vec![postgres] })
    }

    /// Starts PostgreSQL at a port of 127.0.0.1, over TLS for who asks for it.
    pub fn postgresql_over_tls(sandbox: &Sandbox, certified: &Certified) -> Result<Self> {
        let port = free_port()?;
        let postgres = start_postgres_over_tls(sandbox, port, certified)?;
        Ok(Self { label: "postgresql", port_name: "postgresql", port, processes: vec![postgres] })
    }

    /// How the superuser reaches the PostgreSQL of this sandbox.
    pub fn dsn(sandbox: &Sandbox) -> String {
        format!("host={} user=postgres dbname=postgres", sandbox.path("postgres").display())
    }

    /// Starts the HTTP API of the examples, which takes the token in the file `token`, and waits until it is healthy.
    pub fn http_api(sandbox: &Sandbox) -> Result<Self> {
        let port = free_port()?;
        let token = sandbox.write("token", "change-me\n")?;
        let mut command = Command::new(debian("python3", "python3")?);
        command.arg(example("http-api").join("app.py")).args(["--port", &port.to_string()]);
        command.arg("--token-file").arg(token);
        let process = start(sandbox, "http-api", &command, || http::get(port, "/healthz"))?;
        Ok(Self { label: "http-api", port_name: "http", port, processes: vec![process] })
    }

    /// Starts the application of the examples whose settings can be written, and waits until it is healthy.
    pub fn settings(sandbox: &Sandbox) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(debian("python3", "python3")?);
        command.arg(example("settings").join("app.py")).args(["--port", &port.to_string()]);
        let process = start(sandbox, "settings", &command, || http::get(port, "/healthz"))?;
        Ok(Self { label: "settings", port_name: "http", port, processes: vec![process] })
    }

    /// A pod that does nothing: its sidecar tells of the machine.
    pub fn system(_: &Sandbox) -> Result<Self> {
        Ok(Self { label: "system", port_name: "none", port: 1, processes: Vec::new() })
    }

    /// Starts its sidecar, which mounts `config` as every pod of the namespace does, and waits until it has registered.
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

/// Starts a program, and waits until `ready` succeeds.
fn start<T>(sandbox: &Sandbox, name: &str, command: &Command, ready: impl Fn() -> Result<T>) -> Result<Process> {
    let mut process = sandbox.start(name, command)?;
    sandbox.wait_for(name, || {
        process.running()?;
        ready()
    })?;
    Ok(process)
}

/// The folder of an example.
pub fn example(name: &str) -> PathBuf {
    repository().join("examples").join(name)
}
