//! The programs that make up Kubernetes, each started and ended alone.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::Signal;

use super::{
    Cluster, Kind,
    configuration::CONTAINERD,
    network::{API_PORT, NODE, SERVICES},
    programs::{built, installed},
    waiting::patiently,
};
use crate::program::run;

/// Starts a program in the background of the node, and says its process id and when that process began: ids are used again.
/// Usage: LOG FILE PROGRAM ARGUMENT…
const DETACH: &str = r#"log=$1 file=$2; shift 2; setsid "$@" </dev/null >>"$log" 2>&1 &
echo "$! $(cut -d ' ' -f 22 "/proc/$!/stat")" >"$file""#;

/// Fails where no process of this id began then. Usage: PROCESS BEGINNING
const IS_THERE: &str = r#"[ "$(cut -d ' ' -f 22 "/proc/$1/stat")" = "$2" ]"#;

/// Fails where the answer of a server on the loopback is not 200. Usage: PORT PATH
const ASK: &str = r#"exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&3 && read -r -t 5 line <&3 &&
case $line in *' 200 '*) ;; *) echo "$line"; exit 1 ;; esac"#;

/// A program of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // Their names are those of Kubernetes.
pub enum Component {
    Etcd,
    ApiServer,
    ControllerManager,
    Scheduler,
    Containerd,
    Kubelet,
    KubeProxy,
    CoreDns,
}

impl Component {
    /// All of them, in the order in which they start.
    pub const ALL: [Self; 8] = [
        Self::Etcd,
        Self::Containerd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubelet,
        Self::KubeProxy,
        Self::CoreDns,
    ];

    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::CoreDns => "coredns",
        }
    }

    /// The component of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.name() == name)
    }

    /// Whether a cluster of this kind has it.
    pub fn is_part_of(self, kind: Kind) -> bool {
        kind == Kind::Full || matches!(self, Self::Etcd | Self::ApiServer | Self::ControllerManager)
    }

    fn program(self) -> Result<PathBuf> {
        match self {
            Self::Etcd | Self::Containerd => installed(self.name()),
            _ => built(self.name()),
        }
    }

    /// The port of the node's loopback and the path where it says that it works, in plain HTTP.
    fn health(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Etcd => Some(("2379", "/health")),
            Self::Kubelet => Some(("10248", "/healthz")),
            Self::KubeProxy => Some(("10256", "/healthz")),
            Self::CoreDns => Some(("8181", "/ready")),
            _ => None,
        }
    }
}

impl Cluster {
    /// Starts a component and waits until it works.
    pub fn start_component(&self, component: Component) -> Result<()> {
        self.launch(component)?;
        self.wait_for_component(component)
    }

    /// Asks a component to end, and waits until it has. Pods run on without any of them.
    pub fn stop(&self, component: Component) -> Result<()> {
        self.end_component(component, Signal::TERM)
    }

    /// Ends a component as `kill -9` does.
    pub fn kill(&self, component: Component) -> Result<()> {
        self.end_component(component, Signal::KILL)
    }

    /// Stops a component and starts it again.
    pub fn restart(&self, component: Component) -> Result<()> {
        self.stop(component)?;
        self.start_component(component)
    }

    /// Whether a component's process is there.
    pub fn runs(&self, component: Component) -> Result<bool> {
        let Some((process, began)) = self.process(component) else { return Ok(false) };
        let output = self.node_command("sh")?.args(["-c", IS_THERE, "sh", &process, &began]).output()?;
        Ok(output.status.success())
    }

    /// The process of a component as the node counts, and when it began.
    fn process(&self, component: Component) -> Option<(String, String)> {
        let written = fs::read_to_string(self.place.pid(component.name())).ok()?;
        let (process, began) = written.trim().split_once(' ')?;
        Some((process.to_owned(), began.to_owned()))
    }

    pub(super) fn launch(&self, component: Component) -> Result<()> {
        let mut command = self.node_command("sh")?;
        command.args(["-c", DETACH, "sh"]);
        command.arg(self.place.log(component.name())).arg(self.place.pid(component.name()));
        command.arg(component.program()?).args(self.arguments(component));
        run(&mut command).with_context(|| format!("cannot start {}", component.name()))?;
        Ok(())
    }

    /// Waits until a component works, as far as it can tell alone. One that ends is not waited for.
    pub(super) fn wait_for_component(&self, component: Component) -> Result<()> {
        patiently(component.name(), || {
            if !self.runs(component)? {
                let log = self.place.log(component.name());
                return Ok(Err(anyhow!("{} has ended; its log: {}", component.name(), log.display())));
            }
            self.ask(component).map(Ok)
        })?
    }

