{{/* (list $ "component"): what the pods of all kinds have in common, as members of a pod's spec. */}}
{{- define "matrixon.podBasics" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
enableServiceLinks: false
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
{{- end -}}

{{/* Of containers that run Matrixon. */}}
{{- define "matrixon.containerBasics" -}}
image: {{ include "matrixon.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end -}}

{{- define "matrixon.env" -}}
- {name: MATRIXON_CONFIG, value: /etc/matrixon/matrixon.toml}
{{ include "matrixon.secretEnv" . }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* (list $ "role") */}}
{{- define "matrixon.mounts" -}}
- {name: config, mountPath: /etc/matrixon/matrixon.toml, subPath: {{ include "matrixon.configKey" (index . 1) }}, readOnly: true}
- {name: secrets, mountPath: /etc/matrixon/secrets, readOnly: true}
- {name: data, mountPath: /var/lib/matrixon}
- {name: tmp, mountPath: /tmp}
{{- with (index . 0).Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "matrixon.volumes" -}}
- name: config
  configMap: {name: {{ include "matrixon.fullname" . }}-config}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- include "matrixon.secretSources" . | nindent 6 }}
- name: data
  emptyDir: {}
- name: tmp
  emptyDir: {}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Seconds that a pod has from SIGTERM to SIGKILL. */}}
{{- define "matrixon.gracePeriod" -}}
{{- add (int .Values.shutdown.drainDelaySeconds) (int .Values.shutdown.finishSeconds) 5 -}}
{{- end -}}

{{/* (list $ "role" values): zone and host spread. */}}
{{- define "matrixon.spread" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}{{- $role := index . 2 -}}
{{- if $role.topologySpreadConstraints -}}
topologySpreadConstraints:
  {{- toYaml $role.topologySpreadConstraints | nindent 2 }}
{{- else if $role.topologySpread.enabled -}}
topologySpreadConstraints:
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $role.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "matrixon.selector" (list $root $name) | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}
{{- end -}}
