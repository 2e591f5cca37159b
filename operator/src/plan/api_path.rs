//! Translation of paths in a sidecar's document to paths in its SnmpSubtree.

use crds::{SnmpSubtreeSpec, Source};

/// Endings of paths that differ between document and API. The longest come first.
const RENAMED: [(&str, &str); 15] = [
    (".authorization.basic.usernameFile", ".basicAuth.username"),
    (".authorization.basic.passwordFile", ".basicAuth.password"),
    (".authorization.bearer.credentialsFile", ".authorization.credentials"),
    (".tls.caFile", ".tlsConfig.ca"),
    (".tls.certFile", ".tlsConfig.cert"),
    (".tls.keyFile", ".tlsConfig.keySecret"),
    (".tls.serverName", ".tlsConfig.serverName"),
    (".tls", ".tlsConfig"),
    (".sql.dsnFile", ".sql.dsn"),
    (".staleAfterMs", ".staleAfter"),
    (".rateMs", ".rate"),
    (".value.onMissing", ".value.onMissingConstant"),
    (".write.range", ".range"),
    (".write.length", ".length"),
    (".write.pattern", ".pattern"),
];
/// Fields of a source that the API has in the part for its kind.
const TIMING: [(&str, &str); 2] = [(".intervalMs", "interval"), (".timeoutMs", "scrapeTimeout")];
/// Fields of an endpoint that the API has as one URL.
const URL: [&str; 4] = [".scheme", ".host", ".port", ".path"];

/// Returns the path of the field of `spec` from which the document's field `path` was translated.
pub(super) fn api_path(path: &str, spec: &SnmpSubtreeSpec) -> String {
    match path {
        "name" | "namespace" => return format!("metadata.{path}"),
        "module" => return "spec.mib.module".to_owned(),
        _ => {}
    }
    if let Some(rest) = path.strip_prefix("contexts") {
        return format!("spec.contextRefs{rest}");
    }
    let in_source = source(path, spec).and_then(|(index, source)| source_path(path, index, source));
    let renamed = || RENAMED.iter().find_map(|(from, to)| path.strip_suffix(from).map(|start| format!("{start}{to}")));
    format!("spec.{}", in_source.or_else(renamed).as_deref().unwrap_or(path))
}

/// Returns the source that contains the path, and its index.
fn source<'a>(path: &str, spec: &'a SnmpSubtreeSpec) -> Option<(usize, &'a Source)> {
    let (index, _) = path.strip_prefix("sources[")?.split_once(']')?;
    let index = index.parse().ok()?;
    Some((index, spec.sources.get(index)?))
}

/// Returns the path of a source's field whose name depends on the kind of the source.
fn source_path(path: &str, index: usize, source: &Source) -> Option<String> {
    let Source { prometheus, json, sql, system, config_map, .. } = source;
    let endpoint = prometheus.as_ref().map(|source| &source.endpoint).or(json.as_ref().map(|source| &source.endpoint));
    let kind = match () {
        () if prometheus.is_some() => "prometheus",
        () if json.is_some() => "json",
        () if sql.is_some() => "sql",
        () if system.is_some() => "system",
        () if config_map.is_some() => "configMap",
        () => return None,
    };
    let start = format!("sources[{index}]");
    if let Some((_, field)) = TIMING.iter().find(|(field, _)| path.strip_prefix(&start) == Some(field)) {
        return Some(format!("{start}.{kind}.{field}"));
    }
    let start = format!("{start}.{kind}");
    let field = path.strip_prefix(&start)?;
    if endpoint.is_some_and(|endpoint| endpoint.url.is_some()) && URL.contains(&field) {
        return Some(format!("{start}.url"));
    }
    // The keys are derived from the metrics of the objects. The user wrote only the name of the ConfigMap.
    (config_map.is_some() && field.starts_with(".keys")).then(|| format!("{start}.name"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// Returns a spec with a source of each kind, and one with a URL.
    fn spec() -> SnmpSubtreeSpec {
        serde_json::from_value(json!({
            "oid": "1.3.6.1.4.1.9.9.9.1",
            "selector": {},
            "sources": [
                {"name": "a", "prometheus": {"port": 80}},
                {"name": "b", "json": {"port": 80, "metrics": []}},
                {"name": "c", "sql": {"driver": "PostgreSQL", "dsn": {"name": "db", "key": "url"}, "queries": []}},
                {"name": "d", "system": {}},
                {"name": "e", "configMap": {"name": "settings"}},
                {"name": "f", "json": {"url": "https://api.example/", "metrics": []}},
            ],
        }))
        .unwrap()
    }

    #[rstest]
    #[case("name", "metadata.name")]
    #[case("contexts[1]", "spec.contextRefs[1]")]
    #[case("oid", "spec.oid")]
    #[case("tables[0].columns[2].value.metric", "spec.tables[0].columns[2].value.metric")]
    #[case("scalars[0].value.rateMs", "spec.scalars[0].value.rate")]
    #[case("scalars[0].value.onMissing", "spec.scalars[0].value.onMissingConstant")]
    #[case("sources[0].name", "spec.sources[0].name")]
    #[case("sources[0].timeoutMs", "spec.sources[0].prometheus.scrapeTimeout")]
    #[case("sources[1].timeoutMs", "spec.sources[1].json.scrapeTimeout")]
    #[case("sources[2].intervalMs", "spec.sources[2].sql.interval")]
    #[case("sources[3].intervalMs", "spec.sources[3].system.interval")]
    #[case("sources[3].staleAfterMs", "spec.sources[3].staleAfter")]
    #[case("sources[9].intervalMs", "spec.sources[9].intervalMs")]
    #[case("sources[0].prometheus.tls", "spec.sources[0].prometheus.tlsConfig")]
    #[case("sources[1].json.tls.caFile", "spec.sources[1].json.tlsConfig.ca")]
    #[case("sources[2].sql.tls.keyFile", "spec.sources[2].sql.tlsConfig.keySecret")]
    #[case("sources[2].sql.dsnFile", "spec.sources[2].sql.dsn")]
    #[case("sources[0].prometheus.authorization.basic.usernameFile", "spec.sources[0].prometheus.basicAuth.username")]
    #[case("sources[1].json.authorization.basic.passwordFile", "spec.sources[1].json.basicAuth.password")]
    #[case("sources[1].json.authorization.bearer.credentialsFile", "spec.sources[1].json.authorization.credentials")]
    #[case("sources[1].json.metrics[0].path", "spec.sources[1].json.metrics[0].path")]
    #[case("sources[1].json.path", "spec.sources[1].json.path")]
    #[case("sources[5].json.path", "spec.sources[5].json.url")]
    #[case("sources[5].json.host", "spec.sources[5].json.url")]
    #[case("sources[4].configMap.keys.log_level", "spec.sources[4].configMap.name")]
    #[case("scalars[1].write.range", "spec.scalars[1].range")]
    #[case("scalars[1].write.length", "spec.scalars[1].length")]
    #[case("scalars[1].write.pattern", "spec.scalars[1].pattern")]
    #[case("scalars[1].write.http.path", "spec.scalars[1].write.http.path")]
    #[case("scalars[1].write.http.tls", "spec.scalars[1].write.http.tlsConfig")]
    #[case(
        "scalars[1].write.http.authorization.bearer.credentialsFile",
        "spec.scalars[1].write.http.authorization.credentials"
    )]
    #[case("scalars[1].write.configMap.key", "spec.scalars[1].write.configMap.key")]
    fn paths_are_translated_to_the_field_that_the_user_wrote(#[case] document: &str, #[case] api: &str) {
        assert_eq!(api_path(document, &spec()), api);
    }
}
