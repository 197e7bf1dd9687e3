{{- define "sovereign.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sovereign.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Helm adds app.kubernetes.io/managed-by itself. Ours win over commonLabels: the selectors need them. */}}
{{- define "sovereign.labels" -}}
{{- $ours := include "sovereign.selector" . | fromYaml -}}
{{- $_ := set $ours "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $ours "app.kubernetes.io/part-of" "sovereign-cloud-operator" -}}
{{- merge $ours .Values.commonLabels | toYaml -}}
{{- end -}}

{{- define "sovereign.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sovereign.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The namespaces that it watches, as JSON; none: the whole cluster. */}}
{{- define "sovereign.watchNamespaces" -}}
{{- if eq .Values.scope "Namespaced" -}}
{{- default (list .Release.Namespace) .Values.watchNamespaces | uniq | sortAlpha | toJson -}}
{{- else if .Values.watchNamespaces -}}
{{- fail "watchNamespaces needs scope: Namespaced; with scope: Cluster every namespace is watched" -}}
{{- else -}}
[]
{{- end -}}
{{- end -}}

{{/* Of an admission policy, which is a cluster's: by the installation, or where no value names one by what else is unique. */}}
{{- define "sovereign.policyName" -}}
{{- $root := index . 0 -}}
{{- $installation := default (printf "%s-%s" $root.Release.Namespace (include "sovereign.fullname" $root)) $root.Values.installationId -}}
{{- printf "sovereign-%s-%s" $installation (index . 1) -}}
{{- end -}}

{{/* What happens before an uninstallation: Policy (an admission policy refuses), Check (a Job refuses) or Release (a Job lets go). */}}
{{- define "sovereign.uninstallGuard" -}}
{{- if eq .Values.uninstall.policy "Release" -}}
Release
{{- else -}}
{{- ternary "Policy" "Check" .Values.policies.enforce -}}
{{- end -}}
{{- end -}}

{{- define "sovereign.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What every container may do, which is nothing: the restricted Pod Security Standard. */}}
{{- define "sovereign.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "sovereign.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Settings of the operator (engine/settings.py), each from its value. int64: Helm reads 1000000 as 1e+06. */}}
{{- define "sovereign.environment" -}}
- name: SOVEREIGN_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: SOVEREIGN_HTTP_PORT
  value: "8080"
- name: SOVEREIGN_INSTALLATION_ID
  value: {{ .Values.installationId | quote }}
- name: SOVEREIGN_WATCH_NAMESPACES
  value: {{ include "sovereign.watchNamespaces" . | fromJsonArray | join "," | quote }}
- name: SOVEREIGN_HOLDINGS
  value: {{ eq (include "sovereign.uninstallGuard" .) "Policy" | quote }}
- name: SOVEREIGN_WORKERS
  value: {{ .Values.workers | int64 | quote }}
- name: SOVEREIGN_SWEEP_INTERVAL
  value: {{ .Values.sweepInterval | quote }}
- name: SOVEREIGN_SETTLE_INTERVAL
  value: {{ .Values.settleInterval | quote }}
- name: SOVEREIGN_LATE_WRITE_GRACE
  value: {{ .Values.lateWriteGrace | quote }}
- name: SOVEREIGN_LEASE_SECONDS
  value: {{ .Values.leaseSeconds | quote }}
- name: SOVEREIGN_BRAKE_OBJECTS
  value: {{ .Values.brakes.objects | int64 | quote }}
- name: SOVEREIGN_BRAKE_FRACTION
  value: {{ .Values.brakes.fraction | quote }}
- name: SOVEREIGN_OVH_RATE
  value: {{ .Values.limits.ovh.rate | quote }}
- name: SOVEREIGN_OVH_BURST
  value: {{ .Values.limits.ovh.burst | int64 | quote }}
- name: SOVEREIGN_OPENNEBULA_RATE
  value: {{ .Values.limits.openNebula.rate | quote }}
- name: SOVEREIGN_OPENNEBULA_BURST
  value: {{ .Values.limits.openNebula.burst | int64 | quote }}
- name: SOVEREIGN_PLAIN_HTTP_HOSTS
  value: {{ join "," .Values.plainHttpHosts | quote }}
- name: SOVEREIGN_OVH_ENDPOINTS
  value: {{ toJson .Values.ovhEndpoints | quote }}
- name: SOVEREIGN_INSTALLER_IMAGE
  value: {{ .Values.installer.image | quote }}
- name: SOVEREIGN_LOG_FORMAT
  value: {{ .Values.logs.format | quote }}
- name: SOVEREIGN_LOG_LEVEL
  value: {{ .Values.logs.level | quote }}
{{- end -}}
