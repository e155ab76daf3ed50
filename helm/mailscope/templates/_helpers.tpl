{{- define "mailscope.name" -}}
{{- if contains "mailscope" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-mailscope" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "mailscope.labels" -}}
app.kubernetes.io/name: mailscope
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "mailscope.selector" -}}
app.kubernetes.io/name: mailscope
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .stage }}
{{- end }}

{{- define "mailscope.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The values of a stage: its own over the defaults. */}}
{{- define "mailscope.stageValues" -}}
{{- mergeOverwrite (deepCopy .root.Values.stageDefaults) (deepCopy (get .root.Values.stages .stage | default dict)) | toJson -}}
{{- end }}

{{- define "mailscope.dsn" -}}
{{- $c := .root.Values.clickhouse -}}
{{ ternary "clickhouses" "clickhouse" $c.secure }}://{{ get $c.users .user }}@{{ $c.host }}:{{ $c.port }}/{{ $c.database }}{{ if $c.caSecret.name }}?ca_cert=/run/mailscope/clickhouse-ca/{{ $c.caSecret.key }}{{ end }}
{{- end }}

{{- define "mailscope.ownSecret" -}}
{{ .Values.secrets.existingSecret | default (printf "%s-own" (include "mailscope.name" .)) }}
{{- end }}

{{- define "mailscope.tlsSecret" -}}
{{ .Values.tls.existingSecret | default (ternary (printf "%s-tls" (include "mailscope.name" .)) "" .Values.tls.certManager.enabled) }}
{{- end }}

{{/* mailscope.yaml: what people wrote, and what the chart knows. It stands in a ConfigMap, which more people may read than a Secret. */}}
{{- define "mailscope.config" -}}
{{- range $name, $handler := .Values.config.handlers | default dict }}{{ if get $handler "secret" }}{{ fail (printf "config.handlers.%s.secret would be readable in a ConfigMap: mount a Secret (secretMounts) and name the file as secret_file" $name) }}{{ end }}{{ end -}}
{{- range $properties := list .Values.kafka.properties (dig "kafka" "properties" dict .Values.config) }}{{ range $word := list "sasl.password" "ssl.key.password" "ssl.key.pem" "ssl.keystore.password" }}{{ if hasKey $properties $word }}{{ fail (printf "%s would be readable in a ConfigMap: use kafka.auth.existingSecret, or mount a Secret (secretMounts)" $word) }}{{ end }}{{ end }}{{ end -}}
{{- $known := dict
  "secret_file" "/run/mailscope/own/secret"
  "kafka" (dict "bootstrap" .Values.kafka.bootstrap "partitions" .Values.kafka.partitions "replication" .Values.kafka.replication "properties" .Values.kafka.properties)
  "blobs" (dict "url" .Values.blobs.url)
  "console" (dict "admin_token_file" "/run/mailscope/own/admin-token" "port" 8025)
  "submission" (dict "port" 2587)
  "metrics" (dict "port" 9101) -}}
{{- if .Values.console.trustedProxies }}{{ $_ := set (index $known "console") "trusted_proxies" .Values.console.trustedProxies }}{{ end -}}
{{- if .Values.kafka.caSecret.name }}{{ $_ := set (index $known "kafka") "properties" (merge (dict "ssl.ca.location" (printf "/run/mailscope/kafka-ca/%s" .Values.kafka.caSecret.key)) .Values.kafka.properties) }}{{ end -}}
{{- if .Values.clickhouse.cluster }}{{ $_ := set $known "store" (dict "cluster" .Values.clickhouse.cluster) }}{{ end -}}
{{- if .Values.console.publicUrl }}{{ $_ := set (index $known "console") "public_url" .Values.console.publicUrl }}{{ $_ := set (index $known "console") "secure_cookie" (hasPrefix "https:" .Values.console.publicUrl) }}{{ end -}}
{{- $smtp := dict "port" 2525 -}}
{{- if include "mailscope.tlsSecret" . }}{{ $smtp = merge $smtp (dict "tls_cert" "/run/mailscope/tls/tls.crt" "tls_key" "/run/mailscope/tls/tls.key") }}{{ end -}}
{{- if .Values.proxyProtocol.enabled }}{{ $_ := set $smtp "proxies" (required "proxyProtocol.from: name the networks of the load balancer" (.Values.proxyProtocol.from | default nil)) }}{{ end -}}
{{- $_ := set $known "smtp" $smtp -}}
{{- mergeOverwrite (deepCopy .Values.config) $known | toYaml -}}
{{- end }}

{{- define "mailscope.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "mailscope.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Variables: who this process is. `user` is its name in Kafka, `store` its role in ClickHouse or "". */}}
{{- define "mailscope.env" -}}
- {name: MAILSCOPE_INSTANCE, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
{{- $auth := .root.Values.kafka.auth }}
{{- if $auth.existingSecret }}
- {name: MAILSCOPE_KAFKA__USER, value: {{ $auth.sharedUser | default (printf "%s%s" $auth.userPrefix .user) | quote }}}
- {name: MAILSCOPE_KAFKA__PASSWORD_FILE, value: /run/mailscope/kafka/password}
{{- end }}
{{- if .store }}
- {name: MAILSCOPE_STORE__DSN, value: {{ include "mailscope.dsn" (dict "root" .root "user" .store) | quote }}}
{{- if .root.Values.clickhouse.existingSecret }}
- {name: MAILSCOPE_STORE__PASSWORD_FILE, value: /run/mailscope/clickhouse/password}
{{- end }}
{{- end }}
{{- with .root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "mailscope.mounts" -}}
- {name: config, mountPath: /etc/mailscope, readOnly: true}
- {name: data, mountPath: /data}
- {name: tmp, mountPath: /tmp}
{{- if .own }}
- {name: own, mountPath: /run/mailscope/own, readOnly: true}
{{- end }}
{{- if .root.Values.kafka.auth.existingSecret }}
- {name: kafka, mountPath: /run/mailscope/kafka, readOnly: true}
{{- end }}
{{- if .root.Values.kafka.caSecret.name }}
- {name: kafka-ca, mountPath: /run/mailscope/kafka-ca, readOnly: true}
{{- end }}
{{- if and .store .root.Values.clickhouse.existingSecret }}
- {name: clickhouse, mountPath: /run/mailscope/clickhouse, readOnly: true}
{{- end }}
{{- if and .store .root.Values.clickhouse.caSecret.name }}
- {name: clickhouse-ca, mountPath: /run/mailscope/clickhouse-ca, readOnly: true}
{{- end }}
{{- if and .own (include "mailscope.tlsSecret" .root) }}
- {name: tls, mountPath: /run/mailscope/tls, readOnly: true}
{{- end }}
{{- if .own }}
{{- range $number, $_ := .root.Values.secretMounts }}
- {name: more-{{ $number }}, mountPath: {{ .mountPath }}, readOnly: true}
{{- end }}
{{- end }}
{{- end }}

{{- define "mailscope.volumes" -}}
- {name: config, configMap: {name: {{ .configMap }}}}
- {name: data, emptyDir: {sizeLimit: {{ .sizeLimit }}}}
- {name: tmp, emptyDir: {sizeLimit: 64Mi}}
{{- if .own }}
- {name: own, secret: {secretName: {{ include "mailscope.ownSecret" .root }}, defaultMode: 0440, items: [{key: secret, path: secret}{{ if .adminToken }}, {key: admin-token, path: admin-token}{{ end }}]}}
{{- end }}
{{- $auth := .root.Values.kafka.auth }}
{{- if $auth.existingSecret }}
- {name: kafka, secret: {secretName: {{ $auth.existingSecret }}, defaultMode: 0440, items: [{key: {{ ternary "password" .user (ne $auth.sharedUser "") }}, path: password}]}}
{{- end }}
{{- with .root.Values.kafka.caSecret }}
{{- if .name }}
- {name: kafka-ca, secret: {secretName: {{ .name }}, items: [{key: {{ .key }}, path: {{ .key }}}]}}
{{- end }}
{{- end }}
{{- if and .store .root.Values.clickhouse.existingSecret }}
- {name: clickhouse, secret: {secretName: {{ .root.Values.clickhouse.existingSecret }}, defaultMode: 0440, items: [{key: {{ .store }}, path: password}]}}
{{- end }}
{{- if and .store .root.Values.clickhouse.caSecret.name }}
- {name: clickhouse-ca, secret: {secretName: {{ .root.Values.clickhouse.caSecret.name }}, items: [{key: {{ .root.Values.clickhouse.caSecret.key }}, path: {{ .root.Values.clickhouse.caSecret.key }}}]}}
{{- end }}
{{- if and .own (include "mailscope.tlsSecret" .root) }}
- {name: tls, secret: {secretName: {{ include "mailscope.tlsSecret" .root }}, defaultMode: 0440}}
{{- end }}
{{- if .own }}
{{- range $number, $_ := .root.Values.secretMounts }}
- {name: more-{{ $number }}, secret: {secretName: {{ .name }}, defaultMode: 0440}}
{{- end }}
{{- end }}
{{- end }}
