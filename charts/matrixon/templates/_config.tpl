{{/* A value as TOML: JSON has the same scalars and strings; tables are written inline. */}}
{{- define "matrixon.tomlValue" -}}
{{- if kindIs "map" . -}}
{ {{- $first := true -}}{{- range $key, $value := . -}}{{- if not $first }}, {{ end -}}{{- $first = false -}}{{ toJson $key }} = {{ include "matrixon.tomlValue" $value }}{{- end -}} }
{{- else if kindIs "slice" . -}}
[ {{- range $index, $value := . -}}{{- if $index }}, {{ end -}}{{ include "matrixon.tomlValue" $value }}{{- end -}} ]
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}

{{/* (list "path" table): values first, then the tables inside. */}}
{{- define "matrixon.tomlTable" -}}
{{- $path := index . 0 -}}
{{- $table := index . 1 -}}
{{- range $key, $value := $table -}}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ $key }} = {{ include "matrixon.tomlValue" $value }}
{{- end -}}
{{- end -}}
{{- range $key, $value := $table -}}
{{- if kindIs "map" $value }}
{{- $inner := ternary (printf "%s.%s" $path $key) $key (ne $path "") }}

[{{ $inner }}]
{{- include "matrixon.tomlTable" (list $inner $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* JSON of what all roles have in common, under what `config` says. */}}
{{- define "matrixon.config" -}}
{{- $values := .Values -}}
{{- $full := include "matrixon.fullname" . -}}
{{- $host := include "matrixon.host" . -}}
{{- $server := dict "name" $values.serverName "signing_key_path" "/etc/matrixon/secrets/signing.key" "data_dir" "/var/lib/matrixon" -}}
{{- if $values.host -}}
{{- $_ := set $server "client_base_url" (printf "%s://%s" (ternary "http" "https" (and $values.ingress.enabled (not $values.ingress.tls.enabled))) $host) -}}
{{- $_ := set $server "federation_base_url" (printf "%s:443" $host) -}}
{{- end -}}
{{- $bus := dict "url" (ternary (printf "nats://%s-nats:4222" $full) $values.bus.url $values.nats.enabled) -}}
{{- with ternary "matrixon" $values.bus.user $values.nats.enabled -}}{{- $_ := set $bus "user" . -}}{{- end -}}
{{- $cache := dict "url" (ternary (printf "redis://%s-redis:6379/0" $full) $values.cache.url $values.redis.enabled) -}}
{{- with $values.cache.user -}}{{- $_ := set $cache "user" . -}}{{- end -}}
{{- $telemetry := dict "log_format" "json" "log_level" $values.telemetry.logLevel -}}
{{- with $values.telemetry.otlpEndpoint -}}{{- $_ := set $telemetry "otlp_endpoint" . -}}{{- end -}}
{{- $config := dict
  "server" $server
  "listen" (dict "client" "0.0.0.0:8008" "federation" "0.0.0.0:8448" "cluster" "0.0.0.0:8100" "internal" "0.0.0.0:9090")
  "database" (dict "url_file" "/etc/matrixon/secrets/database.url" "startup_wait_seconds" $values.migrations.waitSeconds)
  "bus" $bus
  "cache" $cache
  "discovery" (include "matrixon.discovery" . | fromJson)
  "telemetry" $telemetry
  "shutdown" (dict "drain_delay_seconds" $values.shutdown.drainDelaySeconds "finish_seconds" $values.shutdown.finishSeconds)
  "gateway" (dict "trusted_proxies" $values.trustedProxies)
-}}
{{- include "matrixon.overlay" (list $config $values.config) -}}
{{- end -}}

{{/* The key of a role's file in the ConfigMap: the file is the gateway's, also of Jobs, or names only those that the role calls. */}}
{{- define "matrixon.configKey" -}}
{{- if eq . "gateway" -}}
matrixon.toml
{{- else -}}
calls-{{ include "matrixon.calls" . | default "nobody" | replace " " "-" }}.toml
{{- end -}}
{{- end -}}

{{/*
(list $ "role"): what all roles have in common, and of `discovery` whom the role calls. A process asks every replica that it knows of
twice a second whether it is there: what nobody needs, and the network policies refuse.
*/}}
{{- define "matrixon.configOf" -}}
{{- $root := index . 0 -}}{{- $role := index . 1 -}}
{{- $config := include "matrixon.config" $root | fromJson -}}
{{- $called := splitList " " (include "matrixon.calls" $role) -}}
{{- range $table := list $config.discovery $config.discovery.dns $config.discovery.kubernetes -}}
{{- range $other := splitList " " (include "matrixon.roles" $root) -}}
{{- if and $table (not (has $other $called)) -}}{{- $_ := unset $table $other -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- include "matrixon.tomlTable" (list "" $config) | trim -}}
{{- end -}}

{{/* Where the replicas of each role are. */}}
{{- define "matrixon.discovery" -}}
{{- $root := . -}}
{{- $dns := dict -}}{{- $watched := dict -}}
{{- range $role := splitList " " (include "matrixon.roles" .) -}}
{{- if ne $role "gateway" -}}
{{- $name := printf "%s-%s.%s.svc.%s.:8100" (include "matrixon.fullname" $root) $role $root.Release.Namespace $root.Values.discovery.clusterDomain -}}
{{- $_ := set $dns $role $name -}}
{{- $_ := set $watched $role (printf "%s-%s" (include "matrixon.fullname" $root) $role) -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.discovery.mode "kubernetes" -}}
{{- toJson (dict "dns" $dns "kubernetes" $watched) -}}
{{- else -}}
{{- toJson (dict "dns" $dns) -}}
{{- end -}}
{{- end -}}
