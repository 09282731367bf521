{{/* (list base over): JSON of base with what over says; maps are merged, null says nothing. */}}
{{- define "matrixon.overlay" -}}
{{- $out := deepCopy (index . 0) -}}
{{- range $key, $value := index . 1 -}}
{{- if kindIs "invalid" $value -}}
{{- else if and (kindIs "map" $value) (kindIs "map" (get $out $key)) -}}
{{- $_ := set $out $key (include "matrixon.overlay" (list (get $out $key) $value) | fromJson) -}}
{{- else -}}
{{- $_ := set $out $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $out -}}
{{- end -}}

{{/* (list $ "role"): JSON of its values, defaults included. */}}
{{- define "matrixon.role" -}}
{{- $values := (index . 0).Values -}}
{{- include "matrixon.overlay" (list $values.defaults (get $values (index . 1) | default dict)) -}}
{{- end -}}

{{/* (list $ "role"): its fewest replicas. */}}
{{- define "matrixon.fewest" -}}
{{- $role := include "matrixon.role" . | fromJson -}}
{{- if $role.autoscaling.enabled -}}{{ int $role.autoscaling.minReplicas }}{{- else -}}{{ int $role.replicas }}{{- end -}}
{{- end -}}

{{/* "true" where a role has pods. */}}
{{- define "matrixon.runs" -}}
{{- if gt (include "matrixon.fewest" . | int) 0 -}}true{{- end -}}
{{- end -}}

{{/* Whom a role calls; the gateway its like, for `matrixon admin`. */}}
{{- define "matrixon.calls" -}}
{{- get (dict
  "gateway" "auth room sync media federation gateway"
  "sync" "auth room"
  "media" "auth room"
  "federation" "auth room"
  "room" "auth federation"
  "auth" ""
) . -}}
{{- end -}}

{{/* Whether a role has business outside the cluster. */}}
{{- define "matrixon.goesOut" -}}
{{- if has . (list "federation" "media" "auth" "sync") -}}true{{- end -}}
{{- end -}}
