{{/* Values that make no sense, each with a sentence that names it. */}}
{{- define "matrixon.checks" -}}
{{- $values := .Values -}}
{{- if not $values.serverName -}}
{{- fail "serverName is not set: it is the part of user ids after the colon, such as example.org, and can never be changed later" -}}
{{- end -}}
{{- if contains "/" $values.serverName -}}
{{- fail (printf "serverName is `%s`, which is no server name: write it as example.org, without https://" $values.serverName) -}}
{{- end -}}
{{- if or (contains "/" $values.host) (contains ":" $values.host) -}}
{{- fail (printf "host is `%s`, which is no host name: write it as matrix.example.org, without https:// and port" $values.host) -}}
{{- end -}}
{{- range $which := list "ingress" "httpRoute" -}}
{{- if and (get $values $which).enabled (not $values.host) -}}
{{- fail (printf "%s.enabled is true and host is not set: give the host name that clients connect to, such as matrix.%s" $which $values.serverName) -}}
{{- end -}}
{{- end -}}
{{- if and $values.httpRoute.enabled (not $values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled is true and httpRoute.parentRefs is empty: name the Gateway that the route attaches to" -}}
{{- end -}}
{{- include "matrixon.checkRoles" . -}}
{{- include "matrixon.checkStores" . -}}
{{- include "matrixon.checkSecrets" . -}}
{{- if and (eq $values.migrations.mode "hook") $values.postgresql.enabled -}}
{{- fail "migrations.mode is hook and postgresql.enabled is true: at the time of the hook that database does not exist yet; set migrations.mode to job" -}}
{{- end -}}
{{- if and $values.service.nodePort (ne $values.service.type "NodePort") (ne $values.service.type "LoadBalancer") -}}
{{- fail (printf "service.nodePort is %v and service.type is %s: set service.type to NodePort" $values.service.nodePort $values.service.type) -}}
{{- end -}}
{{- end -}}

{{- define "matrixon.checkRoles" -}}
{{- $root := . -}}
{{- range $name := splitList " " (include "matrixon.roles" .) -}}
{{- $own := get $root.Values $name | default dict -}}
{{- $role := include "matrixon.role" (list $root $name) | fromJson -}}
{{- if $role.autoscaling.enabled -}}
{{- if and (hasKey $own "replicas") (not (kindIs "invalid" $own.replicas)) -}}
{{- fail (printf "%s.replicas is %v and autoscaling is on for %s: remove %s.replicas, or set %s.autoscaling.enabled to false" $name $own.replicas $name $name $name) -}}
{{- end -}}
{{- if gt (int $role.autoscaling.minReplicas) (int $role.autoscaling.maxReplicas) -}}
{{- fail (printf "%s.autoscaling.minReplicas is %v, more than maxReplicas, which is %v" $name $role.autoscaling.minReplicas $role.autoscaling.maxReplicas) -}}
{{- end -}}
{{- if not (or $role.autoscaling.targetCPUUtilizationPercentage $role.autoscaling.targetMemoryUtilizationPercentage $role.autoscaling.targetOwnMetric $role.autoscaling.metrics) -}}
{{- fail (printf "%s.autoscaling is on and has nothing to go by: set %s.autoscaling.targetCPUUtilizationPercentage" $name $name) -}}
{{- end -}}
{{- if and $role.autoscaling.targetOwnMetric (not (has $name (list "gateway" "sync"))) -}}
{{- fail (printf "%s.autoscaling.targetOwnMetric is set, but only gateway and sync have a metric of their own: use %s.autoscaling.metrics" $name $name) -}}
{{- end -}}
{{- else if and (eq (int $role.replicas) 0) (has $name (list "gateway" "auth" "room" "sync")) -}}
{{- fail (printf "%s.replicas is 0, but nothing works without the %s role: set it to 1 or more" $name $name) -}}
{{- end -}}
{{- if and (eq (toString $role.maxSurge) "0") (eq (toString $role.maxUnavailable) "0") -}}
{{- fail (printf "%s.maxSurge and %s.maxUnavailable are both 0: no rollout could ever begin" $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Each store is inside or outside, and one of them. */}}
{{- define "matrixon.checkStores" -}}
{{- $values := .Values -}}
{{- range $store := list (list "database" "postgresql" "PostgreSQL") (list "cache" "redis" "Redis") (list "bus" "nats" "NATS") -}}
{{- $key := index $store 0 -}}{{- $inside := index $store 1 -}}{{- $name := index $store 2 -}}
{{- $outside := get $values $key -}}
{{- $given := or $outside.url (and (eq $key "database") $outside.existingSecret) -}}
{{- if and $given (get $values $inside).enabled -}}
{{- fail (printf "both %s.enabled and %s.%s are set: use the chart's own %s or another one, not both" $inside $key (ternary "url" "existingSecret" (ne $outside.url "")) $name) -}}
{{- end -}}
{{- if not (or $given (get $values $inside).enabled) -}}
{{- fail (printf "%s.url is not set: give the %s to use, or set %s.enabled to true to run a single one in the cluster for trying out" $key $name $inside) -}}
{{- end -}}
{{- end -}}
{{- if and $values.database.url $values.database.existingSecret -}}
{{- fail "both database.url and database.existingSecret are set: the URL comes from one of them" -}}
{{- end -}}
{{- range $key := list "cache" "bus" -}}
{{- $store := get $values $key -}}
{{- if and $store.password $store.existingSecret -}}
{{- fail (printf "both %s.password and %s.existingSecret are set: the password comes from one of them" $key $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "matrixon.checkSecrets" -}}
{{- range $name, $secret := .Values.secrets -}}
{{- if and $secret.value $secret.existingSecret -}}
{{- fail (printf "both secrets.%s.value and secrets.%s.existingSecret are set: it comes from one of them" $name $name) -}}
{{- end -}}
{{- if and (eq (toString $secret.generate) "true") (or $secret.value $secret.existingSecret) -}}
{{- fail (printf "secrets.%s.generate is true and secrets.%s.%s is set: it is either generated or given" $name $name (ternary "value" "existingSecret" (ne $secret.value ""))) -}}
{{- end -}}
{{- if and (eq (toString $secret.generate) "false") (not (or $secret.value $secret.existingSecret)) -}}
{{- fail (printf "secrets.%s.generate is false and neither secrets.%s.existingSecret nor secrets.%s.value is set" $name $name $name) -}}
{{- end -}}
{{- end -}}
{{- $cluster := .Values.secrets.clusterSecret -}}
{{- range $key := list "value" "previousValue" -}}
{{- with get $cluster $key -}}
{{- if lt (len .) 32 -}}
{{- fail (printf "secrets.clusterSecret.%s is too short: it needs at least 32 characters, for example from `openssl rand -hex 32`" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $cluster.previousValue $cluster.existingSecret -}}
{{- fail (printf "both secrets.clusterSecret.previousValue and secrets.clusterSecret.existingSecret are set: put it into that Secret, under the key %s" $cluster.previousKey) -}}
{{- end -}}
{{- end -}}
