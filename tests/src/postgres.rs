//! PostgreSQL with its exporter.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

use crate::{Process, Sandbox, Signal, debian, free_port, http, run};

const PACKAGE: &str = "postgresql-15";

/// A database server of its own in a sandbox, on a Unix socket alone.
#[derive(Debug)]
pub struct Postgres {
    /// The folder of its socket.
    socket: PathBuf,
    _process: Process,
}

impl Postgres {
    /// Makes a database cluster, starts its server, and waits until it answers.
    pub fn start(sandbox: &Sandbox) -> Result<Self> {
        let data = sandbox.folder("postgres")?;
        let data_text = data.display().to_string();
        let root = rustix::process::geteuid().is_root();
        if root {
            run(Command::new(debian("chown", "coreutils")?).arg("postgres").arg(&data))?;
        }
        // The server refuses to run as root.
        let as_postgres = |program: &str| -> Result<Command> {
            let program = debian(program, PACKAGE)?;
            if !root {
                return Ok(Command::new(program));
            }
            let mut command = Command::new(debian("setpriv", "util-linux")?);
            // The change of user would drop the order to end with the parent, so it is given once more.
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig=KILL"]).arg(program);
            Ok(command)
        };
        let mut initdb = as_postgres("initdb")?;
        run(initdb.args(["--no-sync", "--auth=trust", "--username=postgres", "-D", &data_text]).current_dir("/"))?;
        let mut server = as_postgres("postgres")?;
        server.args(["-D", &data_text, "-c", "listen_addresses=", "-c", "fsync=off"]);
        server.arg("-c").arg(format!("unix_socket_directories={data_text}")).current_dir("/");
        // SIGINT is its fast shutdown: it does not wait for clients to leave.
        let mut process = sandbox.start("postgres", &server)?.stopped_by(Signal::INT);
        let ready = debian("pg_isready", "postgresql-client-15")?;
        sandbox.wait_for("PostgreSQL to answer", || {
            process.running()?;
            run(Command::new(&ready).args(["-q", "-h", &data_text]))
        })?;
        Ok(Self { socket: data, _process: process })
    }

    /// The folder of its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

/// Starts postgres_exporter, waits until it sees the database, and gives its port.
pub fn start_postgres_exporter(sandbox: &Sandbox, postgres: &Postgres) -> Result<(Process, u16)> {
    let port = free_port()?;
    let mut command = Command::new(debian("prometheus-postgres-exporter", "prometheus-postgres-exporter")?);
    let socket = postgres.socket().display();
    command
        .env("DATA_SOURCE_NAME", format!("host={socket} user=postgres dbname=postgres sslmode=disable"))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let mut process = sandbox.start("postgres_exporter", &command)?;
    sandbox.wait_for("postgres_exporter to see the database", || {
        process.running()?;
        let page = http::get(port, "/metrics")?;
        ensure!(page.lines().any(|line| line == "pg_up 1"), "no pg_up 1 on its page");
        Ok(())
    })?;
    Ok((process, port))
}
