"""helm template, and what comes out of it."""
import subprocess
from pathlib import Path

import yaml

CHART = Path(__file__).resolve().parents[1] / "matrixon"


class Fault(Exception):
    """Something about the chart is wrong."""


def template(*values, sets=(), release="mx", namespace="chat", api=()):
    """(exit code, standard output, standard error)"""
    command = ["helm", "template", release, CHART, "--namespace", namespace, "--kube-version", "1.34.0"]
    for path in values:
        command += ["-f", path]
    for one in sets:
        command += ["--set", one]
    for one in api:
        command += ["--api-versions", one]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def render(*values, sets=(), release="mx", namespace="chat"):
    """(text, objects)"""
    code, text, error = template(*values, sets=sets, release=release, namespace=namespace)
    if code:
        raise Fault(f"{[str(path) for path in values]} {list(sets)} do not render: {error}")
    return text, [one for one in yaml.safe_load_all(text) if one]


def ci(name):
    return CHART / "ci" / f"{name}-values.yaml"


def name_of(one):
    return f"{one['kind']} {one['metadata']['name']}"


def pods(objects):
    """(object, pod template) of everything that makes pods."""
    for one in objects:
        spec = one.get("spec", {})
        if one["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield one, spec["template"]
        elif one["kind"] == "CronJob":
            yield one, spec["jobTemplate"]["spec"]["template"]
        elif one["kind"] == "Pod":
            yield one, {"metadata": one["metadata"], "spec": spec}
