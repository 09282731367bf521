{{/*
(list $ "secret name" "key" "value given" "generated"): base64 of what belongs there: what is given, what the cluster has, else
what is generated.
*/}}
{{- define "matrixon.secretValue" -}}
{{- $root := index . 0 -}}
{{- $given := index . 3 -}}
{{- if $given -}}
{{- $given | b64enc -}}
{{- else -}}
{{- $found := lookup "v1" "Secret" $root.Release.Namespace (index . 1) -}}
{{- $data := ($found | default dict).data | default dict -}}
{{- if hasKey $data (index . 2) -}}
{{- get $data (index . 2) -}}
{{- else -}}
{{- index . 4 | b64enc -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* (list $ "postgresql"): the password of one of the chart's own stores, the same wherever it is asked for in one rendering. */}}
{{- define "matrixon.storePassword" -}}
{{- $root := index . 0 -}}
{{- $store := index . 1 -}}
{{- $memo := printf "password %s" $store -}}
{{- if not (hasKey $root.Values $memo) -}}
{{- $name := printf "%s-%s" (include "matrixon.fullname" $root) $store -}}
{{- $_ := set $root.Values $memo (include "matrixon.secretValue" (list $root $name "password" (get $root.Values $store).password (randAlphaNum 32)) | b64dec) -}}
{{- end -}}
{{- get $root.Values $memo -}}
{{- end -}}

{{/* The files under /etc/matrixon/secrets, as sources of a projected volume. */}}
{{- define "matrixon.secretSources" -}}
{{- $values := .Values -}}
{{- $full := include "matrixon.fullname" . -}}
{{- $signing := $values.secrets.signingKey -}}
{{- $cluster := $values.secrets.clusterSecret -}}
- secret:
    name: {{ default (printf "%s-signing-key" $full) $signing.existingSecret }}
    items: [{key: {{ ternary $signing.key "signing.key" (ne $signing.existingSecret "") | quote }}, path: signing.key}]
- secret:
    name: {{ default (printf "%s-cluster" $full) $cluster.existingSecret }}
    items: [{key: {{ ternary $cluster.key "cluster.secret" (ne $cluster.existingSecret "") | quote }}, path: cluster.secret}]
# empty, for a Secret without the next one's key: the server wants the file. Of two sources of a file the later counts, and two that
# both name its path are refused
- configMap:
    name: {{ $full }}-no-previous-secret
- secret:
    name: {{ default (printf "%s-cluster" $full) $cluster.existingSecret }}
    items: [{key: {{ ternary $cluster.previousKey "cluster.previous_secret" (ne $cluster.existingSecret "") | quote }}, path: cluster.previous_secret}]
    optional: true
{{ include "matrixon.databaseSource" . }}
{{- range $store := list (list "cache" "redis") (list "bus" "nats") }}
{{- $own := get $values (index $store 0) }}
{{- if (get $values (index $store 1)).enabled }}
- secret:
    name: {{ $full }}-{{ index $store 1 }}
    items: [{key: password, path: {{ index $store 0 }}.password}]
{{- else if or $own.password $own.existingSecret }}
- secret:
    name: {{ default (printf "%s-%s" $full (index $store 0)) $own.existingSecret }}
    items: [{key: {{ ternary $own.key "password" (ne $own.existingSecret "") | quote }}, path: {{ index $store 0 }}.password}]
{{- end }}
{{- end }}
{{- end -}}

{{/* The file with the database's URL. */}}
{{- define "matrixon.databaseSource" -}}
{{- $database := .Values.database -}}
- secret:
    name: {{ include "matrixon.databaseSecret" . }}
    items: [{key: {{ ternary $database.key "url" (ne $database.existingSecret "") | quote }}, path: database.url}]
{{- end -}}

{{- define "matrixon.databaseSecret" -}}
{{- if .Values.postgresql.enabled -}}
{{ include "matrixon.fullname" . }}-postgresql
{{- else -}}
{{ default (printf "%s-database" (include "matrixon.fullname" .)) .Values.database.existingSecret }}
{{- end -}}
{{- end -}}

{{/* Environment variables that say where the secrets are. */}}
{{- define "matrixon.secretEnv" -}}
- {name: MATRIXON__CLUSTER__SECRET_FILE, value: /etc/matrixon/secrets/cluster.secret}
- {name: MATRIXON__CLUSTER__PREVIOUS_SECRET_FILE, value: /etc/matrixon/secrets/cluster.previous_secret}
{{- range $store := list (list "cache" "redis") (list "bus" "nats") }}
{{- $own := get $.Values (index $store 0) }}
{{- if or (get $.Values (index $store 1)).enabled $own.password $own.existingSecret }}
- {name: MATRIXON__{{ upper (index $store 0) }}__PASSWORD_FILE, value: /etc/matrixon/secrets/{{ index $store 0 }}.password}
{{- end }}
{{- end }}
{{- end -}}
