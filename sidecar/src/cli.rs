//! The command line: commands and flags.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Command, FromArgMatches, Subcommand};
use daemon::logging::LogArgs;

use crate::{
    set::{OperatorEndpoint, OperatorUrl},
    source::{NamedPorts, Roots},
    subagent::{MasterUrl, TlsFiles},
};

/// The prefix of the flags' environment variables.
const ENV_PREFIX: &str = "SNMP_SIDECAR";

/// The command to run.
#[derive(Debug)]
pub enum Invocation {
    /// Serve until a signal arrives.
    Run(RunArgs),
    /// Validate documents.
    Check(CheckArgs),
    /// Collect once and print the instances.
    Walk(WalkArgs),
}

/// Flags of the sidecar without a command.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Directory of the documents subtree.NAME.json, as written by `snmp-operator render --format mounted`
    #[arg(long, value_name = "DIR")]
    pub(crate) config: PathBuf,
    /// AgentX master to connect to: unix:/PATH, tcp://HOST:PORT or tls://HOST:PORT; repeat the flag for several masters
    #[arg(long = "master", value_name = "URL", required = true, value_delimiter = ',')]
    pub(crate) masters: Vec<MasterUrl>,
    /// PEM file of the CA certificates that tls:// masters are verified against; default: ca.crt in the directory of --config
    #[arg(long, value_name = "FILE")]
    pub(crate) master_ca: Option<PathBuf>,
    /// File of the ServiceAccount token for tls:// masters; default: token in the directory of --config
    #[arg(long, value_name = "FILE")]
    pub(crate) master_token: Option<PathBuf>,
    /// The operator's endpoint, https://HOST:PORT, through which SETs write ConfigMaps; uses the files of --master-ca and
    /// --master-token
    #[arg(long, value_name = "URL")]
    pub(crate) operator: Option<OperatorUrl>,
    /// File of the pod's labels, as written by the downward API; without it every document is served
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// State directory for the numbers of Assigned indexes and the journal of SETs; without it the numbers are assigned anew
    /// at each start, and a SET that a crash interrupts is not undone
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Address of /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9705")]
    pub(crate) listen: SocketAddr,
    /// Loopback address of the same endpoints and of /status and /walk, which show the served data
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9706", value_parser = loopback)]
    pub(crate) local_listen: SocketAddr,
    /// Name of the pod; default: the host name
    #[arg(long, value_name = "NAME")]
    pub(crate) pod_name: Option<String>,
    /// Container ports that documents refer to by name, for example metrics=9100,api=8080
    #[arg(long, value_name = "NAME=PORT,...", default_value = "")]
    pub(crate) ports: NamedPorts,
    /// Directories that `system` sources read.
    #[command(flatten)]
    pub(crate) roots: RootArgs,
    /// Flags of the log.
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

impl RunArgs {
    /// Returns the files for tls:// masters.
    #[must_use]
    pub(crate) fn tls_files(&self) -> TlsFiles {
        let file = |given: &Option<PathBuf>, name| given.clone().unwrap_or_else(|| self.config.join(name));
        TlsFiles { ca: file(&self.master_ca, "ca.crt"), token: file(&self.master_token, "token") }
    }

    /// Returns the operator's endpoint with the files for its TLS connection, which are those for masters.
    #[must_use]
    pub(crate) fn operator(&self) -> Option<OperatorEndpoint> {
        let TlsFiles { ca, token } = self.tls_files();
        Some(OperatorEndpoint { url: self.operator.clone()?, ca, token })
    }
}

/// Flags of `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Directory of the documents subtree.NAME.json
    #[arg(value_name = "DIR")]
    pub(crate) config: PathBuf,
}

/// Flags of `walk`.
#[derive(Debug, Clone, Args)]
pub struct WalkArgs {
    /// Directory of the documents subtree.NAME.json
    #[arg(value_name = "DIR")]
    pub(crate) config: PathBuf,
    /// Print only this SNMP context; "" is the default context
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// File of the pod's labels, as written by the downward API; without it every document is walked
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Name of the pod; default: the host name
    #[arg(long, value_name = "NAME")]
    pub(crate) pod_name: Option<String>,
    /// Container ports that documents refer to by name, for example metrics=9100,api=8080
    #[arg(long, value_name = "NAME=PORT,...", default_value = "")]
    pub(crate) ports: NamedPorts,
    /// Timeout of each source in seconds, instead of the timeouts in the documents
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// Directories that `system` sources read.
    #[command(flatten)]
    pub(crate) roots: RootArgs,
}

/// Flags for `system` sources. They name the directories where the host's file systems are mounted in the container.
#[derive(Debug, Clone, Args)]
pub struct RootArgs {
    /// Directory that system sources read instead of /proc
    #[arg(long, value_name = "DIR", default_value = "/proc")]
    pub(crate) procfs: PathBuf,
    /// Directory that system sources read instead of /sys
    #[arg(long, value_name = "DIR", default_value = "/sys")]
    pub(crate) sysfs: PathBuf,
    /// Directory where the file systems that system sources report are mounted
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(crate) rootfs: PathBuf,
}

