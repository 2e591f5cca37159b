//! The operator as a process outside a control plane, with the privileges that it has in a cluster.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use harness::{Cluster, Memory, Process, Sandbox, free_port, http, repository};
use serde_json::{Value, json};

use crate::{peers::contestants::Bench, peers::tenants::SYSTEM};

/// The metric of the operator's requests.
const REQUESTS: &str = "snmp_operator_api_requests_total";
/// The resources of the operator. Nobody else writes them in an otherwise idle control plane.
const RESOURCES: [&str; 6] = ["snmpsubtrees", "snmpcontexts", "snmptraptargets", "configmaps", "secrets", "pods"];
/// The ticks per second in which Linux reports the times of processes to programs.
const TICKS: f64 = 100.0;
const POLL: Duration = Duration::from_millis(25);

/// Creates the CRDs, the operator's namespace and its ServiceAccount. Returns a kubeconfig for that ServiceAccount.
///
/// # Errors
/// Returns an error if the API server refuses an object.
pub fn prepare(cluster: &Cluster, sandbox: &Sandbox) -> Result<PathBuf> {
    let definitions = repository().join("crds");
    let definitions = definitions.to_str().context("the path of the CRDs is not UTF-8")?;
    cluster.kubectl(&["apply", "--server-side", "--filename", definitions])?;
    let names = ["snmpsubtrees", "snmpcontexts", "snmptraptargets"].map(|name| format!("crd/{name}.snmp-operator.dev"));
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    cluster.kubectl(&[&["wait", "--for=condition=Established", "--timeout=60s"], &*names].concat())?;
    cluster.kubectl(&["create", "namespace", SYSTEM])?;
    let privileges = fs::read_to_string(repository().join("tests/controllers/privileges.yaml"))?;
    cluster.apply(&privileges.replace("SYSTEM", SYSTEM))?;
    let create = ["create", "token", "snmp-operator", "--namespace", SYSTEM, "--duration=3h"];
    let token = cluster.kubectl(&create)?;
    let mut kubeconfig: Value = serde_json::from_slice(&fs::read(cluster.kubeconfig())?)?;
    *kubeconfig.pointer_mut("/users/0/user").context("no user in the kubeconfig")? = json!({"token": token.trim()});
    sandbox.write("kubeconfig", kubeconfig.to_string())
}

/// A running operator.
#[derive(Debug)]
pub struct Operator {
    process: Process,
    port: u16,
    started: Instant,
}

/// The numbers of the operator's requests, from its metrics, without those for the Lease.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Requests {
    /// Writes of planned objects and of statuses.
    pub writes: f64,
    /// Events.
    pub events: f64,
}

impl Operator {
    /// Starts the operator.
    ///
    /// # Errors
    /// Returns an error if it cannot be started.
    pub fn start(bench: &Bench, sandbox: &Sandbox, kubeconfig: &PathBuf) -> Result<Self> {
        let program = bench.programs.in_cluster.join("snmp-operator");
        ensure!(program.is_file(), "{} is missing: run `make bench`", program.display());
        let port = free_port()?;
        let mut command = Command::new(program);
        command
            .args(["run", "--namespace", SYSTEM, "--identity", "bench", "--listen", &format!("127.0.0.1:{port}")])
            .args(["--master-token", "/nowhere/token", "--webhook-listen", "127.0.0.1:0"])
            .env("KUBECONFIG", kubeconfig);
        let started = Instant::now();
        Ok(Self { process: sandbox.start("operator", &command)?, port, started })
    }

    /// Returns when it was started.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Returns its memory use.
    ///
    /// # Errors
    /// Returns an error if it has ended.
    pub fn memory(&self) -> Result<Memory> {
        Memory::of(self.process.id())
    }

    /// Returns its processor time in seconds.
    ///
    /// # Errors
    /// Returns an error if it has ended.
    pub fn processor_seconds(&self) -> Result<f64> {
        processor_seconds(&fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?)
    }

