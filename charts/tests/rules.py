"""What every object must be, after the rules of kube-linter and Polaris and our own. Each rule: (name of the values, objects)."""
import base64
import re
import tomllib

from render import Fault, ci, name_of, pods, render

# whom a role calls (the gateway its like: `matrixon admin`), which have tables, and whether it has business outside; graph.py asks the code
CALLS = {
    "gateway": {"auth", "room", "sync", "media", "federation", "gateway"},
    "sync": set(),
    "media": set(),
    "federation": set(),
    "room": {"auth"},
    "auth": set(),
}
TABLES = {"auth", "room", "sync"}
OUTSIDE = {"auth"}
# Secrets and accounts that the value sets say exist already
GIVEN = {"pg-app", "redis", "nats", "signing", "cluster", "registry", "chat", "ca", "mx-matrixon-tls", "default"}


def component(one):
    return one["metadata"]["labels"]["app.kubernetes.io/component"]


def need(condition, values, one, what):
    if not condition:
        raise Fault(f"{values}: {name_of(one)}: {what}")


def pods_are_restricted(values, objects):
    for one, pod in pods(objects):
        spec = pod["spec"]
        context = spec["securityContext"]
        need(context.get("runAsNonRoot") and context.get("runAsUser"), values, one, "may run as root")
        need(context["seccompProfile"]["type"] == "RuntimeDefault", values, one, "no seccomp profile")
        need(spec.get("enableServiceLinks") is False, values, one, "service links in the environment")
        need(not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), values, one, "shares a host namespace")
        need(not any("hostPath" in volume for volume in spec.get("volumes", [])), values, one, "mounts the host")
        for container in spec["containers"] + spec.get("initContainers", []):
            own = container["securityContext"]
            need(own["allowPrivilegeEscalation"] is False and own["readOnlyRootFilesystem"], values, one, "not restricted")
            need(own["capabilities"]["drop"] == ["ALL"] and not own["capabilities"].get("add"), values, one, "has capabilities")
            requests = container["resources"].get("requests", {})
            need({"cpu", "memory"} <= set(requests), values, one, "no requests")
            need("memory" in container["resources"].get("limits", {}), values, one, "no memory limit")
            image = container["image"]
            need(re.search(r"(@sha256:[0-9a-f]{64}|:[\w.-]+)$", image) and not image.endswith(":latest"), values, one, f"image {image}")


