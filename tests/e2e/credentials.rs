//! Credentials of sources: a changed Secret takes effect in running pods.

use anyhow::{Result, ensure};
use harness::Cluster;

use crate::{
    constant_walk::ConstantWalk,
    tenant::{Tenant, new_base, value_at},
};

/// Returns an application that requires a bearer token and shows its length. It reads the token file for each request.
fn application(token: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{name: api-token, labels: {{snmp-operator.dev/readable: "true"}}}}
stringData: {{token: {token}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: application}}
data:
  serve: |
    cr=$(printf '\r')
    wanted=$(cat /etc/api/token)
    while read -r line; do
      line=${{line%"$cr"}}
      [ -z "$line" ] && break
      case $line in [Aa]uthorization:*) seen=${{line#*: }} ;; esac
    done
    status='401 Unauthorized' page=''
    [ "$seen" = "Bearer $wanted" ] && status='200 OK' page="token_length ${{#wanted}}"
    printf 'HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n\r\n%s\n' "$status" "$page"
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
      terminationGracePeriodSeconds: 2
      containers:
      - name: api
        image: localhost/test/tools:dev
        command: [/usr/bin/socat, 'TCP-LISTEN:8080,fork,reuseaddr', 'EXEC:/bin/sh /etc/application/serve']
        securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
        volumeMounts:
        - {{name: application, mountPath: /etc/application}}
        - {{name: api, mountPath: /etc/api}}
      volumes:
      - {{name: application, configMap: {{name: application}}}}
      - {{name: api, secret: {{secretName: api-token}}}}
"#
    )
}

fn subtree(base: &str, context: &str) -> String {
    format!(
        "
apiVersion: snmp-operator.dev/v1alpha1
kind: SnmpSubtree
metadata: {{name: web}}
spec:
  oid: {base}
  contextRefs: [{context}]
  selector: {{matchLabels: {{app: web}}}}
  sources:
  - name: api
    staleAfter: 2m
    prometheus: {{port: 8080, interval: 1s, scrapeTimeout: 1s, authorization: {{credentials: {{name: api-token, key: token}}}}}}
  scalars:
  - {{name: tokenLength, oid: '1', syntax: Gauge32, value: {{source: api, metric: token_length}}}}
"
    )
}

#[test]
fn a_rotated_token_is_used_without_interruption() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "credentials", &base)?;
    tenant.apply(&subtree(&base, tenant.name()))?;
    tenant.namespace.apply(&application("first"))?;
    cluster.wait_for_rollout(tenant.name(), "deployment/web")?;
    let oid = format!("{base}.1.0");
    let shows = |length: i128| {
        tenant.wait_for_walk(&format!("a token of {length} octets"), &base, |rows| {
            value_at(rows, &oid).is_ok_and(|row| row.number().is_ok_and(|seen| seen == length))
        })
    };
    shows(5)?;
    tenant.wait_for_condition("web", "ResolvedRefs", "True")?;
    let container_ids = tenant.container_ids()?;
    let walk = ConstantWalk::start(tenant.v2c(), &base, |rows| rows.len() == 1);
    let patch = r#"{"stringData": {"token": "the-second"}}"#;
    tenant.namespace.kubectl(&["patch", "secret", "api-token", "--patch", patch])?;
    shows(10)?;
    walk.stop().check()?;
    ensure!(tenant.container_ids()? == container_ids, "pods or containers were restarted");
    Ok(())
}
