//! The images that tests and people use: our programs', and those of test applications.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use super::{Cluster, Image, programs::installed};
use crate::program::{debian, repository};

/// A folder that holds our programs, static, instead of `target/release-static`.
const PROGRAMS: &str = "CLUSTER_PROGRAMS";
/// Our images without their tags, and the program in each.
pub const IMAGES: [(&str, &str); 3] = [
    ("localhost/snmp-operator/operator", "snmp-operator"),
    ("localhost/snmp-operator/sidecar", "snmp-sidecar"),
    ("localhost/snmp-operator/master", "snmp-master"),
];
/// A shell with tools of BusyBox and of net-snmp, and socat. It waits until it is told what else to do.
pub const TOOLS_IMAGE: &str = "localhost/test/tools:dev";
/// Prometheus' node_exporter, on port 9100.
pub const NODE_EXPORTER_IMAGE: &str = "localhost/test/node-exporter:dev";

/// Python with its standard library.
pub const PYTHON_IMAGE: &str = "localhost/test/python:dev";

/// PostgreSQL, as the official image has it.
pub const POSTGRES_IMAGE: &str = "localhost/test/postgres:dev";

/// What BusyBox is called by in the image of tools.
const APPLETS: [&str; 24] = [
    "cat", "cp", "date", "dd", "echo", "env", "false", "grep", "head", "httpd", "kill", "ls", "mkdir", "nc",
    "nslookup", "ping", "ps", "rm", "sh", "sleep", "tail", "touch", "true", "wget",
];
const SNMP_TOOLS: [&str; 7] =
    ["snmpget", "snmpgetnext", "snmpwalk", "snmpbulkwalk", "snmpset", "snmptrap", "snmpinform"];

impl Cluster {
    /// Loads our programs as images of this tag. `programs` is a folder with them, linked static; by default the one that
    /// `CLUSTER_PROGRAMS` names or else `target/release-static`, from `make release`.
    pub fn load_programs(&self, tag: &str, programs: Option<&Path>) -> Result<()> {
        let default =
            || env::var_os(PROGRAMS).map_or_else(|| repository().join("target/release-static"), PathBuf::from);
        let folder = programs.map_or_else(default, Path::to_owned);
        for (image, program) in IMAGES {
            let file = folder.join(program);
            ensure!(file.is_file(), "{} is missing: run `make release`", file.display());
            let path = format!("/{program}");
            self.load(&Image::new(&format!("{image}:{tag}")).program(&file, &path)?.entrypoint(&[&path]))?;
        }
        Ok(())
    }

    /// Loads the images of test applications.
    pub fn load_test_images(&self) -> Result<()> {
        let mut tools = with_busybox(Image::new(TOOLS_IMAGE), &APPLETS)?;
        tools = tools.program(&debian("socat", "socat")?, "/usr/bin/socat")?;
        for tool in SNMP_TOOLS {
            tools = tools.program(&debian(tool, "snmp")?, &format!("/usr/bin/{tool}"))?;
        }
        self.load(&tools.entrypoint(&["/bin/sleep", "2147483647"]))?;
        let exporter = debian("prometheus-node-exporter", "prometheus-node-exporter")?;
        let path = "/prometheus-node-exporter";
        self.load(&Image::new(NODE_EXPORTER_IMAGE).program(&exporter, path)?.entrypoint(&[path]))?;
        let python = std::fs::canonicalize(debian("python3", "python3")?)?;
        let version = python.file_name().context("python3 is no file")?.to_string_lossy().into_owned();
        let library = format!("/usr/lib/{version}");
        let image = Image::new(PYTHON_IMAGE).program(&python, &format!("/usr/bin/{version}"))?;
        let image = image.file(Path::new(&library), &library).link("/usr/bin/python3", &version);
        self.load(&image.entrypoint(&["/usr/bin/python3"]))?;
        self.load_postgres()
    }

    fn load_postgres(&self) -> Result<()> {
        let server = debian("postgres", "postgresql-15")?;
        let programs = server.parent().context("postgres is no file")?;
        let mut image = with_busybox(Image::new(POSTGRES_IMAGE), &["cat", "mkdir", "sh"])?;
        for program in ["initdb", "pg_ctl", "pg_isready", "postgres", "psql"] {
            // Where they are they find each other, and their shares.
            let path = programs.join(program);
            image = image.program(&path, &path.to_string_lossy())?;
            image = image.link(&format!("/usr/bin/{program}"), &path.to_string_lossy());
        }
        let modules = programs.parent().context("postgres is in no folder")?.join("lib");
        for shared in [modules, "/usr/share/postgresql/15".into(), "/usr/share/zoneinfo".into()] {
            image = image.file(&shared, &shared.to_string_lossy());
        }
        let folder = repository().join("tests/src/cluster");
        let image = image.file(&folder.join("postgres-passwd"), "/etc/passwd");
        let image = image.file(&folder.join("postgres-entrypoint.sh"), "/entrypoint.sh");
        // The socket's folder.
        let image = image.link("/var/run/postgresql", "/tmp");
        self.load(&image.entrypoint(&["/bin/sh", "/entrypoint.sh"]))
    }
}

fn with_busybox(image: Image, applets: &[&str]) -> Result<Image> {
    let image = image.program(&installed("busybox")?, "/bin/busybox")?;
    Ok(applets.iter().fold(image, |image, applet| image.link(&format!("/bin/{applet}"), "busybox")))
}
