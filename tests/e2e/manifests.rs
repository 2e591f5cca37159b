//! The manifests that the tests apply.

use crate::installation::SYSTEM;

/// The passphrases of each tenant's SNMPv3 user.
pub(crate) const AUTH_PASSPHRASE: &str = "tenant-auth-passphrase";
pub(crate) const PRIV_PASSPHRASE: &str = "tenant-priv-passphrase";

/// Returns the SnmpContext of a tenant, with a community that reads, a user that also writes, and their Secrets.
pub(crate) fn context(tenant: &str, base: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Secret
metadata: {{name: {tenant}-ro, namespace: {SYSTEM}}}
stringData: {{community: {tenant}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: {tenant}-noc, namespace: {SYSTEM}}}
stringData:
  authProtocol: SHA-256
  authPassphrase: {AUTH_PASSPHRASE}
  privProtocol: AES-128
  privPassphrase: {PRIV_PASSPHRASE}
---
apiVersion: snmp-operator.dev/v1alpha1
kind: SnmpContext
metadata: {{name: {tenant}}}
spec:
  allowedNamespaces: {{from: Selector, selector: {{matchLabels: {{kubernetes.io/metadata.name: {tenant}}}}}}}
  allowedSubtrees: [{base}]
  communities: [{{secretRef: {{name: {tenant}-ro, key: community}}}}]
  users: [{{name: {tenant}-noc, secretRef: {{name: {tenant}-noc}}, access: ReadWrite}}]
  system: {{name: {tenant}}}
"
    )
}

/// Returns a subtree with the ConfigMap `settings` as its source, and these scalars.
pub(crate) fn settings_subtree(base: &str, context: &str, scalars: &str) -> String {
    format!(
        "
apiVersion: snmp-operator.dev/v1alpha1
kind: SnmpSubtree
metadata: {{name: settings}}
spec:
  oid: {base}
  contextRefs: [{context}]
  selector: {{matchLabels: {{app: web}}}}
  sources:
  - {{name: settings, configMap: {{name: settings}}}}
  scalars:{scalars}
"
    )
}

/// Returns a readable and writable ConfigMap with this data.
pub(crate) fn writable_config_map(name: &str, data: &str) -> String {
    format!(
        "
apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  labels: {{snmp-operator.dev/readable: 'true', snmp-operator.dev/writable: 'true'}}
data: {data}
---"
    )
}

/// Returns the pod template of the application: node_exporter without any privilege.
fn pod(containers_name: &str, indent: usize) -> String {
    let template = format!(
        "
securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
automountServiceAccountToken: false
terminationGracePeriodSeconds: 2
containers:
- name: {containers_name}
  image: localhost/test/node-exporter:dev
  args: [--collector.disable-defaults, --collector.time, --collector.loadavg, --collector.uname]
  ports: [{{name: metrics, containerPort: 9100}}]
  readinessProbe: {{httpGet: {{path: /metrics, port: metrics}}, periodSeconds: 1, timeoutSeconds: 5}}
  securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
"
    );
    template.replace('\n', &format!("\n{}", " ".repeat(indent)))
}

/// Returns the application: a Deployment with this many replicas.
pub(crate) fn application(replicas: usize) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:{}
",
        pod("exporter", 6)
    )
}

/// Returns a single pod of the application with this name.
pub(crate) fn lone_pod(name: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: web}}}}
spec:{}
",
        pod("exporter", 2)
    )
}

/// Returns a subtree of the application with these objects.
fn subtree_of(name: &str, base: &str, context: &str, objects: &str) -> String {
    format!(
        "
apiVersion: snmp-operator.dev/v1alpha1
kind: SnmpSubtree
metadata: {{name: {name}}}
spec:
  oid: {base}
  contextRefs: [{context}]
  selector: {{matchLabels: {{app: web}}}}
  sources:
  - name: app
    prometheus: {{port: metrics, interval: 1s, scrapeTimeout: 1s}}
{objects}"
    )
}

/// Returns a subtree of the application: `1` is its clock, `2` the name of its context, and `10` a table with a row for each
/// pod.
pub(crate) fn subtree(name: &str, base: &str, context: &str) -> String {
    let objects = format!(
        "  scalars:
  - {{name: webTime, oid: '1', syntax: Gauge32, value: {{source: app, metric: node_time_seconds, round: Floor}}}}
  - {{name: webTenant, oid: '2', syntax: DisplayString, value: {{constant: {context}}}}}
  tables:
  - name: podTable
    oid: '10'
    index: [{{name: podIndex, oid: '1', pod: {{}}}}]
    columns:
    - {{name: podTime, oid: '2', syntax: Gauge32, value: {{source: app, metric: node_time_seconds, round: Floor}}}}
"
    );
    subtree_of(name, base, context, &objects)
}

/// Returns a subtree with one constant text.
pub(crate) fn constant_subtree(name: &str, base: &str, context: &str, text: &str) -> String {
    let objects =
        format!("  scalars:\n  - {{name: theText, oid: '1', syntax: DisplayString, value: {{constant: {text}}}}}\n");
    subtree_of(name, base, context, &objects)
}
