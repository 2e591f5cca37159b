//! The command line: subcommands and flags.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Args, Command, FromArgMatches, Subcommand};
use daemon::logging::LogArgs;

use crate::commands::{CheckArgs, ProbeArgs};
use crate::io::tls::ServiceAccount;
use crate::replication::Names;

/// Prefix of the environment variables of all flags.
const ENV_PREFIX: &str = "SNMP_MASTER";

/// A parsed command line.
#[derive(Debug)]
pub enum Invocation {
    /// Run the master.
    Run(Box<RunArgs>),
    /// Check a document.
    Check(CheckArgs),
    /// Check that an agent responds.
    Probe(ProbeArgs),
}

/// Flags of the master.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// File of the document with contexts, access and listeners, as written by `snmp-operator render`. It is read every
    /// second. Changes take effect without a restart, except changes of listeners
    #[arg(long, value_name = "FILE", required_unless_present = "secret")]
    pub config: Option<PathBuf>,
    /// State directory of one master, for snmpEngineID and snmpEngineBoots. It must survive restarts
    #[arg(long, value_name = "DIR", required_unless_present = "secret")]
    pub state: Option<PathBuf>,
    /// In a Kubernetes cluster, instead of --config and --state: read the document from the Secrets NAME-0 to NAME-7,
    /// and the SNMP engine from the Secret NAME-engine. The replica that holds the Lease NAME is active
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with_all = ["config", "state"])]
    pub secret: Option<Names>,
    /// With --secret: the name of this replica's pod. Default: the environment variable POD_NAME, or the host name
    #[arg(long, value_name = "NAME", requires = "secret", conflicts_with_all = ["config", "state"])]
    pub pod_name: Option<String>,
    /// Directory of the certificate and key of AgentX over TLS, tls.crt and tls.key. They are read every second. Tokens
    /// are reviewed by the API server of KUBECONFIG, or without it by that of the cluster
    #[arg(long, value_name = "DIR")]
    pub tls: Option<PathBuf>,
    /// ServiceAccount that may read what is published over TLS
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "snmp-system/snmp-operator")]
    pub operator_service_account: ServiceAccount,
    /// Address of /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:7701")]
    pub listen: SocketAddr,
    /// Loopback address of the same paths and of /status, which shows contexts and sessions
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7702", value_parser = loopback)]
    pub local_listen: SocketAddr,
    /// Flags of the log.
    #[command(flatten)]
    pub log: LogArgs,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Check a document strictly, and print all violations
    ///
    /// Each violation is printed with its file and field. The exit status is 1 if there is any.
    Check(CheckArgs),
    /// Read sysDescr and sysUpTime of an agent by SNMPv2c
    ///
    /// A request is sent every second until the agent responds. The exit status is 1 if there is no response in time.
    /// Agents do not respond to an unknown community.
    Probe(ProbeArgs),
}

/// Returns the definition of the command line.
fn command() -> Command {
    let command = RunArgs::augment_args(Command::new("snmp-master"))
        .version(env!("CARGO_PKG_VERSION"))
        .about("Serve the objects of AgentX subagents to SNMP managers: an AgentX master agent (RFC 2741) with tenants")
        .after_help("Each flag can also be given by its environment variable.")
        .subcommand_negates_reqs(true)
        .args_conflicts_with_subcommands(true);
    Subcommands::augment_subcommands(daemon::with_env_vars(command, ENV_PREFIX))
}

/// Parses the command line `args`, which starts with the name of the program.
///
/// # Errors
/// Returns an error if the command line is invalid. For `--help` and `--version` it is the text to print.
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

    fn parse_line(line: &str) -> Result<Invocation, clap::Error> {
        parse(std::iter::once("snmp-master").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_valid() {
        command().debug_assert();
    }

    #[test]
    fn without_a_subcommand_the_master_runs() {
        let Ok(Invocation::Run(args)) = parse_line("--config /c --state /s") else { panic!() };
        assert_eq!((args.config, args.state), (Some(PathBuf::from("/c")), Some(PathBuf::from("/s"))));
        assert_eq!(args.secret, None);
        assert_eq!(args.listen, "0.0.0.0:7701".parse().unwrap());
        assert_eq!(args.local_listen, "127.0.0.1:7702".parse().unwrap());
    }

    #[test]
    fn config_and_state_are_not_needed_with_secret() {
        let Ok(Invocation::Run(args)) = parse_line("--secret snmp-system/snmp-master") else { panic!() };
        assert_eq!((args.config, args.state), (None, None));
        assert_eq!(args.secret, Some(Names { namespace: "snmp-system".to_owned(), name: "snmp-master".to_owned() }));
    }

    #[test]
    fn check_needs_no_flags_of_the_master() {
        let Ok(Invocation::Check(args)) = parse_line("check /c") else { panic!() };
        assert_eq!(args.config, PathBuf::from("/c"));
    }

    #[test]
    fn probe_reads_the_community_from_a_file() {
        let Ok(Invocation::Probe(args)) = parse_line("probe --community-file /c --timeout 9 master:161") else {
            panic!()
        };
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
    fn errors_name_what_is_wrong(#[case] line: &str, #[case] named: &str) {
        let error = parse_line(line).unwrap_err().to_string();
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
