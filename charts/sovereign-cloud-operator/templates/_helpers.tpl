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

{{/* The countries of a wish that a policy does not allow; a group is allowed where all of its members are (sovereignty/countries.py). */}}
{{- define "sovereign.borders.countries" -}}
- name: members
  expression: >-
    {'EU': ['AT', 'BE', 'BG', 'CY', 'CZ', 'DE', 'DK', 'EE', 'ES', 'FI', 'FR', 'GR', 'HR', 'HU', 'IE', 'IT', 'LT', 'LU', 'LV', 'MT', 'NL', 'PL', 'PT', 'RO', 'SE', 'SI', 'SK'],
    'EEA': ['AT', 'BE', 'BG', 'CY', 'CZ', 'DE', 'DK', 'EE', 'ES', 'FI', 'FR', 'GR', 'HR', 'HU', 'IE', 'IS', 'IT', 'LI', 'LT', 'LU', 'LV', 'MT', 'NL', 'NO', 'PL', 'PT', 'RO', 'SE', 'SI', 'SK']}
- name: wished
  expression: "has(object.spec.placement) && has(object.spec.placement.countries) ? object.spec.placement.countries : []"
- name: outside
  expression: >-
    variables.known && has(params.status.effectiveCountries) ? variables.wished.filter(one, one in variables.members
    ? !variables.members[one].all(country, country in params.status.effectiveCountries)
    : !(one in params.status.effectiveCountries)) : []
{{- end -}}

{{/* What happens before an uninstallation: Policy (an admission policy refuses), Check (a Job refuses) or Release (a Job lets go). */}}
{{- define "sovereign.uninstallGuard" -}}
{{- if eq .Values.uninstall.policy "Release" -}}
Release
{{- else -}}
{{- ternary "Policy" "Check" .Values.policies.enforce -}}
{{- end -}}
{{- end -}}

{{/* A registry of an umbrella chart goes before that of an image: list of root and image. */}}
{{- define "sovereign.imageOf" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $name := printf "%s/%s" (default $image.registry ($root.Values.global).imageRegistry) $image.repository -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default $root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "sovereign.image" -}}
{{- include "sovereign.imageOf" (list . .Values.image) -}}
{{- end -}}

{{/* What the values of the sandbox's image leave open is as with the operator's; the repository has the suffix "-sandbox". */}}
{{- define "sovereign.sandboxImage" -}}
{{- $image := deepCopy .Values.sandbox.image -}}
{{- $_ := set $image "registry" (default .Values.image.registry $image.registry) -}}
{{- $_ := set $image "repository" (default (printf "%s-sandbox" .Values.image.repository) $image.repository) -}}
{{- $_ := set $image "tag" (default .Values.image.tag $image.tag) -}}
{{- include "sovereign.imageOf" (list . $image) -}}
{{- end -}}

{{/* Ours and those of an umbrella chart, which gives names or objects. */}}
{{- define "sovereign.imagePullSecrets" -}}
{{- $secrets := .Values.imagePullSecrets -}}
{{- range (.Values.global).imagePullSecrets -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with $secrets -}}
imagePullSecrets:
  {{- uniq . | toYaml | nindent 2 }}
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

{{/* A value that is null is the platform's to choose, as on OpenShift. */}}
{{- define "sovereign.podSecurityContext" -}}
{{- $context := dict -}}
{{- range $key, $value := .Values.podSecurityContext -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $context $key (kindIs "float64" $value | ternary (int64 $value) $value) -}}
{{- end -}}
{{- end -}}
{{- toYaml $context -}}
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
  {{- if and .Values.existingSecret (not .Values.installationId) }}
  {{- include "sovereign.fromExistingSecret" (list . "installationId") | nindent 2 }}
  {{- else }}
  value: {{ .Values.installationId | quote }}
  {{- end }}
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
- name: SOVEREIGN_OVH_REQUESTS_PER_MINUTE
  value: {{ .Values.limits.ovh.requestsPerMinute | quote }}
- name: SOVEREIGN_OVH_BURST
  value: {{ .Values.limits.ovh.burst | int64 | quote }}
- name: SOVEREIGN_OPENNEBULA_RATE
  value: {{ .Values.limits.openNebula.rate | quote }}
- name: SOVEREIGN_OPENNEBULA_BURST
  value: {{ .Values.limits.openNebula.burst | int64 | quote }}
- name: SOVEREIGN_PLAIN_HTTP_HOSTS
  value: {{ include "sovereign.plainHttpHosts" . | quote }}
- name: SOVEREIGN_OVH_ENDPOINTS
  value: {{ include "sovereign.ovhEndpoints" . | quote }}
- name: SOVEREIGN_INSTALLER_IMAGE
  value: {{ include "sovereign.imageOf" (list . .Values.installer.image) | quote }}