def tokens_only_where_needed(values, objects):
    watches = any(one["kind"] == "RoleBinding" for one in objects)
    for one, pod in pods(objects):
        expected = one["kind"] == "Deployment" and watches and bool(CALLS[component(one)])
        need(pod["spec"]["automountServiceAccountToken"] is expected, values, one, "token mounted, or not, against the need")
    callers = {pod["spec"]["serviceAccountName"] for one, pod in pods(objects) if one["kind"] == "Deployment" and CALLS[component(one)]}
    for one in objects:
        if one["kind"] == "RoleBinding":
            need({subject["name"] for subject in one["subjects"]} == callers, values, one, "gives rights to who calls nobody")
        if one["kind"] == "Role":
            expected = [{"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]}]
            need(one["rules"] == expected, values, one, "more rights than to watch EndpointSlices")
        need(one["kind"] not in ("ClusterRole", "ClusterRoleBinding"), values, one, "rights in the whole cluster")


def deployments_roll_and_probe(values, objects):
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in objects if one["kind"] == "HorizontalPodAutoscaler"}
    budgets = {one["metadata"]["name"] for one in objects if one["kind"] == "PodDisruptionBudget"}
    deployments = [one for one in objects if one["kind"] == "Deployment"]
    if {component(one) for one in deployments} != set(CALLS):
        raise Fault(f"{values}: not a Deployment for each role")
    for one in deployments:
        name, spec = one["metadata"]["name"], one["spec"]
        need(("replicas" in spec) != (name in scaled), values, one, "replicas beside a HorizontalPodAutoscaler, or neither")
        fewest = spec.get("replicas", 2)
        need((name in budgets) == (fewest > 1), values, one, f"{fewest} replicas and a PodDisruptionBudget, or none")
        need(spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0, values, one, "a rollout takes pods away")
        need(spec["minReadySeconds"] >= 10, values, one, "minReadySeconds")
        selector, pod = spec["selector"]["matchLabels"], spec["template"]
        need(selector.items() <= pod["metadata"]["labels"].items(), values, one, "does not select its pods")
        need("app.kubernetes.io/version" not in selector and "helm.sh/chart" not in selector, values, one, "its selector changes at upgrades")
        need("checksum/config" in pod["metadata"]["annotations"], values, one, "does not restart when its configuration changes")
        need(pod["spec"].get("topologySpreadConstraints"), values, one, "is not spread")
        container = pod["spec"]["containers"][0]
        need({"startupProbe", "livenessProbe", "readinessProbe"} <= set(container), values, one, "lacks a probe")
        need(container["livenessProbe"]["httpGet"]["path"] == "/livez", values, one, "its liveness depends on others")
        config = configuration(objects)
        least = config["shutdown"]["drain_delay_seconds"] + config["shutdown"]["finish_seconds"] + 5
        need(pod["spec"]["terminationGracePeriodSeconds"] >= least, values, one, "is killed before its drain is over")


def configuration(objects, key="matrixon.toml"):
    text = next(one for one in objects if one["kind"] == "ConfigMap" and "matrixon.toml" in one["data"])["data"][key]
    return tomllib.loads(text)


def references_lead_somewhere(values, objects):
    made = {(one["kind"], one["metadata"]["name"]) for one in objects}
    names = [name_of(one) for one in objects]
    if len(names) != len(set(names)):
        raise Fault(f"{values}: {sorted(name for name in names if names.count(name) > 1)} more than once")

    def exists(one, kind, name):
        need((kind, name) in made or name in GIVEN, values, one, f"refers to {kind} {name}, which nobody makes")

    for one, pod in pods(objects):
        spec = pod["spec"]
        exists(one, "ServiceAccount", spec.get("serviceAccountName", "default"))
        mounted = {mount["name"] for container in spec["containers"] for mount in container.get("volumeMounts", [])}
        own = {volume["name"] for volume in spec.get("volumes", [])}
        own |= {claim["metadata"]["name"] for claim in one["spec"].get("volumeClaimTemplates", [])}
        need(mounted == own, values, one, f"volumes {sorted(mounted ^ own)} are declared or mounted only")
        for volume in spec.get("volumes", []):
            for source in [volume, *volume.get("projected", {}).get("sources", [])]:
                if "secret" in source:
                    exists(one, "Secret", source["secret"].get("secretName") or source["secret"]["name"])
                    check_keys(values, one, objects, source["secret"])
                if "configMap" in source:
                    exists(one, "ConfigMap", source["configMap"]["name"])
                if "persistentVolumeClaim" in source:
                    exists(one, "PersistentVolumeClaim", source["persistentVolumeClaim"]["claimName"])
    ports = {port["name"] for _, pod in pods(objects) for box in pod["spec"]["containers"] for port in box.get("ports", [])}
    labels = [pod["metadata"]["labels"] for _, pod in pods(objects)]
    for one in objects:
        if one["kind"] == "Service":
            need(any(one["spec"]["selector"].items() <= own.items() for own in labels), values, one, "selects no pod")
            need({port["targetPort"] for port in one["spec"]["ports"]} <= ports, values, one, "leads to no port")


def check_keys(values, one, objects, source):
    name = source.get("secretName") or source["name"]
    for secret in objects:
        if secret["kind"] == "Secret" and secret["metadata"]["name"] == name:
            keys = set(secret.get("data", {})) | set(secret.get("stringData", {}))
            missing = {item["key"] for item in source["items"]} - keys
            need(not missing or source.get("optional"), values, one, f"wants {missing} of the Secret {name}, which has {keys}")


def configuration_finds_everything(values, objects):
    config, services = configuration(objects), {one["metadata"]["name"] for one in objects if one["kind"] == "Service"}
    for role, place in config["discovery"].get("dns", {}).items():
        host = place.split(":")[0]
        if host.split(".")[0] not in services or host.split(".")[1] != "chat":
            raise Fault(f"{values}: the {role} role is looked for at {place}")
    for section in ("bus", "cache"):
        host = re.sub(r"^\w+://", "", config[section]["url"]).split(":")[0]
        if "." not in host and host not in services and host not in ("redis", "nats"):
            raise Fault(f"{values}: {section}.url is {config[section]['url']}")


def authorities_are_mounted(values, objects):
    """What `ca_certificate` names is a file of a volume, and that store is asked over TLS."""
    config = configuration(objects)
    for section, scheme in (("bus", "tls:"), ("cache", "rediss:")):
        path = config[section].get("ca_certificate")
        if not path:
            continue
        if not config[section]["url"].startswith(scheme):
            raise Fault(f"{values}: {section}.ca_certificate is set, and {section}.url is without TLS")
        for one, pod in pods(objects):
            if one["kind"] == "Deployment":
                places = [mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]]
                need(path.rsplit("/", 1)[0] in places, values, one, f"has no {path}")