    /// Returns the sum of the samples of a metric whose series contain all of these texts.
    ///
    /// # Errors
    /// Returns an error if it does not respond.
    pub fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        sum(&http::get(self.port, "/metrics")?, name, |line| labels.iter().all(|label| line.contains(label)))
    }

    /// Returns the numbers of its requests so far.
    ///
    /// # Errors
    /// Returns an error if it does not respond.
    pub fn requests(&self) -> Result<Requests> {
        let page = http::get(self.port, "/metrics")?;
        let is_event = |line: &str| line.contains("kind=\"Event\"");
        let is_write = |line: &str| !is_event(line) && !line.contains("kind=\"Lease\"");
        Ok(Requests { writes: sum(&page, REQUESTS, is_write)?, events: sum(&page, REQUESTS, is_event)? })
    }

    /// Waits until it has sent no request for the given time and `done` succeeds. Returns when it last wrote, and the numbers
    /// of its requests.
    ///
    /// # Errors
    /// Returns an error if it has ended, or the error of `done` if that still fails after `timeout`.
    pub fn settle(
        &mut self,
        quiet: Duration,
        timeout: Duration,
        mut done: impl FnMut() -> Result<()>,
    ) -> Result<(Instant, Requests)> {
        let begun = Instant::now();
        let (mut last, mut last_write) = (begun, begun);
        let mut seen = Requests { writes: -1.0, events: -1.0 };
        loop {
            self.process.running()?;
            // It takes some time until it listens.
            if let Ok(now) = self.requests() {
                if now != seen {
                    last = Instant::now();
                }
                if (now.writes - seen.writes).abs() > 0.5 {
                    last_write = Instant::now();
                }
                seen = now;
            }
            if last.elapsed() >= quiet && seen.writes >= 0.0 {
                match done() {
                    Ok(()) => return Ok((last_write, seen)),
                    Err(error) if begun.elapsed() > timeout => return Err(error),
                    Err(_) => last = Instant::now(),
                }
            }
            ensure!(begun.elapsed() < 2 * timeout, "the operator does not stop sending requests: {seen:?}");
            thread::sleep(POLL);
        }
    }
}

/// Returns how many requests for the operator's resources the API server has answered, except watches, lists, and the
/// subtrees that kubectl applies.
///
/// # Errors
/// Returns an error if it does not respond.
pub fn answered(cluster: &Cluster) -> Result<f64> {
    let page = cluster.kubectl(&["get", "--raw", "/metrics"])?;
    let is_kubectl = |line: &str| {
        let named = ["resource=\"snmpsubtrees\"", "subresource=\"\""].iter().all(|label| line.contains(label));
        named && ["verb=\"APPLY\"", "verb=\"GET\""].iter().any(|verb| line.contains(verb))
    };
    sum(&page, "apiserver_request_total{", |line| {
        let concerns = RESOURCES.iter().any(|resource| line.contains(&format!("resource=\"{resource}\"")));
        let is_watch_or_list = ["verb=\"WATCH\"", "verb=\"LIST\""].iter().any(|verb| line.contains(verb));
        concerns && !is_watch_or_list && !is_kubectl(line)
    })
}

/// Returns the user and system time in `/proc/PID/stat` (fields 14 and 15 in proc(5)), in seconds.
fn processor_seconds(stat: &str) -> Result<f64> {
    // The second field is the name of the program, which may contain spaces.
    let (_, fields) = stat.rsplit_once(')').context("no name")?;
    let mut times = fields.split_whitespace().skip(11);
    let mut next = || -> Result<f64> { Ok(times.next().context("no time")?.parse()?) };
    Ok((next()? + next()?) / TICKS)
}

/// Returns the sum of the samples whose line begins with this and for which `counts` is true.
fn sum(page: &str, name: &str, counts: impl Fn(&str) -> bool) -> Result<f64> {
    let lines = page.lines().filter(|line| line.starts_with(name) && counts(line));
    let mut sum = 0.0;
    for line in lines {
        sum += line.rsplit(' ').next().unwrap_or_default().parse::<f64>().with_context(|| line.to_owned())?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_the_sum_of_user_and_system_time() -> Result<()> {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 1 0 99";
        assert!((processor_seconds(stat)? - 2.0).abs() < f64::EPSILON);
        Ok(())
    }

    #[test]
    fn only_selected_samples_are_summed() -> Result<()> {
        let page =
            "# HELP a_total b\na_total{kind=\"Secret\"} 2\na_total{kind=\"Lease\"} 40\nb_total{kind=\"Secret\"} 9\n";
        assert!((sum(page, "a_total", |_| true)? - 42.0).abs() < f64::EPSILON);
        assert!((sum(page, "a_total", |line| line.contains("Secret"))? - 2.0).abs() < f64::EPSILON);
        Ok(())
    }
}
