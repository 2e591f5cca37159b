//! A PostgreSQL server of a test's own.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{Certified, Process, Sandbox, Signal, debian, run};

const PACKAGE: &str = "postgresql-15";

/// Makes a database cluster and starts its server, on a Unix socket alone. Gives it and the socket's folder once it
/// answers.
pub(crate) fn start_postgres(sandbox: &Sandbox) -> Result<(Process, PathBuf)> {
    let folder = make_cluster(sandbox)?;
    let process = serve(sandbox, &folder, 5432, &["listen_addresses=".to_owned()])?;
    Ok((process, folder))
}

/// The same, at a port of 127.0.0.1 as well, and over TLS for who asks for it.
pub(crate) fn start_postgres_over_tls(sandbox: &Sandbox, port: u16, certified: &Certified) -> Result<Process> {
    let folder = make_cluster(sandbox)?;
    for (name, content) in [("server.crt", &certified.certificate), ("server.key", &certified.key)] {
        let file = folder.join(name);
        fs::write(&file, content)?;
        // It refuses a key that others can read.
        fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        give_to_postgres(&file)?;
    }
    serve(sandbox, &folder, port, &["listen_addresses=127.0.0.1".to_owned(), "ssl=on".to_owned()])
}

fn make_cluster(sandbox: &Sandbox) -> Result<PathBuf> {
    let folder = sandbox.folder("postgres")?;
    give_to_postgres(&folder)?;
    run(as_postgres("initdb")?
        .args(["--no-sync", "--auth=trust", "--username=postgres", "-D"])
        .arg(&folder)
        .current_dir("/"))?;
    Ok(folder)
}

fn serve(sandbox: &Sandbox, folder: &Path, port: u16, settings: &[String]) -> Result<Process> {
    let data = folder.display().to_string();
    let mut server = as_postgres("postgres")?;
    server.args(["-D", &data, "-c", "fsync=off", "-p", &port.to_string()]);
    server.arg("-c").arg(format!("unix_socket_directories={data}")).current_dir("/");
    for setting in settings {
        server.arg("-c").arg(setting);
    }
    // SIGINT is its fast shutdown: it does not wait for clients to leave.
    let mut process = sandbox.start("postgres", &server)?.stopped_by(Signal::INT);
    let ready = debian("pg_isready", "postgresql-client-15")?;
    sandbox.wait_for("PostgreSQL to answer", || {
        process.running()?;
        run(Command::new(&ready).args(["-q", "-U", "postgres", "-h", &data, "-p", &port.to_string()]))
    })?;
    Ok(process)
}

fn give_to_postgres(path: &Path) -> Result<()> {
    if is_root() {
        run(Command::new(debian("chown", "coreutils")?).arg("postgres").arg(path))?;
    }
    Ok(())
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