    /// Succeeds where a component says that it works, or cannot say.
    fn ask(&self, component: Component) -> Result<()> {
        match component {
            Component::ApiServer => self.kubectl(&["get", "--raw", "/readyz"]).map(drop),
            Component::Containerd => self.containerd(&["version"]).map(drop),
            _ => match component.health() {
                Some((port, path)) => run(self.node_command("bash")?.args(["-c", ASK, "bash", port, path])).map(drop),
                None => Ok(()),
            },
        }
    }

    fn end_component(&self, component: Component, signal: Signal) -> Result<()> {
        let Some((process, _)) = self.process(component) else { bail!("{} was not started", component.name()) };
        if !self.runs(component)? {
            return Ok(());
        }
        let signal = if signal == Signal::KILL { "-KILL" } else { "-TERM" };
        run(self.node_command("kill")?.args([signal, &process]))?;
        patiently("a component to end", || {
            ensure!(!self.runs(component)?, "{} runs", component.name());
            Ok(())
        })
    }

    /// Runs `ctr` with the images and containers of Kubernetes.
    pub(super) fn containerd(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.node_command("ctr")?;
        command.args(["--address", CONTAINERD, "--namespace", "k8s.io"]).args(arguments);
        Ok(String::from_utf8(run(&mut command)?.stdout)?)
    }

    fn arguments(&self, component: Component) -> Vec<String> {
        let credential = |file: &str| self.place.credential(file).display().to_string();
        let configuration = |file: &str| self.place.configuration(file).display().to_string();
        let kubeconfig = |user: &str| self.place.kubeconfig(user).display().to_string();
        match component {
            Component::Etcd => vec![
                format!("--data-dir={}", self.place.path("etcd").display()),
                "--listen-client-urls=http://127.0.0.1:2379".into(),
                "--advertise-client-urls=http://127.0.0.1:2379".into(),
                "--listen-peer-urls=http://127.0.0.1:2380".into(),
                "--initial-advertise-peer-urls=http://127.0.0.1:2380".into(),
                "--initial-cluster=default=http://127.0.0.1:2380".into(),
                // As kubeadm has it. Else the API server's caches of what nobody changes stay behind for minutes, and so do
                // all that watch anew after it was away.
                "--experimental-watch-progress-notify-interval=5s".into(),
                "--logger=zap".into(),
            ],
            Component::ApiServer => vec![
                "--etcd-servers=http://127.0.0.1:2379".into(),
                "--bind-address=0.0.0.0".into(),
                format!("--secure-port={API_PORT}"),
                format!("--advertise-address={NODE}"),
                format!("--service-cluster-ip-range={SERVICES}"),
                format!("--tls-cert-file={}", credential("api-server.crt")),
                format!("--tls-private-key-file={}", credential("api-server.key")),
                format!("--client-ca-file={}", credential("authority.crt")),
                format!("--token-auth-file={}", credential("tokens.csv")),
                format!("--kubelet-client-certificate={}", credential("kubelet-client.crt")),
                format!("--kubelet-client-key={}", credential("kubelet-client.key")),
                "--kubelet-preferred-address-types=InternalIP".into(),
                "--service-account-issuer=https://kubernetes.default.svc".into(),
                format!("--service-account-key-file={}", credential("service-accounts.pub")),
                format!("--service-account-signing-key-file={}", credential("service-accounts.key")),
                "--authorization-mode=Node,RBAC".into(),
                "--enable-admission-plugins=NodeRestriction".into(),
                "--allow-privileged=true".into(),
            ],
            Component::ControllerManager => vec![
                format!("--kubeconfig={}", kubeconfig("controller-manager")),
                format!("--service-account-private-key-file={}", credential("service-accounts.key")),
                format!("--root-ca-file={}", credential("authority.crt")),
                format!("--cluster-signing-cert-file={}", credential("authority.crt")),
                format!("--cluster-signing-key-file={}", credential("authority.key")),
                "--use-service-account-credentials=true".into(),
                "--leader-elect=false".into(),
                "--bind-address=127.0.0.1".into(),
                "--kube-api-qps=100".into(),
                "--kube-api-burst=200".into(),
            ],
            Component::Scheduler => vec![
                format!("--kubeconfig={}", kubeconfig("scheduler")),
                "--leader-elect=false".into(),
                "--bind-address=127.0.0.1".into(),
            ],
            Component::Containerd => vec![format!("--config={}", configuration("containerd.toml"))],
            Component::Kubelet => vec![
                format!("--config={}", configuration("kubelet.json")),
                format!("--kubeconfig={}", kubeconfig("kubelet")),
                "--hostname-override=node".into(),
                format!("--node-ip={NODE}"),
            ],
            Component::KubeProxy => vec![format!("--config={}", configuration("proxy.json"))],
            Component::CoreDns => vec![format!("-conf={}", configuration("Corefile"))],
        }
    }
}
