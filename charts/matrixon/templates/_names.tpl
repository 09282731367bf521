{{/* The roles, callees last. */}}
{{- define "matrixon.roles" -}}
gateway sync media room federation auth
{{- end -}}

{{/* What all names begin with: at most 40 letters, so that no suffix makes one too long; what is cut is told apart by a hash. */}}
{{- define "matrixon.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := .Release.Name -}}
{{- if .Values.fullnameOverride -}}
{{- $full = .Values.fullnameOverride -}}
{{- else if not (contains $name .Release.Name) -}}
{{- $full = printf "%s-%s" .Release.Name $name -}}
{{- end -}}
{{- if gt (len $full) 40 -}}
{{- $full = printf "%s-%s" (trunc 31 $full | trimSuffix "-") (sha256sum $full | trunc 8) -}}
{{- end -}}
{{- trimSuffix "-" $full -}}
{{- end -}}

{{/* (list $ "component"): the labels that selectors use. They never change. */}}
{{- define "matrixon.selector" -}}
app.kubernetes.io/name: {{ default (index . 0).Chart.Name (index . 0).Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* (list $ "component"): all labels of an object. */}}
{{- define "matrixon.labels" -}}
{{- $root := index . 0 -}}
{{ include "matrixon.selector" . }}
app.kubernetes.io/part-of: matrixon
app.kubernetes.io/version: {{ include "matrixon.version" $root | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* (list $ "component"): labels of the pods of the chart's own stores. Nothing of them changes with a version of Matrixon,
     or every upgrade would restart the database. */}}
{{- define "matrixon.storeLabels" -}}
{{ include "matrixon.selector" . }}
app.kubernetes.io/part-of: matrixon
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "matrixon.version" -}}
{{- default .Chart.AppVersion .Values.image.tag | trunc 63 | trimSuffix "-" | trimSuffix "." | trimSuffix "_" -}}
{{- end -}}

{{/* (list $ "component" "name" [annotations]): what stands under metadata. */}}
{{- define "matrixon.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 2 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "matrixon.labels" . | nindent 2 }}
{{- $annotations := deepCopy $root.Values.commonAnnotations -}}
{{- if gt (len .) 3 -}}{{- $annotations = merge (deepCopy (index . 3)) $annotations -}}{{- end -}}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "matrixon.image" -}}
{{- $image := .Values.image -}}
{{- $name := $image.repository -}}
{{- if $image.registry -}}{{- $name = printf "%s/%s" (trimSuffix "/" $image.registry) $name -}}{{- end -}}
{{- if $image.digest -}}
{{- $name }}@{{ $image.digest -}}
{{- else -}}
{{- $name }}:{{ default .Chart.AppVersion $image.tag -}}
{{- end -}}
{{- end -}}

{{/* (list $ "role"): the account its pods run as. */}}
{{- define "matrixon.serviceAccount" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.serviceAccount.name -}}
{{- $root.Values.serviceAccount.name -}}
{{- else if $root.Values.serviceAccount.create -}}
{{- include "matrixon.fullname" $root }}-{{ index . 1 -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{- define "matrixon.host" -}}
{{- default .Values.serverName .Values.host -}}
{{- end -}}
