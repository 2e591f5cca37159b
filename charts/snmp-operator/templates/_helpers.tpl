{{/* Names are fixed, because programs refer to them and a cluster has only one installation. */}}

{{- define "snmp-operator.labels" -}}
{{ include "snmp-operator.selector" . }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Labels of selectors. They can never change, so there are as few as possible. */}}
{{- define "snmp-operator.selector" -}}
app.kubernetes.io/name: snmp-operator
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "snmp-operator.image" -}}
{{- $tag := .image.tag -}}
{{- if not (or $tag .image.digest) }}{{ $tag = .root.Values.image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- with .root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ .image.repository }}
{{- with $tag }}:{{ . }}{{ end }}
{{- with .image.digest }}@{{ . }}{{ end }}
{{- end -}}

{{/* Security context of the Pod Security Standard `restricted`, with a read-only root file system. */}}
{{- define "snmp-operator.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
{{- end -}}

{{- define "snmp-operator.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "snmp-operator.probes" -}}
livenessProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 10
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 2
{{- end -}}

{{- define "snmp-operator.podMetadata" -}}
labels:
  {{- include "snmp-operator.labels" (dict "root" .root "component" .component) | nindent 2 }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Placement of pods: as configured, or replicas preferably on different nodes and zones. */}}
{{- define "snmp-operator.placement" -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
affinity:
{{- if .values.affinity }}
  {{- toYaml .values.affinity | nindent 2 }}
{{- else }}
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "snmp-operator.selector" . | nindent 12 }}
{{- end }}
topologySpreadConstraints:
{{- if .values.topologySpreadConstraints }}
{{- toYaml .values.topologySpreadConstraints | nindent 0 }}
{{- else }}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "snmp-operator.selector" . | nindent 6 }}
{{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Namespaces whose pods never get a sidecar. */}}
{{- define "snmp-operator.excludedNamespaces" -}}
{{- concat (list "kube-system" .Release.Namespace) .Values.webhook.excludedNamespaces | uniq | toJson -}}
{{- end -}}

{{/* DNS names of the master's AgentX listener: the Service's, and each replica's. */}}
{{- define "snmp-operator.masterNames" -}}
{{- $service := printf "snmp-master-agentx.%s.svc" .Release.Namespace -}}
{{- $full := printf "%s.%s" $service .Values.clusterDomain -}}
{{- list $service $full (printf "*.%s" $service) (printf "*.%s" $full) | toJson -}}
{{- end -}}

{{/* DNS names of the operator's servers: webhooks and writes. */}}
{{- define "snmp-operator.webhookNames" -}}
{{- $webhook := printf "snmp-operator-webhook.%s.svc" .Release.Namespace -}}
{{- $writes := printf "snmp-operator-writes.%s.svc" .Release.Namespace -}}
{{- $domain := .Values.clusterDomain -}}
{{- list $webhook (printf "%s.%s" $webhook $domain) $writes (printf "%s.%s" $writes $domain) | toJson -}}
{{- end -}}
