//! The images in test clusters: those of our programs, and those of test applications.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use super::{Cluster, Image, programs::installed};
use crate::process::program::{debian, repository};

/// The environment variable with another folder for our static programs than `target/release-static`.
const PROGRAMS: &str = "CLUSTER_PROGRAMS";
/// Our images without tags, each with its program.
pub const IMAGES: [(&str, &str); 3] = [
    ("localhost/snmp-operator/operator", "snmp-operator"),
    ("localhost/snmp-operator/sidecar", "snmp-sidecar"),
    ("localhost/snmp-operator/master", "snmp-master"),
];
/// The image with a shell, BusyBox, net-snmp's tools and socat. Without a command, it only sleeps.
pub const TOOLS_IMAGE: &str = "localhost/test/tools:dev";
/// The image with node_exporter, which listens on port 9100.
pub const NODE_EXPORTER_IMAGE: &str = "localhost/test/node-exporter:dev";

/// The image with Python and its standard library.
pub const PYTHON_IMAGE: &str = "localhost/test/python:dev";

/// The image with PostgreSQL, which works like the official image.
pub const POSTGRES_IMAGE: &str = "localhost/test/postgres:dev";

/// The commands of BusyBox in the image with tools.
const APPLETS: [&str; 24] = [
    "cat", "cp", "date", "dd", "echo", "env", "false", "grep", "head", "httpd", "kill", "ls", "mkdir", "nc",
    "nslookup", "ping", "ps", "rm", "sh", "sleep", "tail", "touch", "true", "wget",
];
const SNMP_TOOLS: [&str; 7] =
    ["snmpget", "snmpgetnext", "snmpwalk", "snmpbulkwalk", "snmpset", "snmptrap", "snmpinform"];

impl Cluster {
    /// Loads images of our programs with this tag. `programs` is a folder with the static programs. Without it, the folder in
    /// `CLUSTER_PROGRAMS` is used, or else `target/release-static`, which `make release` builds.
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
        let version = python.file_name().context("python3 has no file name")?.to_string_lossy().into_owned();
        let library = format!("/usr/lib/{version}");
        let image = Image::new(PYTHON_IMAGE).program(&python, &format!("/usr/bin/{version}"))?;
        let image = image.file(Path::new(&library), &library).link("/usr/bin/python3", &version);
        self.load(&image.entrypoint(&["/usr/bin/python3"]))?;
        self.load_postgres()
    }

    fn load_postgres(&self) -> Result<()> {
        let server = debian("postgres", "postgresql-15")?;
        let programs = server.parent().context("postgres is in no folder")?;
        let mut image = with_busybox(Image::new(POSTGRES_IMAGE), &["cat", "mkdir", "sh"])?;
        for program in ["initdb", "pg_ctl", "pg_isready", "postgres", "psql"] {
            // The programs expect each other and their shared files at these paths.
            let path = programs.join(program);
            image = image.program(&path, &path.to_string_lossy())?;
            image = image.link(&format!("/usr/bin/{program}"), &path.to_string_lossy());
        }
        let modules = programs.parent().context("the folder of postgres has no parent")?.join("lib");
        for shared in [modules, "/usr/share/postgresql/15".into(), "/usr/share/zoneinfo".into()] {
            image = image.file(&shared, &shared.to_string_lossy());
        }
        let folder = repository().join("tests/src/cluster");
        let image = image.file(&folder.join("postgres-passwd"), "/etc/passwd");
        let image = image.file(&folder.join("postgres-entrypoint.sh"), "/entrypoint.sh");
        // The folder of the socket.
        let image = image.link("/var/run/postgresql", "/tmp");
        self.load(&image.entrypoint(&["/bin/sh", "/entrypoint.sh"]))
    }
}

fn with_busybox(image: Image, applets: &[&str]) -> Result<Image> {
    let image = image.program(&installed("busybox")?, "/bin/busybox")?;
    Ok(applets.iter().fold(image, |image, applet| image.link(&format!("/bin/{applet}"), "busybox")))
}
