//! The program `cluster`: starts, shows and removes Kubernetes clusters on this machine, for tests and for people.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};
use harness::{Cluster, ClusterKind, Component};

/// A Kubernetes cluster of one node in its own namespaces. Needs root.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Args)]
struct Name {
    /// The name of the cluster. Clusters with different names can run at the same time.
    #[arg(long, env = "CLUSTER_NAME", default_value = "e2e", global = true)]
    name: String,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start the cluster and wait until it can be used.
    Up {
        #[command(flatten)]
        name: Name,
        /// Only etcd, API server and controller manager.
        #[arg(long)]
        control_plane: bool,
    },
    /// Stop the cluster and remove everything of it.
    Down {
        #[command(flatten)]
        name: Name,
        /// Keep the logs of the components.
        #[arg(long)]
        keep_logs: bool,
    },
    /// Load our programs and the test applications as images.
    Load {
        #[command(flatten)]
        name: Name,
        /// The tag of our images.
        #[arg(long, default_value = "dev")]
        tag: String,
        /// A folder with our static programs; by default CLUSTER_PROGRAMS or target/release-static.
        #[arg(long)]
        programs: Option<PathBuf>,
        /// Only the test applications.
        #[arg(long, conflicts_with_all = ["tag", "programs"])]
        only_test_images: bool,
    },
    /// Open a shell on the NMS, outside the cluster, from which kubectl, helm and snmpwalk reach it.
    Shell {
        #[command(flatten)]
        name: Name,
        /// The command to run instead of a shell.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Run a command as root on the node.
    Node {
        #[command(flatten)]
        name: Name,
        /// The command to run; a shell by default.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Print the state of the components and the addresses.
    Status {
        #[command(flatten)]
        name: Name,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().action, &mut io::stdout()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action, out: &mut impl Write) -> Result<ExitCode> {
    match action {
        Action::Up { name: Name { name }, control_plane } => {
            let began = Instant::now();
            let kind = if control_plane { ClusterKind::ControlPlane } else { ClusterKind::Full };
            let cluster = Cluster::start(&name, kind)?;
            writeln!(out, "the cluster {name} is up after {:.0} s", began.elapsed().as_secs_f32())?;
            print_addresses(&cluster, out)?;
        }
        Action::Down { name: Name { name }, keep_logs } => {
            Cluster::remove(&name, keep_logs)?;
            writeln!(out, "the cluster {name} is removed")?;
        }
        Action::Load { name: Name { name }, tag, programs, only_test_images } => {
            let cluster = Cluster::named(&name)?;
            cluster.load_test_images()?;
            if !only_test_images {
                cluster.load_programs(&tag, programs.as_deref())?;
            }
        }
        Action::Shell { name: Name { name }, command } => {
            let cluster = Cluster::named(&name)?;
            return run_command(&command, |program| Ok(cluster.nms_command(program)));
        }
        Action::Node { name: Name { name }, command } => {
            let cluster = Cluster::named(&name)?;
            return run_command(&command, |program| {
                let mut command = cluster.node_command(program)?;
                cluster.environment(&mut command);
                Ok(command)
            });
        }
        Action::Status { name: Name { name } } => {
            let cluster = Cluster::named(&name)?;
            for component in Component::ALL.into_iter().filter(|component| component.is_part_of(cluster.kind())) {
                let state = if cluster.runs(component)? { "running" } else { "not running" };
                writeln!(out, "  {:24} {state}", component.name())?;
            }
            print_addresses(&cluster, out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_addresses(cluster: &Cluster, out: &mut impl Write) -> Result<()> {
    writeln!(out, "  kubeconfig  {}", cluster.kubeconfig().display())?;
    writeln!(out, "  API server  {}", cluster.api_server())?;
    writeln!(out, "  node        {} (for pods and the NMS)", cluster.node_address())?;
    writeln!(out, "  NMS         {}", cluster.nms_address())?;
    writeln!(out, "  logs        {}", cluster.logs().display())?;
    Ok(())
}

/// Runs a command, or the user's shell, and returns its exit code.
fn run_command(argv: &[String], command: impl Fn(&str) -> Result<Command>) -> Result<ExitCode> {
    let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned());
    let (program, arguments) = argv.split_first().map_or((&shell, &[][..]), |(program, rest)| (program, rest));
    ensure!(!program.is_empty(), "the command is empty");
    let status = command(program)?.args(arguments).status()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
