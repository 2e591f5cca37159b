//! Certificates of the webhooks and of the master: a CA and what it signs, rotated so that no one notices.
//!
//! A new CA is first only published, in the bundle `ca.crt`; it signs when everyone who verifies has had time to read
//! that. The one before it stays in the bundle until all who serve have had time to show what the new one signed.
//! `state` decides, as a function of what the Secrets hold and the time; `maker` makes keys and certificates;
//! `driver` reads and writes.

mod ca_bundle;
mod carry_out;
mod driver;
mod lifetime;
mod maker;
mod pem;
mod read;
mod settling;
mod state;
mod stored;
mod write;

use std::time::Duration;

pub use driver::run;
pub use lifetime::{LifetimeError, parse_lifetime};

/// The Secret of the CA.
pub const CA_SECRET: &str = "snmp-operator-ca";
/// The Secret of the master's certificate.
pub const MASTER_SECRET: &str = "snmp-master-tls";
/// The Secret of the webhooks' certificate.
pub const WEBHOOK_SECRET: &str = crate::webhook::CERTIFICATE;
/// Both webhook configurations.
pub const WEBHOOK_CONFIGURATIONS: &str = "snmp-operator";

const WEBHOOK_SERVICE: &str = "snmp-operator-webhook";
/// The Service of writes, whose server shows the webhooks' certificate.
pub const WRITES_SERVICE: &str = "snmp-operator-writes";
const MASTER_SERVICE: &str = "snmp-master-agentx";

/// Who makes certificates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// The operator.
    #[default]
    Operator,
    /// Someone else, as cert-manager: the Secrets are there, and are only read.
    Given,
}

/// What certificates are made by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Who makes them.
    pub mode: Mode,
    /// The operator's own namespace.
    pub namespace: String,
    /// The cluster's domain, as `cluster.local`.
    pub cluster_domain: String,
    /// How long a CA holds; a new one is made when two thirds of that are over.
    pub ca_lifetime: Duration,
    /// How long what it signs holds, likewise.
    pub certificate_lifetime: Duration,
    /// How long until everyone has read a bundle, or shows a certificate, that was written: the kubelet's minute or two,
    /// and some more.
    pub settle: Duration,
    /// Further names and addresses of the webhooks' server, for API servers that reach it by a URL.
    pub webhook_names: Vec<String>,
}

impl Settings {
    /// The defaults: a CA holds for a year, what it signs for 90 days, and ten minutes settle.
    #[must_use]
    pub fn new(namespace: impl Into<String>) -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            mode: Mode::default(),
            namespace: namespace.into(),
            cluster_domain: "cluster.local".to_owned(),
            ca_lifetime: 365 * DAY,
            certificate_lifetime: 90 * DAY,
            settle: Duration::from_mins(10),
            webhook_names: Vec::new(),
        }
    }

    /// Whether rotations can come to their end before what they replace ends.
    ///
    /// # Errors
    /// A lifetime is too short; said with the flag's name.
    pub fn check(&self) -> Result<(), TooShort> {
        for (flag, lifetime, times) in
            [("--ca-lifetime", self.ca_lifetime, 9), ("--certificate-lifetime", self.certificate_lifetime, 6)]
        {
            let least = self.settle.saturating_mul(times).max(Duration::from_secs(10));
            if lifetime < least {
                return Err(TooShort { flag, lifetime, least, settle: self.settle });
            }
        }
        Ok(())
    }

    /// The names of a server's certificate.
    fn names(&self, server: Server) -> Vec<String> {
        let Self { namespace, cluster_domain, .. } = self;
        let of = |service: &str| {
            [format!("{service}.{namespace}.svc"), format!("{service}.{namespace}.svc.{cluster_domain}")]
        };
        match server {
            Server::Webhook => {
                let names = of(WEBHOOK_SERVICE).into_iter().chain(of(WRITES_SERVICE));
                names.chain(self.webhook_names.iter().cloned()).collect()
            }
            Server::Master => {
                let names = of(MASTER_SERVICE);
                let each = names.iter().map(|name| format!("*.{name}"));
                each.chain(names.clone()).collect()
            }
        }
    }
}

/// A lifetime in which no rotation fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flag} {lifetime:?} is too short: {least:?} at least, where {settle:?} is the time to settle")]
pub struct TooShort {
    flag: &'static str,
    lifetime: Duration,
    least: Duration,
    settle: Duration,
}

/// Who shows a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Server {
    Webhook,
    Master,
}

impl Server {
    const ALL: [Self; 2] = [Self::Webhook, Self::Master];

    fn secret(self) -> &'static str {
        match self {
            Self::Webhook => WEBHOOK_SECRET,
            Self::Master => MASTER_SECRET,
        }
    }
}

#[cfg(test)]
mod tests;
