//! Certificates of the webhooks and the masters: a CA, the certificates it signs, and their rotation without interruption.
//!
//! A new CA is first published in the bundle `ca.crt`. It signs only when all clients have had time to read the bundle. The
//! previous CA stays in the bundle until all servers have had time to load a certificate of the new one. `state` decides the
//! next step from the Secrets and the time, `issue` creates keys and certificates, and `driver` reads and writes Secrets.

mod ca_bundle;
mod carry_out;
mod current;
mod driver;
mod issue;
mod lifetime;
mod pem;
mod read;
mod settling;
mod state;
mod stored;
mod write;

use std::time::Duration;

pub(crate) use current::{CurrentCertificate, follow};
pub(crate) use driver::run;
pub(crate) use lifetime::parse_lifetime;

/// The name of the Secret with the CA.
pub(crate) const CA_SECRET: &str = "snmp-operator-ca";
/// The name of the Secret with the masters' certificate.
pub(crate) const MASTER_SECRET: &str = "snmp-master-tls";
/// The name of the Secret with the certificate of the webhooks and of the server for writes.
pub(crate) const WEBHOOK_SECRET: &str = "snmp-operator-webhook-tls";
/// The name of both webhook configurations.
pub(crate) const WEBHOOK_CONFIGURATIONS: &str = "snmp-operator";

const WEBHOOK_SERVICE: &str = "snmp-operator-webhook";
/// The name of the Service for writes. Its server uses the webhooks' certificate.
pub(crate) const WRITES_SERVICE: &str = "snmp-operator-writes";
const MASTER_SERVICE: &str = "snmp-master-agentx";

/// Who issues the certificates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// The operator issues and rotates them.
    #[default]
    Operator,
    /// Another program, for example cert-manager, writes the Secrets. The operator only reads them.
    Given,
}

/// The settings of certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Who issues the certificates.
    pub(crate) mode: Mode,
    /// The operator's own namespace.
    pub(crate) namespace: String,
    /// The DNS domain of the cluster, for example `cluster.local`.
    pub(crate) cluster_domain: String,
    /// The lifetime of a CA. It is replaced after two thirds of this time.
    pub(crate) ca_lifetime: Duration,
    /// The lifetime of the certificates that it signs. They are replaced after two thirds of this time.
    pub(crate) certificate_lifetime: Duration,
    /// The time until all programs use a bundle or certificate after it was written. The kubelet needs up to two minutes.
    pub(crate) settle: Duration,
    /// Additional names and addresses of the webhooks' server, for API servers that reach it by a URL.
    pub(crate) webhook_names: Vec<String>,
}

impl Settings {
    /// Checks that every rotation can be completed before the replaced certificate expires.
    ///
    /// # Errors
    /// Returns an error if a lifetime is too short.
    pub(crate) fn check(&self) -> Result<(), LifetimeTooShortError> {
        for (flag, lifetime, times) in
            [("--ca-lifetime", self.ca_lifetime, 9), ("--certificate-lifetime", self.certificate_lifetime, 6)]
        {
            let least = self.settle.saturating_mul(times).max(Duration::from_secs(10));
            if lifetime < least {
                return Err(LifetimeTooShortError { flag, lifetime, least, settle: self.settle });
            }
        }
        Ok(())
    }

    /// Returns the names in the certificate of a server.
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

/// A lifetime is too short for a rotation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flag} {lifetime:?} is too short: with --certificate-settle {settle:?} it must be at least {least:?}")]
pub(crate) struct LifetimeTooShortError {
    flag: &'static str,
    lifetime: Duration,
    least: Duration,
    settle: Duration,
}

/// A server with a certificate.
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
