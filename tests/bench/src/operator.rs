//! The operator in a control plane, as a process beside it, with the rights that it has in a cluster.

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

use crate::{contestants::Bench, tenants::SYSTEM};

/// Requests of the operator, by its own count.
const REQUESTS: &str = "snmp_operator_api_requests_total";
/// What the operator has to do with; it alone writes them while nothing else is done in the control plane.
const RESOURCES: [&str; 6] = ["snmpsubtrees", "snmpcontexts", "snmptraptargets", "configmaps", "secrets", "pods"];
/// Linux counts processes' times in hundredths of a second for programs, whatever it does for itself.
const TICKS: f64 = 100.0;
const POLL: Duration = Duration::from_millis(25);

/// Makes the definitions, the operator's namespace and its ServiceAccount, and gives a kubeconfig of that.
///
/// # Errors
/// Where something is refused.
pub fn prepare(cluster: &Cluster, sandbox: &Sandbox) -> Result<PathBuf> {
    let definitions = repository().join("crds");
    let definitions = definitions.to_str().context("a path that is no text")?;
    cluster.kubectl(&["apply", "--server-side", "--filename", definitions])?;
    let names = ["snmpsubtrees", "snmpcontexts", "snmptraptargets"].map(|name| format!("crd/{name}.snmp-operator.dev"));
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    cluster.kubectl(&[&["wait", "--for=condition=Established", "--timeout=60s"], &*names].concat())?;
    cluster.kubectl(&["create", "namespace", SYSTEM])?;
    let rights = fs::read_to_string(repository().join("tests/controllers/rights.yaml"))?;
    cluster.apply(&rights.replace("SYSTEM", SYSTEM))?;
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

/// How many requests there were, by the operator's own count. Those about the Lease are none of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Requests {
    /// Writes of what it plans, and of statuses.
    pub writes: f64,
    /// Events.
    pub events: f64,
}

impl Operator {
    /// Starts it.
    ///
    /// # Errors
    /// Where it cannot be started.
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

    /// When it was started.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Its memory.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn memory(&self) -> Result<Memory> {
        Memory::of(self.process.id())
    }

    /// How much time of processors it has had, in seconds.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn processor_seconds(&self) -> Result<f64> {
        processor_seconds(&fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?)
    }

    /// The sum of the samples of a metric whose labels contain all of these texts.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        sum(&http::get(self.port, "/metrics")?, name, |line| labels.iter().all(|label| line.contains(label)))
    }

    /// The requests until now.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn requests(&self) -> Result<Requests> {
        let page = http::get(self.port, "/metrics")?;
        let is_event = |line: &str| line.contains("kind=\"Event\"");
        let is_write = |line: &str| !is_event(line) && !line.contains("kind=\"Lease\"");
        Ok(Requests { writes: sum(&page, REQUESTS, is_write)?, events: sum(&page, REQUESTS, is_event)? })
    }

    /// Waits until it has asked for nothing for so long, and `done` agrees, and gives when it last wrote, and how many
    /// requests there were.
    ///
    /// # Errors
    /// Where it has ended, or is not done after `patience`: what `done` misses.
    pub fn settle(
        &mut self,
        quiet: Duration,
        patience: Duration,
        mut done: impl FnMut() -> Result<()>,
    ) -> Result<(Instant, Requests)> {
        let begun = Instant::now();
        let (mut last, mut last_write) = (begun, begun);
        let mut seen = Requests { writes: -1.0, events: -1.0 };
        loop {
            self.process.running()?;
            // It does not listen from its first moment on.
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
                    Err(error) if begun.elapsed() > patience => return Err(error),
                    Err(_) => last = Instant::now(),
                }
            }
            ensure!(begun.elapsed() < 2 * patience, "the operator makes requests without end: {seen:?}");
            thread::sleep(POLL);
        }
    }
}

/// How many requests about the operator's resources the API server has answered, but for watches, lists and what kubectl
/// applies of subtrees.
///
/// # Errors
/// Where it does not answer.
pub fn answered(cluster: &Cluster) -> Result<f64> {
    let page = cluster.kubectl(&["get", "--raw", "/metrics"])?;
    let is_kubectl = |line: &str| {
        let named = ["resource=\"snmpsubtrees\"", "subresource=\"\""].iter().all(|label| line.contains(label));
        named && ["verb=\"APPLY\"", "verb=\"GET\""].iter().any(|verb| line.contains(verb))
    };
    sum(&page, "apiserver_request_total{", |line| {
        let concerns = RESOURCES.iter().any(|resource| line.contains(&format!("resource=\"{resource}\"")));
        let is_told = ["verb=\"WATCH\"", "verb=\"LIST\""].iter().any(|verb| line.contains(verb));
        concerns && !is_told && !is_kubectl(line)
    })
}

/// User and system time by `/proc/PID/stat` (proc(5): fields 14 and 15), in seconds.
fn processor_seconds(stat: &str) -> Result<f64> {
    // The program's name before it may have spaces in it.
    let (_, fields) = stat.rsplit_once(')').context("no name")?;
    let mut times = fields.split_whitespace().skip(11);
    let mut next = || -> Result<f64> { Ok(times.next().context("no time")?.parse()?) };
    Ok((next()? + next()?) / TICKS)
}

/// The sum of the samples whose line begins with this, and of which `counts` is true.
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
    fn time_of_processors_is_that_of_program_and_kernel() -> Result<()> {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 1 0 99";
        assert!((processor_seconds(stat)? - 2.0).abs() < f64::EPSILON);
        Ok(())
    }

    #[test]
    fn samples_are_summed_by_what_their_lines_contain() -> Result<()> {
        let page =
            "# HELP a_total b\na_total{kind=\"Secret\"} 2\na_total{kind=\"Lease\"} 40\nb_total{kind=\"Secret\"} 9\n";
        assert!((sum(page, "a_total", |_| true)? - 42.0).abs() < f64::EPSILON);
        assert!((sum(page, "a_total", |line| line.contains("Secret"))? - 2.0).abs() < f64::EPSILON);
        Ok(())
    }
}
