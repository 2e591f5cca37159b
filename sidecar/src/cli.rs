//! The command line: what to run, and its flags.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Command, FromArgMatches, Subcommand};
use daemon::logging::LogArgs;

use crate::{
    source::{NamedPorts, Roots},
    subagent::{MasterUrl, TlsFiles},
    write::{Operator, OperatorUrl},
};

/// Each flag's environment variable begins with this.
const ENV_PREFIX: &str = "SNMP_SIDECAR";

/// What was asked for.
#[derive(Debug)]
pub enum Invocation {
    /// Serve, until told to end.
    Run(RunArgs),
    /// Check documents.
    Check(CheckArgs),
    /// Scrape once, and print what an NMS would see.
    Walk(WalkArgs),
}

/// Flags of the sidecar as it serves.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Folder of the documents subtree.NAME.json, as `snmp-operator render --format mounted` writes it
    #[arg(long, value_name = "DIR")]
    pub config: PathBuf,
    /// AgentX master to serve: unix:/PATH, tcp://HOST:PORT or tls://HOST:PORT; may be given several times
    #[arg(long = "master", value_name = "URL", required = true, value_delimiter = ',')]
    pub masters: Vec<MasterUrl>,
    /// Certificates, in PEM, that a tls:// master's is to be signed by one of; ca.crt in the folder of documents if not given
    #[arg(long, value_name = "FILE")]
    pub master_ca: Option<PathBuf>,
    /// ServiceAccount token to show to tls:// masters; token in the folder of documents if not given
    #[arg(long, value_name = "FILE")]
    pub master_token: Option<PathBuf>,
    /// The operator's endpoint, https://HOST:PORT, by which SETs write ConfigMaps; it is reached with the files of the masters
    #[arg(long, value_name = "URL")]
    pub operator: Option<OperatorUrl>,
    /// File of the pod's labels, as the downward API writes it; without it every document is served
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Folder to keep the numbers of Assigned indexes in, and what SETs are under way; without it the numbers begin anew
    /// with each start, and a SET that a crash interrupts is not put back
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Address of /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9705")]
    pub listen: SocketAddr,
    /// Loopback address of the same, and of /status and /walk, which show the served data
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9706", value_parser = loopback)]
    pub local_listen: SocketAddr,
    /// The pod's name; the host's name if not given
    #[arg(long, value_name = "NAME")]
    pub pod_name: Option<String>,
    /// Container ports that documents call by name, as metrics=9100,api=8080
    #[arg(long, value_name = "NAME=PORT,...", default_value = "")]
    pub ports: NamedPorts,
    /// Where `system` sources see the machine.
    #[command(flatten)]
    pub roots: RootArgs,
    /// Flags about the log.
    #[command(flatten)]
    pub log: LogArgs,
}

impl RunArgs {
    /// The files for masters that are reached by TLS.
    #[must_use]
    pub fn tls_files(&self) -> TlsFiles {
        let file = |given: &Option<PathBuf>, name| given.clone().unwrap_or_else(|| self.config.join(name));
        TlsFiles { ca: file(&self.master_ca, "ca.crt"), token: file(&self.master_token, "token") }
    }

    /// The operator's endpoint, and how to be let in: as by masters.
    #[must_use]
    pub fn operator(&self) -> Option<Operator> {
        let TlsFiles { ca, token } = self.tls_files();
        Some(Operator { url: self.operator.clone()?, ca, token })
    }
}

/// Flags of `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Folder of the documents subtree.NAME.json
    #[arg(value_name = "DIR")]
    pub config: PathBuf,
}

/// Flags of `walk`.
#[derive(Debug, Clone, Args)]
pub struct WalkArgs {
    /// Folder of the documents subtree.NAME.json
    #[arg(value_name = "DIR")]
    pub config: PathBuf,
    /// Print this SNMP context alone; "" is the default context
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// File of the pod's labels, as the downward API writes it; without it every document is walked
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// The pod's name; the host's name if not given
    #[arg(long, value_name = "NAME")]
    pub pod_name: Option<String>,
    /// Container ports that documents call by name, as metrics=9100,api=8080
    #[arg(long, value_name = "NAME=PORT,...", default_value = "")]
    pub ports: NamedPorts,
    /// Longest time for each scrape, in seconds, instead of the documents' own
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Where `system` sources see the machine.
    #[command(flatten)]
    pub roots: RootArgs,
}

