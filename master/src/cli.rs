//! The command line: what to run, and its flags.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Args, Command, FromArgMatches, Subcommand};
use daemon::logging::LogArgs;

use crate::cluster::Names;
use crate::listener::tls::ServiceAccount;
use crate::probe::ProbeArgs;

/// Each flag's environment variable begins with this.
const ENV_PREFIX: &str = "SNMP_MASTER";

/// What was asked for.
#[derive(Debug)]
pub enum Invocation {
    /// Serve, until told to end.
    Run(Box<RunArgs>),
    /// Check a document.
    Check(CheckArgs),
    /// Ask an agent whether it answers.
    Probe(ProbeArgs),
}

/// Flags of the master as it serves.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The document of contexts, access and listeners, as `snmp-operator render` writes it; looked at every second, and
    /// changes take effect without a restart, but for listeners
    #[arg(long, value_name = "FILE", required_unless_present = "secret")]
    pub config: Option<PathBuf>,
    /// Folder to keep the SNMP engine's id and boots in; it has to outlive restarts, and belongs to one master
    #[arg(long, value_name = "DIR", required_unless_present = "secret")]
    pub state: Option<PathBuf>,
    /// In a Kubernetes cluster, in place of --config and --state: the document is in the Secrets NAME-0 to NAME-7 of
    /// this namespace, the engine in NAME-engine, and of several replicas the holder of the Lease NAME is active
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with_all = ["config", "state"])]
    pub secret: Option<Names>,
    /// With --secret: name of this replica's pod, by default that of the environment variable POD_NAME, or the host's
    #[arg(long, value_name = "NAME", requires = "secret", conflicts_with_all = ["config", "state"])]
    pub pod_name: Option<String>,
    /// Folder of the certificate and key that AgentX over TLS is served with, tls.crt and tls.key; looked at every second.
    /// Tokens are reviewed by the API server of KUBECONFIG or, without one, of the cluster
    #[arg(long, value_name = "DIR")]
    pub tls: Option<PathBuf>,
    /// The ServiceAccount that may see what is published over TLS
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "snmp-system/snmp-operator")]
    pub operator_service_account: ServiceAccount,
    /// Address of /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:7701")]
    pub listen: SocketAddr,
    /// Loopback address of the same, and of /status, which shows contexts and sessions
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7702", value_parser = loopback)]
    pub local_listen: SocketAddr,
    /// Flags about the log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Flags of `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// The document
    #[arg(value_name = "FILE")]
    pub config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Check a document, strictly, and print everything that is wrong with it
    ///
    /// Each fault is printed with its file and field. The exit status is 1 if there is any.
    Check(CheckArgs),
    /// Ask an agent for sysDescr and sysUpTime by SNMPv2c, as an NMS does
    ///
    /// It asks each second until there is an answer. The exit status is 1 if there is none in time. A community that the
    /// agent does not know is not answered at all.
    Probe(ProbeArgs),
}

/// The whole command line.
#[must_use]
pub fn command() -> Command {
    let command = RunArgs::augment_args(Command::new("snmp-master"))
        .version(env!("CARGO_PKG_VERSION"))
        .about("Serve AgentX subagents' objects to SNMP managers: an AgentX master agent (RFC 2741) with tenants")
        .after_help("Each flag can also be given by its environment variable.")
        .subcommand_negates_reqs(true)
        .args_conflicts_with_subcommands(true);
    Subcommands::augment_subcommands(daemon::with_env_vars(command, ENV_PREFIX))
}

/// Reads the command line `args`, the program's name first.
///
/// # Errors
/// clap's, which knows how to print itself; it is also the answer to `--help` and `--version`.
pub fn parse(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Invocation, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    if matches.subcommand().is_none() {
        return RunArgs::from_arg_matches(&matches).map(|args| Invocation::Run(Box::new(args)));
    }
    Ok(match Subcommands::from_arg_matches(&matches)? {
        Subcommands::Check(args) => Invocation::Check(args),
        Subcommands::Probe(args) => Invocation::Probe(args),
    })
}

fn loopback(address: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = address.parse().map_err(|error: std::net::AddrParseError| error.to_string())?;
    if address.ip().is_loopback() { Ok(address) } else { Err("not a loopback address".to_owned()) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn of(line: &str) -> Result<Invocation, clap::Error> {
        parse(std::iter::once("snmp-master").chain(line.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn without_a_subcommand_it_serves() {
        let Ok(Invocation::Run(args)) = of("--config /c --state /s") else { panic!() };
        assert_eq!((args.config, args.state), (Some(PathBuf::from("/c")), Some(PathBuf::from("/s"))));
        assert_eq!(args.secret, None);
        assert_eq!(args.listen, "0.0.0.0:7701".parse().unwrap());
        assert_eq!(args.local_listen, "127.0.0.1:7702".parse().unwrap());
    }

    #[test]
    fn in_a_cluster_it_needs_neither_file_nor_folder() {
        let Ok(Invocation::Run(args)) = of("--secret snmp-system/snmp-master") else { panic!() };
        assert_eq!((args.config, args.state), (None, None));
        assert_eq!(args.secret, Some(Names { namespace: "snmp-system".to_owned(), name: "snmp-master".to_owned() }));
    }

    #[test]
    fn check_needs_none_of_the_flags_of_serving() {
        let Ok(Invocation::Check(args)) = of("check /c") else { panic!() };
        assert_eq!(args.config, PathBuf::from("/c"));
    }

    #[test]
    fn probe_takes_the_community_from_a_file_alone() {
        let Ok(Invocation::Probe(args)) = of("probe --community-file /c --timeout 9 master:161") else { panic!() };
        assert_eq!((args.community_file, args.timeout, args.agent.as_str()), (PathBuf::from("/c"), 9, "master:161"));
    }

    #[rstest]
    #[case("probe master:161", "--community-file")]
    #[case("probe --community-file /c --timeout 0 master:161", "--timeout")]
    #[case("probe --community-file /c", "HOST:PORT")]
    #[case("", "--config")]
    #[case("--config /c", "--state")]
    #[case("--config /c --state /s --local-listen 0.0.0.0:7702", "not a loopback address")]
    #[case("--config /c --state /s --listen 7701", "--listen")]
    #[case("--state /s", "--config")]
    #[case("--secret snmp-master", "NAMESPACE/NAME")]
    #[case("--secret a/b --config /c", "--config")]
    #[case("--secret a/b --state /s", "--state")]
    #[case("--config /c --state /s --pod-name m-0", "--pod-name")]
    #[case("--config /c --state /s --lisen [::]:7701", "--listen")]
    #[case("--config /c --state /s check /c", "check")]
    #[case("check", "FILE")]
    fn what_is_wrong_is_named(#[case] line: &str, #[case] named: &str) {
        let error = of(line).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }

    #[test]
    fn every_flag_has_an_environment_variable() {
        for arg in command().get_arguments() {
            let Some(flag) = arg.get_long() else { continue };
            let name = format!("SNMP_MASTER_{}", flag.replace('-', "_").to_uppercase());
            assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(name.as_str()), "--{flag}");
        }
    }
}
