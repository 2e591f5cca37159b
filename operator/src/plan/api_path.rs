//! Paths in a sidecar's document as paths in the SnmpSubtree that it was made of.

/// Where the two differ: what a path ends in, or has in it before another field. Longest first.
const RENAMED: [(&str, &str); 13] = [
    (".prometheus.authorization.basic.usernameFile", ".prometheus.basicAuth.username"),
    (".prometheus.authorization.basic.passwordFile", ".prometheus.basicAuth.password"),
    (".authorization.bearer.credentialsFile", ".authorization.credentials"),
    (".tls.caFile", ".tlsConfig.ca"),
    (".tls.certFile", ".tlsConfig.cert"),
    (".tls.keyFile", ".tlsConfig.keySecret"),
    (".tls.serverName", ".tlsConfig.serverName"),
    (".tls", ".tlsConfig"),
    (".intervalMs", ".prometheus.interval"),
    (".timeoutMs", ".prometheus.scrapeTimeout"),
    (".staleAfterMs", ".staleAfter"),
    (".rateMs", ".rate"),
    (".value.onMissing", ".value.onMissingConstant"),
];

/// The field of an SnmpSubtree that the document's field `path` was made of.
pub(super) fn api_path(path: &str) -> String {
    match path {
        "name" | "namespace" => return format!("metadata.{path}"),
        "module" => return "spec.mib.module".to_owned(),
        _ => {}
    }
    if let Some(rest) = path.strip_prefix("contexts") {
        return format!("spec.contextRefs{rest}");
    }
    let renamed = RENAMED.iter().find_map(|(from, to)| path.strip_suffix(from).map(|start| format!("{start}{to}")));
    format!("spec.{}", renamed.as_deref().unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_the_field_that_the_user_wrote() {
        let cases = [
            ("name", "metadata.name"),
            ("contexts[1]", "spec.contextRefs[1]"),
            ("oid", "spec.oid"),
            ("tables[0].columns[2].value.metric", "spec.tables[0].columns[2].value.metric"),
            ("scalars[0].value.rateMs", "spec.scalars[0].value.rate"),
            ("scalars[0].value.onMissing", "spec.scalars[0].value.onMissingConstant"),
            ("sources[0].timeoutMs", "spec.sources[0].prometheus.scrapeTimeout"),
            ("sources[0].prometheus.tls", "spec.sources[0].prometheus.tlsConfig"),
            ("sources[0].prometheus.tls.caFile", "spec.sources[0].prometheus.tlsConfig.ca"),
            ("sources[0].prometheus.authorization.basic.usernameFile", "spec.sources[0].prometheus.basicAuth.username"),
        ];
        for (document, api) in cases {
            assert_eq!(api_path(document), api);
        }
    }
}
