//! A PostgreSQL server of a test's own.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{Process, Sandbox, Signal, debian, run};

const PACKAGE: &str = "postgresql-15";

/// Makes a database cluster and starts its server, on a Unix socket alone. Gives it and the socket's folder once it
/// answers.
pub(crate) fn start_postgres(sandbox: &Sandbox) -> Result<(Process, PathBuf)> {
    let folder = sandbox.folder("postgres")?;
    let data = folder.display().to_string();
    if is_root() {
        run(Command::new(debian("chown", "coreutils")?).arg("postgres").arg(&data))?;
    }
    run(as_postgres("initdb")?
        .args(["--no-sync", "--auth=trust", "--username=postgres", "-D", &data])
        .current_dir("/"))?;
    let mut server = as_postgres("postgres")?;
    server.args(["-D", &data, "-c", "listen_addresses=", "-c", "fsync=off"]);
    server.arg("-c").arg(format!("unix_socket_directories={data}")).current_dir("/");
    // SIGINT is its fast shutdown: it does not wait for clients to leave.
    let mut process = sandbox.start("postgres", &server)?.stopped_by(Signal::INT);
    let ready = debian("pg_isready", "postgresql-client-15")?;
    sandbox.wait_for("PostgreSQL to answer", || {
        process.running()?;
        run(Command::new(&ready).args(["-q", "-U", "postgres", "-h", &data]))
    })?;
    Ok((process, folder))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A program of PostgreSQL's, which all refuse to run as root.
fn as_postgres(program: &str) -> Result<Command> {
    let program = debian(program, PACKAGE)?;
    if !is_root() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new(debian("setpriv", "util-linux")?);
    // The change of user drops the order to end with the parent, so it is given once more.
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig=KILL"]).arg(program);
    Ok(command)
}
