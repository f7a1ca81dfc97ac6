{{- define "dpo.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "dpo.labels" -}}
{{ include "dpo.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "dpo.selector" -}}
app.kubernetes.io/name: dpo-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Of the release, so that two in one namespace lead each its own; `dpo-operator` for the release `dpo`. */}}
{{- define "dpo.lease" -}}
{{- include "dpo.name" . }}-operator
{{- end -}}

{{- define "dpo.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "dpo.name" .) -}}
{{- end -}}

{{/* Rights in the namespaces whose DPOJobs are run. No Secrets, no wildcard, nothing that the operator does not do. */}}
{{- define "dpo.rules" -}}
- apiGroups: [training.dpo-operator.io]
  resources: [dpojobs]
  verbs: [get, list, watch, delete]
- apiGroups: [training.dpo-operator.io]
  resources: [dpojobs/status]
  verbs: [patch]
# An owner reference that blocks the owner's deletion asks for this where the admission plugin is on.
- apiGroups: [training.dpo-operator.io]
  resources: [dpojobs/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: ['']
  resources: [pods]
  verbs: [list, watch]
- apiGroups: ['']
  resources: [configmaps]
  verbs: [get, create]
# Of jobs whose output is pushed.
- apiGroups: ['']
  resources: [persistentvolumeclaims]
  verbs: [get, create]
# Listed only of a Job without a pod, or of a pod without a container: a quota or a volume is told nowhere else.
- apiGroups: ['']
  resources: [events]
  verbs: [list, create, patch]
{{- end -}}