/// Flags about where `system` sources see the machine: other places where the host's are mounted into the container.
#[derive(Debug, Clone, Args)]
pub struct RootArgs {
    /// Folder to read in place of /proc, for system sources
    #[arg(long, value_name = "DIR", default_value = "/proc")]
    pub procfs: PathBuf,
    /// Folder to read in place of /sys, for system sources
    #[arg(long, value_name = "DIR", default_value = "/sys")]
    pub sysfs: PathBuf,
    /// Folder where the file systems are mounted that system sources tell of
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub rootfs: PathBuf,
}

impl RootArgs {
    /// The same, as sources have them.
    #[must_use]
    pub fn roots(&self) -> Roots {
        Roots { proc: self.procfs.clone(), sys: self.sysfs.clone(), root: self.rootfs.clone() }
    }
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Check documents, strictly, and print everything that is wrong with them
    ///
    /// Each fault is printed with its file and field. The exit status is 1 if there is any.
    Check(CheckArgs),
    /// Scrape every source once and print each OID, type and value, as snmpwalk -On -Oe would
    ///
    /// Each context that is not the default one stands below a line `# context "NAME"`. Rates need two scrapes, and so are
    /// missing here. Sources that fail are named on standard error, and the exit status is 1.
    Walk(WalkArgs),
}

/// The whole command line.
#[must_use]
pub fn command() -> Command {
    let command = RunArgs::augment_args(Command::new("snmp-sidecar"))
        .version(env!("CARGO_PKG_VERSION"))
        .about("Serve an application's metrics as SNMP objects: an AgentX subagent (RFC 2741)")
        .after_help("Each flag can also be given by its environment variable.")
        .subcommand_negates_reqs(true)
        .args_conflicts_with_subcommands(true);
    let command = daemon::with_env_vars(command, ENV_PREFIX);
    Subcommands::augment_subcommands(command).mut_subcommand("walk", |walk| daemon::with_env_vars(walk, ENV_PREFIX))
}

/// Reads the command line `args`, the program's name first.
///
/// # Errors
/// clap's, which knows how to print itself; it is also the answer to `--help` and `--version`.
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

    fn of(line: &str) -> Result<Invocation, clap::Error> {
        parse(std::iter::once("snmp-sidecar").chain(line.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn without_a_subcommand_it_serves() {
        let Ok(Invocation::Run(args)) = of("--config /c --master unix:/m --master tcp://h:705,tcp://i") else {
            panic!()
        };
        assert_eq!(args.config, PathBuf::from("/c"));
        assert_eq!(args.masters.len(), 3);
        assert_eq!(args.local_listen, "127.0.0.1:9706".parse().unwrap());
        assert_eq!((args.labels, args.state), (None, None));
    }

    #[test]
    fn the_files_for_tls_lie_in_the_folder_of_documents_unless_others_are_given() {
        let files = |line: &str| {
            let Ok(Invocation::Run(args)) = of(line) else { panic!("{line}") };
            args.tls_files()
        };
        let default = TlsFiles { ca: "/c/ca.crt".into(), token: "/c/token".into() };
        assert_eq!(files("--config /c --master tls://h"), default);
        let given = TlsFiles { ca: "/x".into(), token: "/y".into() };
        assert_eq!(files("--config /c --master tls://h --master-ca /x --master-token /y"), given);
    }

    #[test]
    fn subcommands_need_none_of_the_flags_of_serving() {
        let Ok(Invocation::Check(args)) = of("check /c") else { panic!() };
        assert_eq!(args.config, PathBuf::from("/c"));
        let Ok(Invocation::Walk(args)) = of("walk /c --context= --timeout 2.5 --ports metrics=9100") else { panic!() };
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
    fn what_is_wrong_is_named(#[case] line: &str, #[case] named: &str) {
        let error = of(line).unwrap_err().to_string();
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
