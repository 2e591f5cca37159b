//! kubectl and helm for a cluster, and namespaces of tests.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result, bail, ensure};

use super::{Cluster, programs::built};
use crate::process::program::run;

impl Cluster {
    /// Runs kubectl and returns its standard output. The error contains its standard error.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.kubectl_command()?;
        Ok(String::from_utf8(run(command.args(arguments))?.stdout)?)
    }

    /// Returns a kubectl command, for example for `port-forward`.
    pub fn kubectl_command(&self) -> Result<Command> {
        let mut command = Command::new(built("kubectl")?);
        self.environment(&mut command);
        Ok(command)
    }

    /// Applies manifests with server-side apply.
    pub fn apply(&self, manifests: &str) -> Result<String> {
        self.kubectl_with(&["apply", "--server-side", "--force-conflicts", "--filename=-"], manifests)
    }

    /// Runs kubectl with this standard input.
    pub fn kubectl_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = self.kubectl_command()?;
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot run kubectl")?;
        let written = child.stdin.take().context("kubectl has no standard input")?.write_all(input.as_bytes());
        let output = child.wait_with_output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {errors}", arguments.join(" "));
        written?;
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs helm and returns its standard output.
    pub fn helm(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(built("helm")?);
        self.environment(&mut command);
        Ok(String::from_utf8(run(command.args(arguments))?.stdout)?)
    }

    /// Waits until a pod is ready.
    pub fn wait_for_pod(&self, namespace: &str, pod: &str) -> Result<()> {
        self.wait_for(&format!("pod {namespace}/{pod} to be ready"), || {
            let output = "--output=jsonpath={.status.phase} {.status.conditions[?(@.type==\"Ready\")].status}";
            let seen = self.kubectl(&["get", "pod", pod, "--namespace", namespace, output])?;
            ensure!(seen.ends_with(" True"), "{seen}");
            Ok(())
        })
    }

    /// Waits until the rollout of a workload, such as `deployment/web`, is complete.
    pub fn wait_for_rollout(&self, namespace: &str, workload: &str) -> Result<()> {
        self.wait_for(&format!("{namespace}/{workload} to roll out"), || {
            let seen = self.kubectl(&["rollout", "status", workload, "--namespace", namespace, "--timeout=5s"])?;
            ensure!(seen.contains("successfully rolled out") || seen.contains("complete"), "{seen}");
            Ok(())
        })
    }

    /// Assigns an address to a Service of type `LoadBalancer`, as a cloud provider does. The NMS can reach it.
    pub fn assign_load_balancer(&self, namespace: &str, service: &str, address: &str) -> Result<()> {
        let patch = format!(r#"{{"status":{{"loadBalancer":{{"ingress":[{{"ip":"{address}"}}]}}}}}}"#);
        let arguments = ["patch", "service", service, "--namespace", namespace, "--subresource=status", "--type=merge"];
        self.kubectl(&[&arguments[..], &["--patch", &patch]].concat()).map(drop)
    }

    /// Creates a namespace, which is deleted when this is dropped.
    pub fn namespace(&self, prefix: &str) -> Result<Namespace> {
        self.namespace_with(prefix, &[])
    }

    /// Like [`Self::namespace`], with labels.
    pub fn namespace_with(&self, prefix: &str, labels: &[(&str, &str)]) -> Result<Namespace> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{prefix}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.kubectl(&["create", "namespace", &name])?;
        let namespace = Namespace { cluster: self.clone(), name };
        for (key, value) in labels {
            self.kubectl(&["label", "namespace", namespace.name(), &format!("{key}={value}")])?;
        }
        // The API server refuses pods until the ServiceAccount exists.
        self.wait_for("the ServiceAccount of a new namespace", || {
            self.kubectl(&["get", "serviceaccount", "default", "--namespace", namespace.name()])
        })?;
        Ok(namespace)
    }
}

/// A namespace of a test. Dropping this starts its deletion, without waiting for the end of it.
#[derive(Debug)]
pub struct Namespace {
    cluster: Cluster,
    name: String,
}

impl Namespace {
    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Applies manifests in it.
    pub fn apply(&self, manifests: &str) -> Result<String> {
        let namespace = format!("--namespace={}", self.name);
        self.cluster
            .kubectl_with(&["apply", "--server-side", "--force-conflicts", &namespace, "--filename=-"], manifests)
    }

    /// Runs kubectl in it.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.cluster.kubectl(&[&["--namespace", &self.name], arguments].concat())
    }

    /// Runs a program in a pod of it.
    pub fn exec(&self, pod: &str, argv: &[&str]) -> Result<String> {
        self.kubectl(&[&["exec", pod, "--"], argv].concat())
    }

    /// Returns the running container of a sidecar in a pod, for [`Self::kill`].
    pub fn sidecar(&self, pod: &str, container: &str) -> Result<String> {
        let path = format!("{{.status.initContainerStatuses[?(@.name==\"{container}\")].containerID}}");
        let id = self.get(&format!("pod/{pod}"), &path)?;
        Ok(id.trim_start_matches("containerd://").to_owned())
    }

    /// Kills a container with SIGKILL. The kubelet starts it again.
    pub fn kill(&self, container: &str) -> Result<()> {
        self.cluster.containerd(&["tasks", "kill", "--signal", "SIGKILL", container]).map(drop)
    }

    /// Waits until a pod in it is ready.
    pub fn wait_for_pod(&self, pod: &str) -> Result<()> {
        self.cluster.wait_for_pod(&self.name, pod)
    }

    /// Returns the value of a resource at a JSONPath such as `{.status.podIP}`. Returns an error if it is empty.
    pub fn get(&self, resource: &str, path: &str) -> Result<String> {
        let value = self.kubectl(&["get", resource, &format!("--output=jsonpath={path}")])?;
        if value.is_empty() {
            bail!("{resource} in {} has no value at {path}", self.name);
        }
        Ok(value)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = self.cluster.kubectl(&["delete", "namespace", &self.name, "--wait=false"]) {
            eprintln!("{error:#}");
        }
    }
}
