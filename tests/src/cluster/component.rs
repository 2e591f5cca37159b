//! The components of Kubernetes, each of which can be started and stopped.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::Signal;

use super::{
    Cluster, Kind,
    configuration::CONTAINERD,
    network::{API_PORT, NODE, SERVICES},
    programs::{built, installed},
    waiting::wait_until,
};
use crate::process::program::run;

/// A script that starts a program in the background of the node. It writes the process id and the start time of the process,
/// because ids are reused. Usage: LOG FILE PROGRAM ARGUMENT…
const DETACH: &str = r#"log=$1 file=$2; shift 2; setsid "$@" </dev/null >>"$log" 2>&1 &
echo "$! $(cut -d ' ' -f 22 "/proc/$!/stat")" >"$file""#;

/// A script that fails if no process has this id and this start time. Usage: PROCESS START-TIME
const IS_THERE: &str = r#"[ "$(cut -d ' ' -f 22 "/proc/$1/stat")" = "$2" ]"#;

/// A script that fails if the status of a page on the loopback interface is not 200. Usage: PORT PATH
const HEALTH_CHECK: &str = r#"exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&3 && read -r -t 5 line <&3 &&
case $line in *' 200 '*) ;; *) echo "$line"; exit 1 ;; esac"#;

/// A component of the cluster.
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
    /// All components, in the order in which they start.
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

    /// Returns the name of its program.
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

    /// Returns the component with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.name() == name)
    }

    /// Returns whether a cluster of this kind has it.
    pub fn is_part_of(self, kind: Kind) -> bool {
        kind == Kind::Full || matches!(self, Self::Etcd | Self::ApiServer | Self::ControllerManager)
    }

    fn program(self) -> Result<PathBuf> {
        match self {
            Self::Etcd | Self::Containerd => installed(self.name()),
            _ => built(self.name()),
        }
    }

    /// Returns the port and the path of its health check over plain HTTP, on the loopback interface of the node.
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
    /// Starts a component and waits until it is healthy.
    pub fn start_component(&self, component: Component) -> Result<()> {
        self.launch(component)?;
        self.wait_for_component(component)
    }

    /// Stops a component and waits until it has ended. Pods keep running without it.
    pub fn stop(&self, component: Component) -> Result<()> {
        self.end_component(component, Signal::TERM)
    }

    /// Kills a component with SIGKILL.
    pub fn kill(&self, component: Component) -> Result<()> {
        self.end_component(component, Signal::KILL)
    }

    /// Stops a component and starts it again.
    pub fn restart(&self, component: Component) -> Result<()> {
        self.stop(component)?;
        self.start_component(component)
    }

    /// Returns whether the process of a component runs.
    pub fn runs(&self, component: Component) -> Result<bool> {
        let Some((process, began)) = self.process(component) else { return Ok(false) };
        let output = self.node_command("sh")?.args(["-c", IS_THERE, "sh", &process, &began]).output()?;
        Ok(output.status.success())
    }

    /// Returns the process id of a component within the node, and the start time of the process.
    fn process(&self, component: Component) -> Option<(String, String)> {
        let written = fs::read_to_string(self.files.pid(component.name())).ok()?;
        let (process, began) = written.trim().split_once(' ')?;
        Some((process.to_owned(), began.to_owned()))
    }

    pub(super) fn launch(&self, component: Component) -> Result<()> {
        let mut command = self.node_command("sh")?;
        command.args(["-c", DETACH, "sh"]);
        command.arg(self.files.log(component.name())).arg(self.files.pid(component.name()));
        command.arg(component.program()?).args(self.arguments(component));
        run(&mut command).with_context(|| format!("cannot start {}", component.name()))?;
        Ok(())
    }

    /// Waits until a component is healthy. Returns an error if it ends.
    pub(super) fn wait_for_component(&self, component: Component) -> Result<()> {
        wait_until(component.name(), || {
            if !self.runs(component)? {
                let log = self.files.log(component.name());
                return Ok(Err(anyhow!("{} has ended; its log: {}", component.name(), log.display())));
            }
            self.check_health(component).map(Ok)
        })?
    }

    /// Returns an error if the health check of a component fails. Components without a health check count as healthy.
    fn check_health(&self, component: Component) -> Result<()> {
        match component {
            Component::ApiServer => self.kubectl(&["get", "--raw", "/readyz"]).map(drop),
            Component::Containerd => self.containerd(&["version"]).map(drop),
            _ => match component.health() {
                Some((port, path)) => {
                    run(self.node_command("bash")?.args(["-c", HEALTH_CHECK, "bash", port, path])).map(drop)
                }
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
        wait_until("a component to end", || {
            ensure!(!self.runs(component)?, "{} is still running", component.name());
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
        let credential = |file: &str| self.files.credential(file).display().to_string();
        let configuration = |file: &str| self.files.configuration(file).display().to_string();
        let kubeconfig = |user: &str| self.files.kubeconfig(user).display().to_string();
        match component {
            Component::Etcd => vec![
                format!("--data-dir={}", self.files.path("etcd").display()),
                "--listen-client-urls=http://127.0.0.1:2379".into(),
                "--advertise-client-urls=http://127.0.0.1:2379".into(),
                "--listen-peer-urls=http://127.0.0.1:2380".into(),
                "--initial-advertise-peer-urls=http://127.0.0.1:2380".into(),
                "--initial-cluster=default=http://127.0.0.1:2380".into(),
                // As in kubeadm. Otherwise, the API server's caches of unchanged resources are out of date for minutes, and so
                // are all watches after it was down.
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
