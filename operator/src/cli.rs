//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Turns SnmpSubtree manifests into the configuration of sidecars.
///
/// Exit status: 0 when all is well, 1 when something is refused (every reason is listed, and nothing is written),
/// 2 for a wrong command line.
#[derive(Debug, Parser)]
#[command(name = "snmp-operator", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the configuration of the sidecars, by namespace.
    ///
    /// The folder is replaced as a whole: either all of it is new, or nothing has changed. Files of an earlier render
    /// that are no longer needed go; files that others have put there stay.
    #[command(after_help = "Examples:\n  \
        snmp-operator render -f manifests/ -o rendered/ && kubectl apply -R -f rendered/\n  \
        kubectl get snmpsubtrees,snmpcontexts -A -o yaml | snmp-operator render -f - -o rendered/\n  \
        snmp-operator render -f subtree.yaml -o rendered/ --format mounted")]
    Render {
        /// Where manifests come from.
        #[command(flatten)]
        input: Input,
        /// The folder to write: new, empty, or of an earlier render.
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        /// The form to write.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Say what is wrong with manifests, and write nothing.
    ///
    /// Applies what an API server would (structure, bounds, CEL rules) and what the operator would: that contexts admit
    /// the namespaces and OIDs, that objects do not overlap, that names lead somewhere.
    Check {
        /// Where manifests come from.
        #[command(flatten)]
        input: Input,
    },
    /// Print the CustomResourceDefinitions, or write them to a folder.
    Crds {
        /// The folder to write them to, a file for each; printed where it is left out.
        #[arg(short, long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
}

/// Where manifests come from.
#[derive(Debug, Args)]
pub struct Input {
    /// A file, a folder (*.yaml, *.yml and *.json in it and below), or - for standard input. May come again.
    ///
    /// Objects of other groups than snmp-operator.dev are passed by, but for Namespaces: their labels count where an
    /// SnmpContext selects namespaces.
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// The namespace of manifests that name none.
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    pub namespace: String,
}

/// The form of a rendered folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For kubectl: DIR/NAMESPACE/configmap-snmp-sidecar.yaml.
    #[default]
    Manifests,
    /// As a sidecar sees it mounted: DIR/NAMESPACE/snmp-sidecar/subtree.NAME.json.
    Mounted,
}