def network_follows_the_call_graph(values, objects):
    policies = {one["metadata"]["name"]: one for one in objects if one["kind"] == "NetworkPolicy"}
    if values == "gateway-api-values":
        if policies:
            raise Fault(f"{values}: network policies although they are off")
        return
    deny = [one for one in policies.values() if not one["spec"].get("ingress") and not one["spec"].get("egress") and len(one["spec"]["podSelector"]["matchLabels"]) == 2]
    if len(deny) != 1:
        raise Fault(f"{values}: not everything is denied by default")
    for role, called in CALLS.items():
        one = next(policy for policy in policies.values() if component(policy) == role)
        callers = {caller for caller, calls in CALLS.items() if role in calls}
        need(peers(one["spec"]["ingress"], "from", 8100) == callers, values, one, "lets others in than its callers")
        need(peers(one["spec"]["egress"], "to", 8100) == called, values, one, "is let out to others than it calls")
        blocks = [peer["ipBlock"] for rule in one["spec"]["egress"] if "ports" not in rule for peer in rule["to"] if "ipBlock" in peer]
        need(bool(blocks) == (role in OUTSIDE), values, one, "reaches outside, or not, against its business")
        need(all("10.0.0.0/8" in block["except"] or "fc00::/7" in block["except"] for block in blocks), values, one, "reaches private networks")
        asks = any(rule.get("ports") == [{"port": 443}, {"port": 6443}] for rule in one["spec"]["egress"])
        need(asks == bool(called), values, one, "reaches the Kubernetes API, or not, against the need")
    # a gateway has no tables: its database is for `matrixon admin check`
    for one in policies.values():
        if component(one) == "postgresql":
            callers = peers(one["spec"]["ingress"], "from", 5432) - {"migrate", "backup", "test"}
            need(callers == TABLES | {"gateway"}, values, one, "lets others in than those with tables")
    components = {component(one) for one, _ in pods(objects)}
    lonely = components - {component(one) for one in policies.values()}
    if lonely:
        raise Fault(f"{values}: {lonely} have no network policy")


def peers(directions, which, port):
    found = set()
    for rule in directions or []:
        if any(one.get("port") == port for one in rule.get("ports", [])):
            found |= {peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in rule[which]}
    return found


def labels_are_standard(values, objects):
    for one in objects:
        labels = one["metadata"].get("labels", {})
        if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "mx-extra":
            continue
        for key in ("name", "instance", "component", "version", "managed-by", "part-of"):
            need(f"app.kubernetes.io/{key}" in labels, values, one, f"no label {key}")
        need(one["metadata"].get("namespace") == "chat", values, one, "no namespace")


