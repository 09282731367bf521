#!/usr/bin/env python3
"""Writes the Grafana dashboards of the chart (charts/matrixon/files/dashboards) from the panels below.

    charts/dashboards.py            write them
    charts/dashboards.py --check    say which are not as this file has them

A panel is (title, unit, description, {legend: query}) and options. In queries, `$n` stands for the selector of the chosen
namespace and `$i` for the rate interval. Queries name metrics of the server itself, so that dashboards work without rules.
"""
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent / "matrixon/files/dashboards"


def quantile(q, metric, labels="", by=""):
    """A quantile of a histogram; `by` keeps labels."""
    selector = f'{{{labels}{"," if labels else ""}$n}}'
    return f"histogram_quantile({q}, sum by (le{', ' + by if by else ''}) (rate({metric}_bucket{selector}[$i])))"


def quantiles(metric, labels=""):
    return {f"p{name}": quantile(q, metric, labels) for name, q in (("50", 0.5), ("95", 0.95), ("99", 0.99))}


def rate(metric, labels="", by=""):
    selector = f'{{{labels}{"," if labels else ""}$n}}'
    return f"sum{' by (' + by + ')' if by else ''} (rate({metric}{selector}[$i]))"


def or_zero(query):
    """For what has no series, or no value, until it happens for the first time."""
    return f"({query} >= 0) or vector(0)"


def errors(window):
    total = f'sum(rate(matrixon_http_requests_total{{service="gateway",$n}}[{window}]))'
    bad = f'sum(rate(matrixon_http_requests_total{{service="gateway",code=~"5..",$n}}[{window}]))'
    return f"({bad} or 0 * {total}) / {total}"


def failed_deliveries(window):
    bad = f'sum(rate(matrixon_deliveries_total{{result="failed",$n}}[{window}]))'
    total = f"sum(rate(matrixon_deliveries_total{{$n}}[{window}]))"
    return f"{bad} / ({total} > 0) or 0 * {total}"


def of_service(metric, service):
    """Figures of the processes that run a role."""
    return f'{metric}{{$n}} and on (instance) matrixon_build_info{{service=~"{service}",$n}}'


def process_panels(service):
    cpu = of_service("rate(process_cpu_seconds_total", service).replace("{$n}", "{$n}[$i])", 1)
    return [
        ("CPU", "none", "Cores in use, by process.", {"{{instance}}": cpu}),
        ("Memory", "bytes", "Resident memory, by process.", {"{{instance}}": of_service("process_resident_memory_bytes", service)}),
        ("Open files", "short", "File descriptors: every connection is one.", {"{{instance}}": of_service("process_open_fds", service)}),
    ]


