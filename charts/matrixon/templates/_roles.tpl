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

{{/*
Whom a role calls, by the code, against which charts/tests/graph.py holds this:
gateway  forwards to auth, room and sync, and asks auth whose a token is. Media and federation serve nothing yet; it looks whether they
         are there. `matrixon admin` in its pods asks all replicas of all roles, gateways too.
room     asks auth for profiles, and tells it who has left all rooms.
The others find in the database what they need of each other.
*/}}
{{- define "matrixon.calls" -}}
{{- get (dict "gateway" "auth room sync media federation gateway" "room" "auth") . -}}
{{- end -}}

{{/* Whether a role has business outside the cluster: mail, identity servers and captchas of auth. */}}
{{- define "matrixon.goesOut" -}}
{{- if has . (list "auth") -}}true{{- end -}}
{{- end -}}

{{/* The stores that a component connects to. The gateway has no tables: its database is for `matrixon admin check` in its pods. */}}
{{- define "matrixon.stores" -}}
{{- if has . (list "migrate" "backup" "test") -}}
postgresql
{{- else if has . (list "media" "federation") -}}
redis nats
{{- else -}}
postgresql redis nats
{{- end -}}
{{- end -}}
