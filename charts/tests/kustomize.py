"""k8s/ is the chart: what kustomize builds of the base and what Helm renders are the same objects."""
import copy
import shutil
import subprocess
from pathlib import Path

import yaml

from render import Fault, name_of, render

K8S = Path(__file__).resolve().parents[2] / "k8s"
STORES = ("postgresql", "redis", "nats")
NAMESPACE = "matrixon"


def plain(one):
    """Without what only Helm needs."""
    one = copy.deepcopy(one)
    one["metadata"].pop("namespace", None)
    for labels in (one["metadata"]["labels"], one.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {})):
        labels.pop("helm.sh/chart", None)
        labels.pop("app.kubernetes.io/managed-by", None)
    one["metadata"].pop("annotations", None)
    return one


def chart_objects():
    return [plain(one) for one in render(K8S / "values.yaml", release="matrixon", namespace=NAMESPACE)[1]]


def store_objects():
    """The chart's own stores; their Secrets come from k8s/make-secrets."""
    sets = [f"{store}.enabled=true" for store in STORES]
    empty = ["database.existingSecret=", "cache.url=", "cache.existingSecret=", "bus.url=", "bus.user=", "bus.existingSecret="]
    _, objects = render(K8S / "values.yaml", sets=sets + empty, release="matrixon", namespace=NAMESPACE)
    stores = [one for one in objects if one["metadata"]["labels"]["app.kubernetes.io/component"] in STORES]
    for one in stores:
        if one["kind"] == "StatefulSet":
            # made of generated passwords, new at each rendering
            one["spec"]["template"]["metadata"].get("annotations", {}).pop("checksum/config", None)
    return [plain(one) for one in stores if one["kind"] != "Secret"]


def build(directory):
    command = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"]
    if not shutil.which(command[0]):
        raise Fault("neither kustomize nor kubectl is installed: .ci/install makes it")
    done = subprocess.run([*command, directory], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Fault(f"{directory}: {done.stderr}")
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def the_base_is_the_chart():
    built = {name_of(one): one for one in build(K8S / "base")}
    built.pop("ConfigMap matrixon-site", None)
    expected = {name_of(one): one for one in chart_objects()}
    if set(built) != set(expected):
        raise Fault(f"k8s/base: {sorted(set(built) ^ set(expected))} there or in the chart only")
    for name, one in expected.items():
        other = plain(built[name])
        if other != one:
            raise Fault(f"k8s/base: {name} is not what the chart makes: run k8s/generate")


def the_overlays_build():
    for overlay, least in (("dev", 40), ("production", 30)):
        objects = build(K8S / "overlays" / overlay)
        if len(objects) < least:
            raise Fault(f"k8s/overlays/{overlay}: only {len(objects)} objects")
        foreign = [name_of(one) for one in objects if one["kind"] != "Namespace" and one["metadata"].get("namespace") != NAMESPACE]
        if foreign:
            raise Fault(f"k8s/overlays/{overlay}: {foreign} are not in the namespace {NAMESPACE}")
    stores = [plain(one) for one in build(K8S / "overlays/dev") if one["metadata"].get("labels", {}).get("app.kubernetes.io/component") in STORES]
    by_name = {name_of(one): one for one in store_objects()}
    wrong = [name_of(one) for one in stores if one["spec" if "spec" in one else "data"] != by_name[name_of(one)].get("spec", by_name[name_of(one)].get("data")) and one["kind"] != "StatefulSet"]
    if wrong or len(stores) != len(by_name):
        raise Fault(f"k8s/overlays/dev: {wrong} are not what the chart makes: run k8s/generate")


ALL = [the_base_is_the_chart, the_overlays_build]
