{{- define "daemon.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "daemon.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "daemon.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "daemon.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "daemon.selector" -}}
app.kubernetes.io/name: {{ include "daemon.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "daemon.labels" -}}
{{ include "daemon.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "daemon.connector" -}}
{{- printf "%s-connector" (include "daemon.fullname" .) -}}
{{- end -}}

{{- /* Other labels than the daemon's pods have, whose services would take the connector for one of them. */ -}}
{{- define "daemon.connectorSelector" -}}
app.kubernetes.io/name: {{ include "daemon.name" . }}-connector
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "daemon.connectorLabels" -}}
{{ include "daemon.connectorSelector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "daemon.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "daemon.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "daemon.image" -}}
{{- $variant := .Values.image.variant | default (ternary "serverless" "local" (eq .Values.platform "serverless")) -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default (printf "%s-%s" .Chart.AppVersion $variant)) -}}
{{- end -}}

{{- /* Secret with SERVER_KEY, DIFY_INNER_API_KEY and ADMIN_API_KEY. */ -}}
{{- define "daemon.keys" -}}
{{- default (printf "%s-keys" (include "daemon.fullname" .)) .Values.keys.existingSecret -}}
{{- end -}}

{{- /* Not empty when there may be more than one pod. */ -}}
{{- define "daemon.several" -}}
{{- if or .Values.autoscaling.enabled (gt (int .Values.replicas) 1) -}}true{{- end -}}
{{- end -}}

{{- /* Not empty when the volume can be in several pods at a time. */ -}}
{{- define "daemon.shareable" -}}
{{- if or (not .Values.persistence.enabled) (has "ReadWriteMany" .Values.persistence.accessModes) -}}true{{- end -}}
{{- end -}}

{{- define "daemon.strategy" -}}
{{- if .Values.strategy -}}
{{- toYaml .Values.strategy -}}
{{- else if and (include "daemon.shareable" .) (ne .Values.database.type "sqlite") -}}
type: RollingUpdate
rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
{{- else -}}
type: Recreate
{{- end -}}
{{- end -}}

{{- define "daemon.drainSeconds" -}}
{{- if kindIs "invalid" .Values.drain.seconds -}}
{{- ternary 30 600 (contains "Recreate" (include "daemon.strategy" .)) -}}
{{- else -}}
{{- int .Values.drain.seconds -}}
{{- end -}}
{{- end -}}

{{- define "daemon.graceSeconds" -}}
{{- $drain := include "daemon.drainSeconds" . | int -}}
{{- add (int .Values.drain.preStopSeconds) $drain (int .Values.drain.stopSeconds) -}}
{{- end -}}

{{- /* A value of any type as the text of a variable; large numbers arrive as floating point. */ -}}
{{- define "daemon.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}
{{- printf "%.0f" . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{- /* What cannot work is refused here, with what to do. */ -}}
{{- define "daemon.check" -}}
{{- $server := ne .Values.database.type "sqlite" -}}
{{- $config := .Values.config -}}
{{- if and $server (not .Values.database.host) -}}
{{- fail (printf "database.host: has to be set for database.type %s" .Values.database.type) -}}
{{- end -}}
{{- if and (ne .Values.storage.type "local") (not .Values.storage.bucket) (ne .Values.storage.type "azure_blob") -}}
{{- fail (printf "storage.bucket: has to be set for storage.type %s" .Values.storage.type) -}}
{{- end -}}
{{- if include "daemon.several" . -}}
{{- if not $server -}}
{{- fail "database.type: several pods need a database server, SQLite is for one" -}}
{{- end -}}
{{- if not (or .Values.redis.host (hasKey $config "REDIS_SENTINELS") (hasKey $config "REDIS_CLUSTERS")) -}}
{{- fail "redis.host: several pods need Redis to tell each other what changes" -}}
{{- end -}}
{{- if and (eq .Values.storage.type "local") (not (has "ReadWriteMany" .Values.persistence.accessModes)) -}}
{{- fail "storage.type: several pods need object storage, or ReadWriteMany in persistence.accessModes" -}}
{{- end -}}
{{- if and (eq .Values.cache.type "data") .Values.persistence.enabled -}}
{{- fail "cache.type: several pods cannot share their working folder; set it to emptyDir or ephemeral" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (not .Values.autoscaling.targetActiveCalls) (not .Values.autoscaling.targetCpu) -}}
{{- fail "autoscaling: one of targetActiveCalls and targetCpu has to be more than 0" -}}
{{- end -}}
{{- if and (eq .Values.platform "serverless") (not .Values.connector.enabled) (not (hasKey $config "DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL")) -}}
{{- fail "connector.enabled: platform serverless needs it, or DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL in config" -}}
{{- end -}}
{{- if .Values.connector.enabled -}}
{{- if ne .Values.platform "serverless" -}}
{{- fail "platform: has to be serverless for connector.enabled" -}}
{{- end -}}
{{- if and (eq .Values.connector.backend "lambda") (not (hasKey .Values.connector.config "CONNECTOR_LAMBDA_ROLE")) -}}
{{- fail "connector.config.CONNECTOR_LAMBDA_ROLE: has to be set for connector.backend lambda" -}}
{{- end -}}
{{- end -}}
{{- end -}}
