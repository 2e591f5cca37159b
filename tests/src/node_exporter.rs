//! Prometheus' exporter of machine metrics.

use std::process::Command;

use anyhow::Result;

use crate::{Process, Sandbox, debian, free_port, http};

/// Starts node_exporter, waits until it serves its page, and gives its port.
pub fn start_node_exporter(sandbox: &Sandbox) -> Result<(Process, u16)> {
    let port = free_port()?;
    let mut command = Command::new(debian("prometheus-node-exporter", "prometheus-node-exporter")?);
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let mut process = sandbox.start("node_exporter", &command)?;
    sandbox.wait_for("node_exporter's page", || {
        process.running()?;
        http::get(port, "/metrics")
    })?;
    Ok((process, port))
}
