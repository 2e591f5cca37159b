//! A PostgreSQL server for one test.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{Process, Sandbox, ServerCertificate, Signal, debian, run};

const PACKAGE: &str = "postgresql-15";

/// Creates a database cluster, starts its server on a Unix socket only, and waits until it answers. Returns it and the
/// folder of the socket.
pub(crate) fn start_postgres(sandbox: &Sandbox) -> Result<(Process, PathBuf)> {
    let folder = create_database_cluster(sandbox)?;
    let process = serve(sandbox, &folder, 5432, &["listen_addresses=".to_owned()])?;
    Ok((process, folder))
}

/// Like [`start_postgres`], but also on a port of 127.0.0.1, with TLS for the clients that request it.
pub(crate) fn start_postgres_over_tls(
    sandbox: &Sandbox,
    port: u16,
    certificate: &ServerCertificate,
) -> Result<Process> {
    let folder = create_database_cluster(sandbox)?;
    for (name, content) in [("server.crt", &certificate.certificate), ("server.key", &certificate.key)] {
        let file = folder.join(name);
        fs::write(&file, content)?;
        // PostgreSQL refuses a key that other users can read.
        fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        chown_to_postgres(&file)?;
    }
    serve(sandbox, &folder, port, &["listen_addresses=127.0.0.1".to_owned(), "ssl=on".to_owned()])
}

fn create_database_cluster(sandbox: &Sandbox) -> Result<PathBuf> {
    let folder = sandbox.folder("postgres")?;
    chown_to_postgres(&folder)?;
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
    // SIGINT is PostgreSQL's fast shutdown: it does not wait until clients disconnect.
    let mut process = sandbox.start("postgres", &server)?.stopped_by(Signal::INT);
    let ready = debian("pg_isready", "postgresql-client-15")?;
    sandbox.wait_for("PostgreSQL to answer", || {
        process.running()?;
        run(Command::new(&ready).args(["-q", "-U", "postgres", "-h", &data, "-p", &port.to_string()]))
    })?;
    Ok(process)
}

fn chown_to_postgres(path: &Path) -> Result<()> {
    if is_root() {
        run(Command::new(debian("chown", "coreutils")?).arg("postgres").arg(path))?;
    }
    Ok(())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns the command of a PostgreSQL program, run as the user `postgres` because these programs refuse to run as root.
fn as_postgres(program: &str) -> Result<Command> {
    let program = debian(program, PACKAGE)?;
    if !is_root() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new(debian("setpriv", "util-linux")?);
    // The kernel clears the parent-death signal when the user changes, so it is set again.
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig=KILL"]).arg(program);
    Ok(command)
}