impl RootArgs {
    /// Returns the directories for sources.
    #[must_use]
    pub(crate) fn roots(&self) -> Roots {
        Roots { proc: self.procfs.clone(), sys: self.sysfs.clone(), root: self.rootfs.clone() }
    }
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Validate documents strictly and print all errors
    ///
    /// Each error is printed with its file and field. The exit status is 1 if there are errors.
    Check(CheckArgs),
    /// Collect from every source once and print each OID, type and value in the format of snmpwalk -On -Oe
    ///
    /// A line `# context "NAME"` precedes each context other than the default one. Rates are missing because they need two
    /// collections. Errors of sources are printed to standard error, and the exit status is 1.
    Walk(WalkArgs),
}

/// Returns the definition of the command line.
#[must_use]
pub(crate) fn command() -> Command {
    let command = RunArgs::augment_args(Command::new("snmp-sidecar"))
        .version(env!("CARGO_PKG_VERSION"))
        .about("Serve an application's metrics as SNMP objects: an AgentX subagent (RFC 2741)")
        .after_help("Each flag can also be given by its environment variable.")
        .subcommand_negates_reqs(true)
        .args_conflicts_with_subcommands(true);
    let command = daemon::with_env_vars(command, ENV_PREFIX);
    Subcommands::augment_subcommands(command).mut_subcommand("walk", |walk| daemon::with_env_vars(walk, ENV_PREFIX))
}

/// Parses the command line `args`, which begins with the program's name.
///
/// # Errors
/// Returns an error if the arguments are invalid, and also for `--help` and `--version`. `clap::Error::exit` prints it.
pub fn parse(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Invocation, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    if matches.subcommand().is_none() {
        return RunArgs::from_arg_matches(&matches).map(Invocation::Run);
    }
    Ok(match Subcommands::from_arg_matches(&matches)? {
        Subcommands::Check(args) => Invocation::Check(args),
        Subcommands::Walk(args) => Invocation::Walk(args),
    })
}

fn loopback(address: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = address.parse().map_err(|error: std::net::AddrParseError| error.to_string())?;
    if address.ip().is_loopback() { Ok(address) } else { Err("not a loopback address".to_owned()) }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let positive = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    positive.filter(|time| !time.is_zero()).ok_or_else(|| "not a positive number of seconds".to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse_line(line: &str) -> Result<Invocation, clap::Error> {
        parse(std::iter::once("snmp-sidecar").chain(line.split_whitespace()))
    }

    #[test]
    fn command_line_definition_is_valid() {
        command().debug_assert();
    }

    #[test]
    fn no_subcommand_means_run() {
        let Ok(Invocation::Run(args)) = parse_line("--config /c --master unix:/m --master tcp://h:705,tcp://i") else {
            panic!()
        };
        assert_eq!(args.config, PathBuf::from("/c"));
        assert_eq!(args.masters.len(), 3);
        assert_eq!(args.local_listen, "127.0.0.1:9706".parse().unwrap());
        assert_eq!((args.labels, args.state), (None, None));
    }

    #[test]
    fn tls_files_default_to_the_directory_of_documents() {
        let files = |line: &str| {
            let Ok(Invocation::Run(args)) = parse_line(line) else { panic!("{line}") };
            args.tls_files()
        };
        let default = TlsFiles { ca: "/c/ca.crt".into(), token: "/c/token".into() };
        assert_eq!(files("--config /c --master tls://h"), default);
        let given = TlsFiles { ca: "/x".into(), token: "/y".into() };
        assert_eq!(files("--config /c --master tls://h --master-ca /x --master-token /y"), given);
    }

    #[test]
    fn subcommands_do_not_need_the_flags_of_run() {
        let Ok(Invocation::Check(args)) = parse_line("check /c") else { panic!() };
        assert_eq!(args.config, PathBuf::from("/c"));
        let Ok(Invocation::Walk(args)) = parse_line("walk /c --context= --timeout 2.5 --ports metrics=9100") else {
            panic!()
        };
        assert_eq!(args.context.as_deref(), Some(""));
        assert_eq!(args.timeout, Some(Duration::from_millis(2500)));
    }

    #[rstest]
    #[case("", "--config")]
    #[case("--config /c", "--master")]
    #[case("--config /c --master localhost", "localhost")]
    #[case("--config /c --master tls://", "no host name")]
    #[case("--config /c --master unix:/m --local-listen 0.0.0.0:9706", "not a loopback address")]
    #[case("--config /c --master unix:/m --listen 9705", "--listen")]
    #[case("--config /c --master unix:/m --ports metrics", "metrics")]
    #[case("--config /c --master unix:/m --lables /l", "--labels")]
    #[case("--config /c check /c", "check")]
    #[case("walk /c --timeout 0", "not a positive number")]
    #[case("walk", "DIR")]
    fn error_names_the_invalid_argument(#[case] line: &str, #[case] named: &str) {
        let error = parse_line(line).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }

    #[test]
    fn every_flag_has_an_environment_variable() {
        let command = command();
        let walk = command.find_subcommand("walk").unwrap();
        for arg in command.get_arguments().chain(walk.get_arguments()) {
            let Some(flag) = arg.get_long() else { continue };
            let name = format!("SNMP_SIDECAR_{}", flag.replace('-', "_").to_uppercase());
            assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(name.as_str()), "--{flag}");
        }
    }
}