- name: SOVEREIGN_SSH_PORT
  value: {{ .Values.sandbox.enabled | ternary 0 (.Values.installer.sshPort | int64) | quote }}
- name: SOVEREIGN_SITE_LATENCY_INTERVAL
  value: {{ .Values.sandbox.enabled | ternary 0 .Values.siteLatencyInterval | quote }}
- name: SOVEREIGN_CA_FILE
  value: {{ empty (include "sovereign.privateCA" .) | ternary "" "/etc/sovereign/private-ca/ca.crt" | quote }}
- name: SOVEREIGN_TRACING_ENDPOINT
  value: {{ .Values.tracing.endpoint | quote }}
{{- if .Values.existingSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  {{- include "sovereign.fromExistingSecret" (list . "tracingHeaders") | nindent 2 }}
{{- end }}
- name: SOVEREIGN_LOG_FORMAT
  value: {{ .Values.logs.format | quote }}
- name: SOVEREIGN_LOG_LEVEL
  value: {{ .Values.logs.level | quote }}
{{- end -}}

{{- define "sovereign.fromExistingSecret" -}}
valueFrom:
  secretKeyRef: {name: {{ (index . 0).Values.existingSecret }}, key: {{ index . 1 }}, optional: true}
{{- end -}}

{{/* Whether there is an authority to mount. */}}
{{- define "sovereign.privateCA" -}}
{{- with .Values.privateCA }}{{ if or .configMap .secret }}true{{ end }}{{ end -}}
{{- end -}}

{{/* The variables that every http library reads. What is in the cluster is reached without the proxy, the API server first of all:
the kubelet sets KUBERNETES_SERVICE_HOST and puts it in here. */}}
{{- define "sovereign.proxyEnvironment" -}}
{{- $secret := .Values.existingSecret -}}
{{- $entries := list -}}
{{- range $name, $key := dict "HTTP_PROXY" "httpProxy" "HTTPS_PROXY" "httpsProxy" -}}
{{- $value := get $.Values.proxy $key -}}
{{- if $value -}}
{{- $entries = append $entries (dict "name" $name "value" $value) -}}
{{- else if $secret -}}
{{- $entries = append $entries (merge (dict "name" $name) (include "sovereign.fromExistingSecret" (list $ $key) | fromYaml)) -}}
{{- end -}}
{{- end -}}
{{- if $entries -}}
{{- $direct := concat (list "$(KUBERNETES_SERVICE_HOST)" ".svc" ".cluster.local" "localhost" "127.0.0.1") .Values.proxy.noProxy -}}
{{- append $entries (dict "name" "NO_PROXY" "value" (join "," $direct)) | toYaml -}}
{{- end -}}
{{- end -}}

{{/* Over nodes where a person says nothing else; a constraint without a selector counts the pods of this release. */}}
{{- define "sovereign.spread" -}}
{{- $selector := dict "matchLabels" (include "sovereign.selector" . | fromYaml) -}}
{{- $default := list -}}
{{- if gt (int64 .Values.replicas) 1 -}}
{{- $default = list (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway") -}}
{{- end -}}
{{- $found := list -}}
{{- range default $default .Values.topologySpreadConstraints -}}
{{- $found = append $found (merge (dict) . (dict "labelSelector" $selector)) -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{/* Another name than the operator's: its Service and its policies are not theirs. */}}
{{- define "sovereign.sandboxSelector" -}}
app.kubernetes.io/name: {{ printf "%s-sandbox" (default .Chart.Name .Values.nameOverride | trunc 55 | trimSuffix "-") }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sovereign.sandboxLabels" -}}
{{- merge (include "sovereign.sandboxSelector" . | fromYaml) (include "sovereign.labels" . | fromYaml) | toYaml -}}
{{- end -}}

{{/* OVHcloud's addresses: those of the values, and in the sandbox the simulator's for what they leave open. */}}
{{- define "sovereign.ovhEndpoints" -}}
{{- $found := deepCopy .Values.ovhEndpoints -}}
{{- if .Values.sandbox.enabled -}}
{{- $url := printf "http://ovhcloud-sandbox.%s.svc:8200" .Release.Namespace -}}
{{- $simulator := dict "api" (printf "%s/1.0" $url) "token" (printf "%s/auth/oauth2/token" $url) -}}
{{- $found = merge $found (dict "ovh-eu" $simulator) -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "sovereign.plainHttpHosts" -}}
{{- $found := .Values.plainHttpHosts -}}
{{- if .Values.sandbox.enabled -}}
{{- $found = append $found (printf "opennebula-sandbox.%s.svc" .Release.Namespace) -}}
{{- end -}}
{{- join "," $found -}}
{{- end -}}
