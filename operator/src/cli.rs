//! The command line.

mod listeners;
mod run_args;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::plan::SYSTEM_NAMESPACE;

pub(crate) use listeners::MasterListeners;
pub(crate) use run_args::RunArgs;

/// The prefix of the environment variables that set the flags of `run`.
const ENV_PREFIX: &str = "SNMP_OPERATOR";

/// Turns SnmpSubtree manifests into the configuration of sidecars and masters.
///
/// Exit status: 0 on success; 1 if something is refused or fails, in which case every reason is listed and nothing is
/// written; 2 if the command line is invalid.
#[derive(Debug, Parser)]
#[command(name = "snmp-operator", version)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Parses the command line `args`, which starts with the program's name.
///
/// # Errors
/// Returns clap's error if the arguments are invalid, and for `--help` and `--version`. It knows how to print itself.
pub fn parse(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Cli, clap::Error> {
    let command = Cli::command().mut_subcommand("run", |run| daemon::with_env_vars(run, ENV_PREFIX));
    command.try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches))
}

/// A subcommand with its arguments.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run in a cluster: turn its SnmpSubtrees and SnmpContexts into the configuration of sidecars and masters.
    ///
    /// You can run several replicas; only the leader writes. The operator uses the ServiceAccount of its pod, or
    /// KUBECONFIG outside of a pod.
    #[command(after_help = "Each flag can also be set by its environment variable.")]
    Run(Box<RunArgs>),
    /// Write the configuration of the sidecars, by namespace, and of the master.
    ///
    /// The folder is replaced as a whole: either all of it is new, or nothing has changed. Files of an earlier render
    /// that are no longer needed are removed; files that you put there are kept. The master's file holds the communities
    /// and passphrases that SnmpContexts refer to, so only its owner can read it.
    #[command(after_help = "Examples:\n  \
        snmp-operator render -f manifests/ -o rendered/ && kubectl apply -R -f rendered/\n  \
        kubectl get snmpsubtrees,snmpcontexts -A -o yaml | snmp-operator render -f - -f secrets.yaml -o rendered/\n  \
        snmp-operator render -f subtree.yaml -f context/ -o rendered/ --format mounted --agentx-unix /run/agentx.sock")]
    Render {
        /// The manifests.
        #[command(flatten)]
        input: Input,
        /// The folder to write: a new one, an empty one, or one of an earlier render.
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        /// The form of the files.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Where the master listens.
        #[command(flatten)]
        listeners: MasterListeners,
    },
    /// Check manifests, list everything that is wrong, and write nothing.
    ///
    /// Applies the rules of the API server (structure, bounds, CEL rules) and those of the operator: contexts must admit
    /// the namespaces and OIDs, objects must not overlap, and references, also to Secrets, must resolve.
    Check {
        /// The manifests.
        #[command(flatten)]
        input: Input,
    },
    /// Print the CustomResourceDefinitions, or write them to a folder.
    Crds {
        /// The folder to write them to, one file each. Without it, they are printed.
        #[arg(short, long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
}

/// Flags that select the manifests to read.
#[derive(Debug, Args)]
pub(crate) struct Input {
    /// A file, a folder (its *.yaml, *.yml and *.json, at any depth), or - for standard input. Can be repeated.
    ///
    /// Objects outside of the group snmp-operator.dev are skipped, except Namespaces and Secrets: SnmpContexts select
    /// Namespaces by their labels, and refer to Secrets.
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// The namespace of objects whose manifests name none.
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    pub(crate) namespace: String,
    /// The namespace of the operator and the master, which holds the Secrets of SnmpContexts
    #[arg(long, value_name = "NAME", default_value = SYSTEM_NAMESPACE)]
    pub(crate) system_namespace: String,
}

/// The form of a rendered folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Manifests for kubectl: DIR/NAMESPACE/configmap-snmp-sidecar.yaml, DIR/snmp-master/secret-snmp-master-0.yaml.
    #[default]
    Manifests,
    /// Files as they are mounted: DIR/NAMESPACE/snmp-sidecar/subtree.NAME.json, DIR/snmp-master/master.json.
    Mounted,
}
