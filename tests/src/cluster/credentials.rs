//! The credentials of the cluster: a certificate authority, certificates, keys, and a kubeconfig for each user.

use std::{fmt::Write as _, fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;

use super::{
    files::ClusterFiles,
    network::{API_SERVICE, NODE, Network},
};

/// The users, each with its file name, its name for the API server, and its group.
const USERS: [(&str, &str, &str); 6] = [
    ("admin", "admin", "system:masters"),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("kubelet", "system:node:node", "system:nodes"),
    ("proxy", "system:kube-proxy", ""),
    ("dns", "system:dns", ""),
];

/// Creates all credentials.
pub(super) fn make(files: &ClusterFiles, network: &Network) -> Result<()> {
    let mut params = CertificateParams::new([])?;
    params.distinguished_name.push(DnType::CommonName, "cluster");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    write(&files.credential("authority.crt"), &authority.pem())?;
    write(&files.credential("authority.key"), &authority.key().serialize_pem())?;

    let issue =
        |file: &str, name: &str, group: &str, hosts: &[String], purpose: ExtendedKeyUsagePurpose| -> Result<()> {
            let mut params = CertificateParams::new(hosts)?;
            params.distinguished_name.push(DnType::CommonName, name);
            params.distinguished_name.push(DnType::OrganizationName, group);
            params.extended_key_usages = vec![purpose];
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &authority)?;
            write(&files.credential(&format!("{file}.crt")), &certificate.pem())?;
            write(&files.credential(&format!("{file}.key")), &key.serialize_pem())
        };
    let names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];
    let mut hosts: Vec<String> =
        names.into_iter().chain(["localhost", "127.0.0.1", NODE, API_SERVICE]).map(str::to_owned).collect();
    hosts.push(network.node_address_for_host());
    issue("api-server", "kube-apiserver", "kubernetes", &hosts, ExtendedKeyUsagePurpose::ServerAuth)?;
    issue("kubelet-client", "kube-apiserver", "system:masters", &[], ExtendedKeyUsagePurpose::ClientAuth)?;

    let service_accounts = KeyPair::generate()?;
    write(&files.credential("service-accounts.key"), &service_accounts.serialize_pem())?;
    write(&files.credential("service-accounts.pub"), &service_accounts.public_key_pem())?;

    let mut tokens = String::new();
    for (file, name, group) in USERS {
        let token = random_token()?;
        let groups = if group.is_empty() { String::new() } else { format!(",\"{group}\"") };
        // Writing to a string cannot fail.
        let _ = writeln!(tokens, "{token},{name},{name}{groups}");
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "cluster", "cluster": {
                "server": network.api_server(),
                "certificate-authority": files.credential("authority.crt"),
            } }],
            "users": [{ "name": file, "user": { "token": token } }],
            "contexts": [{ "name": "cluster", "context": { "cluster": "cluster", "user": file } }],
            "current-context": "cluster",
        });
        write(&files.kubeconfig(file), &serde_json::to_string_pretty(&kubeconfig)?)?;
    }
    write(&files.credential("tokens.csv"), &tokens)
}

fn random_token() -> Result<String> {
    let word = || getrandom::u64().context("the kernel returned no random octets");
    Ok(format!("{:016x}{:016x}", word()?, word()?))
}

/// Writes a file that only its owner can read.
fn write(file: &Path, content: &str) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut opened = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    opened.write_all(content.as_bytes()).with_context(|| file.display().to_string())
}
