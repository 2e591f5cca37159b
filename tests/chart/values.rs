//! The values of the chart: their schema and their documentation.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result};
use rstest::rstest;
use serde_json::Value as Json;

use crate::helm::{chart, lint, objects, template};

#[test]
fn the_chart_passes_lint() -> Result<()> {
    lint(&[])
}

#[rstest]
#[case("master.replcas=3", "'replcas'")]
#[case("replicas=3", "'replicas'")]
#[case("master.replicas=0", "/master/replicas")]
#[case("operator.replicas=two", "/operator/replicas")]
#[case("certificates.mode=Operator", "/certificates/mode")]
#[case("certificates.caLifetime=1y", "/certificates/caLifetime")]
#[case("certificates.mode=given", "/certificates/caBundle")]
#[case("certificates.caBundle=LS0t", "/certificates/caBundle")]
#[case("certificates.certManager.issuerRef.nam=a", "'nam'")]
#[case("image.tag=1.0:2", "/image/tag")]
#[case("image.digest=a", "'digest'")]
#[case("operator.image.digest=0000", "/operator/image/digest")]
#[case("master.service.type=ExternalName", "/master/service/type")]
#[case("master.service.nodePort=70000", "/master/service/nodePort")]
#[case("master.service.externalTrafficPolicy=local", "/master/service/externalTrafficPolicy")]
#[case("master.service.loadBalancerSourceRanges={192.0.2.1}", "/master/service/loadBalancerSourceRanges/0")]
#[case("watchNamespaces=acme", "/watchNamespaces")]
#[case("watchNamespaces={Acme}", "/watchNamespaces/0")]
#[case("watchNamespaces={acme,acme}", "/watchNamespaces")]
#[case("secrets.read=maybe", "/secrets/read")]
#[case("writes.enabled=maybe", "/writes/enabled")]
#[case("minimumArcs=0", "/minimumArcs")]
#[case("listenAddress=::", "/listenAddress")]
#[case("log.format=xml", "/log/format")]
#[case("operator.extraArgs={run}", "/operator/extraArgs/0")]
#[case("operator.podAnnotations.a=1", "/operator/podAnnotations/a")]
#[case("networkPolicy.snmpFrom[0].cidr=192.0.2.0/24", "'cidr'")]
#[case("serviceMonitor.interval=often", "/serviceMonitor/interval")]
fn a_wrong_value_is_refused_with_its_path(#[case] value: &str, #[case] path: &str) {
    let error = template(&["--set", value]).expect_err(value).to_string();
    assert!(error.contains(path), "{error}");
}

#[test]
fn an_older_kubernetes_is_refused() {
    let error = template(&["--kube-version", "1.29.9"]).expect_err("1.29").to_string();
    assert!(error.contains("1.30"), "{error}");
    template(&["--kube-version", "1.30.0"]).expect("1.30");
    template(&["--kube-version", "v1.31.4-gke.1372000"]).expect("a version with the suffix of a cloud provider");
}

/// Collects the paths of all values in `values.yaml` that contain no other values.
fn values(path: &str, value: &Json, paths: &mut BTreeSet<String>) {
    match value.as_object().filter(|fields| !fields.is_empty()) {
        Some(fields) => fields.iter().for_each(|(name, value)| values(&format!("{path}.{name}"), value, paths)),
        None => drop(paths.insert(path.to_owned())),
    }
}

/// Collects the paths of all properties in the schema. A property without properties of its own has one path.
fn properties(path: &str, schema: &Json, definitions: &Json, paths: &mut BTreeSet<String>) -> Result<()> {
    let schema = match schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
        Some(name) => &definitions[name],
        None => schema,
    };
    let Some(fields) = schema["properties"].as_object() else {
        paths.insert(path.to_owned());
        return Ok(());
    };
    assert_eq!(schema["additionalProperties"], false, "{path}");
    for (name, property) in fields {
        properties(&format!("{path}.{name}"), property, definitions, paths)?;
    }
    Ok(())
}

#[test]
fn the_schema_has_exactly_the_values_of_values_yaml() -> Result<()> {
    let yaml: Json = serde_saphyr::from_str(&fs::read_to_string(chart().join("values.yaml"))?)?;
    let schema: Json = serde_json::from_str(&fs::read_to_string(chart().join("values.schema.json"))?)?;
    let (mut existing, mut allowed) = (BTreeSet::new(), BTreeSet::new());
    values("", &yaml, &mut existing);
    properties("", &schema, &schema["definitions"], &mut allowed)?;
    // Helm adds `global` to subcharts. An empty value in values.yaml may contain any of the properties below it.
    allowed.remove(".global");
    let open = |path: &String| existing.iter().any(|value| path.starts_with(value) || value.starts_with(path.as_str()));
    let missing: Vec<_> = allowed.iter().filter(|path| !open(path)).collect();
    assert!(missing.is_empty(), "not in values.yaml: {missing:?}");
    let unknown: Vec<_> = existing
        .iter()
        .filter(|value| !allowed.iter().any(|path| path.starts_with(*value) || value.starts_with(path.as_str())))
        .collect();
    assert!(unknown.is_empty(), "not in the schema: {unknown:?}");
    Ok(())
}

#[test]
fn every_value_is_documented() -> Result<()> {
    let yaml: Json = serde_saphyr::from_str(&fs::read_to_string(chart().join("values.yaml"))?)?;
    let page = fs::read_to_string(harness::repository().join("docs/values.md"))?;
    let mut existing = BTreeSet::new();
    values("", &yaml, &mut existing);
    for path in existing {
        let name = path.trim_start_matches('.');
        let row = |line: &&str| line.starts_with("| `") && name.starts_with(line[3..].split('`').next().unwrap_or("?"));
        let row = page.lines().find(row).with_context(|| format!("docs/values.md has no row for {name}"))?;
        let description = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        assert!(!description.trim().is_empty(), "values.yaml has no description of {name}");
    }
    Ok(())
}

#[test]
fn the_namespace_of_the_release_is_used_everywhere() -> Result<()> {
    let text = template(&["--namespace", "elsewhere", "--set", "crds.enabled=false"])?;
    assert!(!text.contains("snmp-system"), "a template contains a fixed namespace");
    assert!(!objects(&[])?.is_empty());
    Ok(())
}