def the_signing_key_stays(values, objects):
    for one in objects:
        if one["kind"] == "Secret" and "signing.key" in one.get("data", {}):
            need(one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep", values, one, "goes with the release")
            key = base64.b64decode(one["data"]["signing.key"]).decode()
            need(re.fullmatch(r"ed25519 a_\w+ [A-Za-z0-9+/]{43}", key), values, one, "is no signing key")


def secrets_stay_secret():
    """What is given as a value of a secret appears in Secrets only."""
    text, objects = render(ci("gateway-api"))
    outside = "\n".join(str(one) for one in objects if one["kind"] != "Secret")
    if "canary" in outside:
        raise Fault("a secret is outside of Secrets")
    for word in ("canary-database", "canary-cache", "canary-bus"):
        if word not in text:
            raise Fault(f"{word} is nowhere")


def roles_know_whom_they_call(values, objects):
    """Whom a role can find is whom it calls: it asks everybody it knows of whether they are there."""
    for one, pod in pods(objects):
        if one["kind"] == "Deployment":
            (container,) = pod["spec"]["containers"]
            (key,) = (mount["subPath"] for mount in container["volumeMounts"] if mount["name"] == "config")
            found = configuration(objects, key)["discovery"]
            for variable in container["env"]:
                if variable["name"] == "MATRIXON__DISCOVERY__DNS__GATEWAY":
                    found["dns"]["gateway"] = variable["value"]
            called = CALLS[component(one)]
            need(set(found["dns"]) == called, values, one, f"looks for {set(found['dns'])} in DNS, and calls {called}")
            watched = set(found.get("kubernetes", {})) - {"port", "namespace"}
            need(watched in (set(), called - {"gateway"}), values, one, f"watches {watched}, and calls {called}")


def files_of(pod, maps):
    """Path under /etc/matrixon/secrets → its sources as (kind, name, key, optional), of which the last counts; no key: all of a ConfigMap."""
    found = {}
    for volume in pod["spec"]["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            for kind, inner in source.items():
                for item in inner.get("items") or [{"path": path, "key": None} for path in maps[inner["name"]]]:
                    found.setdefault(item["path"], []).append((kind, inner["name"], item["key"], inner.get("optional", False)))
    return found


def the_previous_secret_comes_with_the_current_one(values, objects):
    """Every process that reads the cluster's secret reads the other one of the same Secret, or an empty file where it has none."""
    maps = {one["metadata"]["name"]: one["data"] for one in objects if one["kind"] == "ConfigMap"}
    readers = 0
    for one, pod in pods(objects):
        env = {variable["name"]: variable for variable in pod["spec"]["containers"][0].get("env", [])}
        secret, previous = (env.get(f"MATRIXON__CLUSTER__{name}_FILE", {}).get("value") for name in ("SECRET", "PREVIOUS_SECRET"))
        need((secret is None) == (previous is None), values, one, "has one of two secrets of the cluster")
        if secret is None:
            continue
        readers += 1
        need(not any(name.startswith("MATRIXON__CLUSTER__") and not name.endswith("_FILE") for name in env), values, one, "has a secret in its environment")
        files = files_of(pod, maps)
        ((kind, name, _, optional),) = files[secret.rsplit("/", 1)[1]]
        need(kind == "secret" and not optional, values, one, "would start without the secret of the cluster")
        sources = files[previous.rsplit("/", 1)[1]]
        need(len(sources) == 2, values, one, f"has {len(sources)} sources of the previous secret: an empty file and the Secret's key are two")
        (fallback, empty, key, _), (other_kind, other_name, other_key, other_optional) = sources
        need((other_kind, other_name, other_optional) == ("secret", name, True), values, one, "takes the previous secret from elsewhere, or insists on it")
        expected = {"cluster": "previous"}.get(name, "cluster.previous_secret")
        need(other_key == expected, values, one, f"takes the previous secret from the key {other_key}")
        need(fallback == "configMap" and key is None, values, one, "has no file without a previous secret, or two sources name its path")
        need(set(maps[empty].values()) == {""}, values, one, "has a previous secret of nobody's")
    if readers < len(CALLS):
        raise Fault(f"{values}: only {readers} pods read the secret of the cluster")


def the_cluster_secret_rotates():
    """The three steps as values: what the Secret holds after each, and that each rolls every role."""
    old, new = "o" * 32, "n" * 32
    steps = [(old, ""), (old, new), (new, old), (new, "")]
    seen = []
    for value, previous in steps:
        sets = [f"secrets.clusterSecret.value={value}", f"secrets.clusterSecret.previousValue={previous}"]
        _, objects = render(ci("development"), sets=sets)
        data = next(one["data"] for one in objects if name_of(one) == "Secret mx-matrixon-cluster")
        data = {key: base64.b64decode(text).decode() for key, text in data.items()}
        if data != {"cluster.secret": value} | ({"cluster.previous_secret": previous} if previous else {}):
            raise Fault(f"{sets}: the Secret holds {data}")
        seen.append([pod["metadata"]["annotations"]["checksum/secrets"] for one, pod in pods(objects) if one["kind"] == "Deployment"])
    if any(len(set(checksums)) != len(steps) for checksums in zip(*seen, strict=True)) or len(seen[0]) != len(CALLS):
        raise Fault("a step of the rotation does not roll every role")


def upgrades_leave_the_stores_alone():
    """Another version of Matrixon changes nothing of the pods of PostgreSQL, Redis and NATS."""
    templates = []
    for tag in ("1.0.0", "2.0.0"):
        _, objects = render(ci("development"), sets=[f"image.tag={tag}"])
        templates.append({name_of(one): one["spec"]["template"] for one in objects if one["kind"] == "StatefulSet"})
    if len(templates[0]) != 3 or templates[0] != templates[1]:
        raise Fault("an upgrade restarts the chart's own stores")


ALL = [
    pods_are_restricted,
    tokens_only_where_needed,
    deployments_roll_and_probe,
    references_lead_somewhere,
    configuration_finds_everything,
    authorities_are_mounted,
    roles_know_whom_they_call,
    the_previous_secret_comes_with_the_current_one,
    network_follows_the_call_graph,
    labels_are_standard,
    the_signing_key_stays,
]