SHORT = 'service="gateway",kind="short"'
GATEWAY = 'service="gateway"'
GATEWAY_5XX = 'service="gateway",code=~"5.."'
IDENTITY = 'cache="gateway_sessions"'
IDENTITY_HIT = 'cache="gateway_sessions",result="hit"'
ROOM = 'service="room"'
MEDIA = 'service="media"'
MEDIA_5XX = 'service="media",code=~"5.."'
DASHBOARDS = {
    "1-slo": ("Matrixon / 1 Objectives", [
        ("Availability, now", "percentunit", "Share of requests at the gateway that were not answered 5xx. Objective: 99.9 %.",
         {"availability": f"1 - ({errors('$i')})"}, dict(kind="stat", floor=0.999)),
        ("Error budget left, 30 days", "percentunit", "Of the 0.1 % of requests that may fail in 30 days. Below zero: the objective is missed.",
         {"left": f"1 - ({errors('30d')}) / 0.001"}, dict(kind="stat", floor=0)),
        ("Client requests, p95", "s", "Time at the gateway without long polls. Objective: 50 ms.",
         {"p95": quantile(0.95, "matrixon_http_request_duration_seconds", SHORT)}, dict(kind="stat", ceiling=0.05)),
        ("Delivery, now", "percentunit", "Share of deliveries that did not fail. Objective: 99.95 %.",
         {"delivered": f"1 - ({failed_deliveries('$i')})"}, dict(kind="stat", floor=0.9995)),
        ("Burn rate", "none", "How many times faster than allowed the error budget of 30 days is used up. 14.4 over an hour wakes people.",
         {"5 min": f"({errors('5m')}) / 0.001", "1 h": f"({errors('1h')}) / 0.001", "6 h": f"({errors('6h')}) / 0.001"}),
        ("Client requests", "s", "Time at the gateway without long polls.",
         quantiles("matrixon_http_request_duration_seconds", SHORT)),
        ("Delivery latency", "s", "From the time in the event to the answer of a waiting /sync.",
         quantiles("matrixon_delivery_latency_seconds", 'path="sync"')),
        ("Federation, p95", "s", "Our share of the time of federation requests; 0 while there are none. Objective: 100 ms.",
         {"p95": or_zero(quantile(0.95, "matrixon_federation_duration_seconds"))}),
    ]),
    "2-gateway": ("Matrixon / 2 Gateway", [
        ("Requests", "reqps", "Answers a second, by status code.", {"{{code}}": rate("matrixon_http_requests_total", 'service="gateway"', "code")}),
        ("Errors by route", "reqps", "Answers 5xx a second; 0 while there are none.",
         {"{{route}}": f"topk(10, {rate('matrixon_http_requests_total', GATEWAY_5XX, 'route')}) or vector(0)"}),
        ("Slowest routes, p95", "s", "The ten slowest routes without long polls.",
         {"{{route}}": f"topk(10, {quantile(0.95, 'matrixon_http_request_duration_seconds', SHORT, 'route')})"}),
        ("Busiest routes", "reqps", "The ten busiest routes.", {"{{route}}": f"topk(10, {rate('matrixon_http_requests_total', GATEWAY, 'route')})"}),
        ("In flight", "short", "Requests being served, short ones and long polls.", {"{{kind}}": 'sum by (kind) (matrixon_http_inflight{service="gateway",$n})'}),
        ("Open connections", "short", "Connections of clients and servers, by process.", {"{{instance}}": 'sum by (instance) (matrixon_http_connections{service=~"gateway|all",$n})'}),
        ("Refused by rate limits (429)", "reqps", "By class of limit.", {"{{class}}": rate("matrixon_rate_limited_total", by="class")}),
        ("Identity cache hits", "percentunit", "Share of tokens that needed no look-up at auth.",
         {"hits": f"{rate('matrixon_cache_requests_total', IDENTITY_HIT)} / {rate('matrixon_cache_requests_total', IDENTITY)}"}),
        *process_panels("gateway"),
    ]),
    "3-sync": ("Matrixon / 3 Sync", [
        ("Waiting /sync requests", "short", "By process.", {"{{instance}}": "sum by (instance) (matrixon_sync_waiters{$n})"}),
        ("Users in memory", "short", "Users whose rooms a process holds, by process.", {"{{instance}}": "sum by (instance) (matrixon_sync_users_online{$n})"}),
        ("Wake to response", "s", "From the bell to the finished response.", quantiles("matrixon_sync_wake_seconds")),
        ("Stream lag", "short", "Positions known to be committed and not reached, the worst process. Anything but 0 for long is trouble.",
         {"{{stream}} {{consumer}}": "max by (stream, consumer) (matrixon_stream_lag{$n})"}),
        ("Stream speed", "cps", "Positions a second.", {"{{stream}}": "max by (stream) (deriv(matrixon_stream_position{$n}[$i]))"}),
        ("Gaps in the bus", "cps", "Ranges read from SQL because a bell did not arrive.", {"{{stream}}": rate("matrixon_bus_gaps_total", by="stream")}),
        ("Deliveries", "cps", "Events in answers to /sync, and answers that failed.", {"{{path}} {{result}}": rate("matrixon_deliveries_total", by="path, result")}),
        ("Short requests, p95", "s", "Time in the sync role by route, without long polls.",
         {"{{route}}": quantile(0.95, "matrixon_http_request_duration_seconds", 'service="sync",kind="short"', "route")}),
        *process_panels("sync"),
    ]),
    "4-rooms": ("Matrixon / 4 Rooms", [
        ("Events accepted", "cps", "A second, by where they come from.", {"{{origin}}": rate("matrixon_events_accepted_total", by="origin")}),
        ("Writing a batch", "s", "Time in SQL of one batch of events, without its COMMIT.", quantiles("matrixon_event_persist_duration_seconds")),
        ("Events a batch", "none", "How well group commit gathers.",
         {"events": f"{rate('matrixon_events_accepted_total')} / ({rate('matrixon_event_persist_duration_seconds_count')} > 0)"}),
        ("Appends computed again", "cps", "Because the room had moved on meanwhile.", {"conflicts": rate("matrixon_room_append_conflicts_total")}),
        ("State resolutions", "cps", "Forks resolved a second.", {"resolutions": rate("matrixon_state_resolution_duration_seconds_count")}),
        ("Time in state resolution", "percentunit", "Share of one core.", {"time": rate("matrixon_state_resolution_duration_seconds_sum")}),
        ("Requests, p95", "s", "Time in the room role by route.", {"{{route}}": f"topk(10, {quantile(0.95, 'matrixon_http_request_duration_seconds', ROOM, 'route')})"}),
        ("Requests", "reqps", "By status code.", {"{{code}}": rate("matrixon_http_requests_total", 'service="room"', "code")}),
        *process_panels("room"),
    ]),
    "5-federation": ("Matrixon / 5 Federation", [
        ("Requests in", "reqps", "From other servers, by status code.", {"{{code}}": rate("matrixon_federation_requests_total", 'direction="in"', "code")}),
        ("Requests out", "reqps", "To other servers, by status code.", {"{{code}}": rate("matrixon_federation_requests_total", 'direction="out"', "code")}),
        ("Time, p95", "s", "Our share of the time of a request; 0 while there are none.",
         {direction: or_zero(quantile(0.95, "matrixon_federation_duration_seconds", f'direction="{direction}"')) for direction in ("in", "out")}),
        ("Servers by state", "short", "Servers that share a room with us.", {"{{state}}": "max by (state) (matrixon_federation_destinations{$n})"}),
        ("Events from other servers", "cps", "Accepted a second.", {"events": rate("matrixon_events_accepted_total", 'origin="federation"')}),
        *process_panels("federation"),
    ]),
    "6-media": ("Matrixon / 6 Media", [
        ("Requests", "reqps", "Answers of the media role a second; 0 while there are none.", {"requests": f"{rate('matrixon_http_requests_total', MEDIA)} or vector(0)"}),
        ("Errors", "reqps", "Answers 5xx a second; 0 while there are none.", {"errors": f"{rate('matrixon_http_requests_total', MEDIA_5XX)} or vector(0)"}),
        ("Time, p95", "s", "0 while there are no requests.", {"p95": or_zero(quantile(0.95, "matrixon_http_request_duration_seconds", 'service="media"'))}),
        ("Refused by rate limits (429)", "reqps", "Media requests over the limit.", {"refused": rate("matrixon_rate_limited_total", 'class="media"')}),
        *process_panels("media"),
    ]),
    "7-data": ("Matrixon / 7 PostgreSQL, Redis, NATS", [
        ("Database connections", "short", "In use and idle, by service.", {"{{service}} {{state}}": "sum by (service, state) (matrixon_db_pool_connections{$n})"}),
        ("Pool use", "percentunit", "Connections in use of all that are open, the worst process.",
         {"{{service}}": 'max by (service) (matrixon_db_pool_connections{state="used",$n} / ignoring (state) sum without (state) (matrixon_db_pool_connections{$n}))'}),
        ("Waiting for a connection, p95", "s", "Time until the pool gave a connection, by service.",
         {"{{service}}": quantile(0.95, "matrixon_db_pool_wait_seconds", "", "service")}),
        ("Schema version", "none", "That the binaries bring; several values for long mean a rollout that has stopped.", {"{{service}}": "max by (service) (matrixon_db_schema_version{$n})"}, dict(kind="stat")),
        ("Since the last backup", "s", "Age of the newest backup that `matrixon database backup` finished. Decades: there is none.",
         {"age": "time() - max(matrixon_backup_last_success_seconds{$n})"}, dict(kind="stat", ceiling=129600)),
        ("Shared cache", "none", "Connected processes.", {"connected": "sum(matrixon_cache_connected{$n})"}, dict(kind="stat")),
        ("Cache requests", "reqps", "By result.", {"{{cache}} {{result}}": rate("matrixon_cache_requests_total", by="cache, result")}),
        ("Bus", "none", "Connected processes.", {"connected": "sum(matrixon_bus_connected{$n})"}, dict(kind="stat")),
        ("Messages on the bus", "cps", "Handed to it and received from it.",
         {"published": rate("matrixon_bus_published_total"), "received": rate("matrixon_bus_received_total")}),
        ("Dropped by the bus", "cps", "Only speed is lost: readers read SQL.", {"{{reason}}": rate("matrixon_bus_dropped_total", by="reason")}),
        ("Bus resets", "cps", "Times subscribers were told that they may have missed something.", {"resets": rate("matrixon_bus_resets_total")}),
    ]),
    "8-rollout": ("Matrixon / 8 Rollout", [
        ("Versions", "none", "Processes by role and version.", {"{{service}} {{version}}": "count by (service, version) (matrixon_build_info{$n})"}, dict(kind="stat")),
        ("Version by process", "none", "What runs where.", {"{{instance}} {{service}} {{version}}": "matrixon_build_info{$n}"}, dict(kind="table")),
        ("Ready", "none", "Processes that take traffic, by role.",
         {"{{service}}": "sum by (service) (matrixon_build_info{$n} * on (instance) group_left () matrixon_ready{$n})"}),
        ("Draining", "none", "Processes between SIGTERM and their end.", {"{{instance}}": "matrixon_draining{$n}"}),
        ("Drained requests", "short", "Requests in flight at a drain in the last hour. `cut` must stay 0.",
         {"{{result}}": 'sum by (result) (increase(matrixon_drained_requests_total{service!="internal",$n}[1h]))'}),
        ("Time since the start", "s", "By process.", {"{{instance}}": "time() - process_start_time_seconds{$n} and on (instance) matrixon_build_info{$n}"}),
        ("Failed attempts between roles", "cps", "`retried` is what users do not notice; `given_up` they do.",
         {"{{target}} {{result}}": rate("matrixon_rpc_failed_attempts_total", by="target, result")}),
        ("Errors at the gateway", "percentunit", "Share of answers 5xx during the rollout.", {"errors": errors("$i")}),
    ]),
}


