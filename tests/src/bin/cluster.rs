//! A real Kubernetes on this machine, for tests and for people: up, a look around, down.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};
use harness::{Cluster, ClusterKind, Component};

/// A Kubernetes of one node, in namespaces of its own. It takes root.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Args)]
struct Name {
    /// The cluster's name; clusters of different names run side by side.
    #[arg(long, env = "CLUSTER_NAME", default_value = "e2e", global = true)]
    name: String,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start it, and wait until it can be used.
    Up {
        #[command(flatten)]
        name: Name,
        /// Only etcd, API server and controller manager.
        #[arg(long)]
        control_plane: bool,
    },
    /// End all of it and remove what there is of it.
    Down {
        #[command(flatten)]
        name: Name,
        /// Leave the components' logs.
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
        /// A folder with our programs, linked static; by default CLUSTER_PROGRAMS or target/release-static.
        #[arg(long)]
        programs: Option<PathBuf>,
        /// Only the test applications.
        #[arg(long, conflicts_with_all = ["tag", "programs"])]
        only_test_images: bool,
    },
    /// A shell on the machine of the NMS, outside the cluster: kubectl, helm and snmpwalk reach it from there.
    Shell {
        #[command(flatten)]
        name: Name,
        /// Run this instead of a shell.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// A command on the node itself, root there.
    Node {
        #[command(flatten)]
        name: Name,
        /// What to run; a shell by default.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Say what runs, and how it is reached.
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
            writeln!(out, "the cluster {name} is up, after {:.0} s", began.elapsed().as_secs_f32())?;
            tell(&cluster, out)?;
        }
        Action::Down { name: Name { name }, keep_logs } => {
            Cluster::remove(&name, keep_logs)?;
            writeln!(out, "the cluster {name} is down, and nothing of it is left")?;
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
            return spend(&command, |program| Ok(cluster.nms_command(program)));
        }
        Action::Node { name: Name { name }, command } => {
            let cluster = Cluster::named(&name)?;
            return spend(&command, |program| {
                let mut command = cluster.node_command(program)?;
                cluster.environment(&mut command);
                Ok(command)
            });
        }
        Action::Status { name: Name { name } } => {
            let cluster = Cluster::named(&name)?;
            for component in Component::ALL.into_iter().filter(|component| component.is_part_of(cluster.kind())) {
                let state = if cluster.runs(component)? { "runs" } else { "does not run" };
                writeln!(out, "  {:24} {state}", component.name())?;
            }
            tell(&cluster, out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(cluster: &Cluster, out: &mut impl Write) -> Result<()> {
    writeln!(out, "  kubeconfig  {}", cluster.kubeconfig().display())?;
    writeln!(out, "  API server  {}", cluster.api_server())?;
    writeln!(out, "  node        {}, as pods and the NMS see it", cluster.node_address())?;
    writeln!(out, "  NMS         {}", cluster.nms_address())?;
    writeln!(out, "  logs        {}", cluster.logs().display())?;
    Ok(())
}

/// Runs a command, or the user's shell, and ends as it does.
fn spend(argv: &[String], command: impl Fn(&str) -> Result<Command>) -> Result<ExitCode> {
    let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned());
    let (program, arguments) = argv.split_first().map_or((&shell, &[][..]), |(program, rest)| (program, rest));
    ensure!(!program.is_empty(), "an empty command");
    let status = command(program)?.args(arguments).status()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