def panel(number, place, spec):
    title, unit, description, queries, *rest = spec
    options = rest[0] if rest else {}
    kind = options.get("kind", "timeseries")
    targets = [
        {"datasource": {"type": "prometheus", "uid": "${datasource}"}, "refId": chr(65 + index), "legendFormat": legend,
         "expr": query.replace("$n", 'namespace=~"$namespace"').replace("$i", "$__rate_interval"),
         **({"instant": True, "format": "table"} if kind == "table" else {})}
        for index, (legend, query) in enumerate(queries.items())
    ]
    steps = [{"color": "green", "value": None}]
    if "ceiling" in options:
        steps.append({"color": "red", "value": options["ceiling"]})
    if "floor" in options:
        steps = [{"color": "red", "value": None}, {"color": "green", "value": options["floor"]}]
    defaults = {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if kind == "timeseries":
        defaults |= {"min": 0, "custom": {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": False}}
    if unit == "percentunit":
        defaults["decimals"] = 3
    body = {
        "timeseries": {"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area", "textMode": "auto"},
        "table": {"showHeader": True},
    }[kind]
    return {"id": number, "type": kind, "title": title, "description": description, "gridPos": place,
            "datasource": {"type": "prometheus", "uid": "${datasource}"}, "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": body, "targets": targets}


def places(specs):
    """Stats in rows of four, everything else in rows of two."""
    x = y = 0
    height = 0
    for spec in specs:
        stat = len(spec) > 4 and spec[4].get("kind") == "stat"
        width, tall = (6, 5) if stat else (12, 8)
        if x + width > 24 or (height and tall != height):
            x, y, height = 0, y + height, 0
        yield {"x": x, "y": y, "w": width, "h": tall}
        x, height = x + width, tall


def dashboard(name, title, specs):
    variables = [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}, "hide": 0},
        {"name": "namespace", "label": "Namespace", "type": "query", "datasource": {"type": "prometheus", "uid": "${datasource}"},
         "query": {"query": "label_values(matrixon_build_info, namespace)", "refId": "namespace"}, "refresh": 2,
         "includeAll": True, "allValue": ".*", "multi": True, "current": {"text": "All", "value": "$__all"}, "sort": 1},
    ]
    panels = [panel(number + 1, place, spec) for number, (place, spec) in enumerate(zip(places(specs), specs))]
    return {"uid": f"matrixon-{name}", "title": title, "tags": ["matrixon"], "schemaVersion": 39, "version": 1, "editable": True,
            "timezone": "", "refresh": "30s", "time": {"from": "now-1h", "to": "now"}, "graphTooltip": 1, "annotations": {"list": []},
            "links": [{"type": "dashboards", "tags": ["matrixon"], "asDropdown": True, "title": "Matrixon", "includeVars": True, "keepTime": True}],
            "templating": {"list": variables}, "panels": panels}


def main():
    stale = []
    for name, (title, specs) in DASHBOARDS.items():
        path = HERE / f"{name}.json"
        text = json.dumps(dashboard(name, title, specs), indent=1, ensure_ascii=False) + "\n"
        if "--check" in sys.argv:
            if not path.exists() or path.read_text() != text:
                stale.append(path.name)
        else:
            HERE.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if stale:
        sys.exit(f"not as charts/dashboards.py has them, run it: {', '.join(stale)}")


main()
