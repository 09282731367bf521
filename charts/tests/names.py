"""Names of any length, and two releases beside each other."""
from render import Fault, ci, name_of, render


def check_lengths(objects, what):
    for one in objects:
        name = one["metadata"]["name"]
        # a StatefulSet's pods and a CronJob's Jobs add to it
        most = 52 if one["kind"] in ("StatefulSet", "CronJob") else 63
        if len(name) > most:
            raise Fault(f"{what}: {name_of(one)} has {len(name)} letters")
        for key, value in one["metadata"].get("labels", {}).items():
            if len(value) > 63:
                raise Fault(f"{what}: the label {key} of {name_of(one)} has {len(value)} letters")


def long_names_work():
    for name in ("a" * 63, "a" * 50, "a" * 41, "a" * 39 + "-" + "b" * 23, "x"):
        _, objects = render(ci("development"), sets=[f"fullnameOverride={name}", "backup.enabled=true", "dashboards.enabled=true"])
        check_lengths(objects, name)
    _, objects = render(ci("development"), release="r" * 53)
    check_lengths(objects, "a release name of 53 letters")


def two_releases_share_nothing():
    seen = {}
    long = "a" * 60
    for release, full in (("one", ""), ("two", ""), ("three", f"{long}1"), ("four", f"{long}2")):
        for one in render(ci("development"), release=release, sets=[f"fullnameOverride={full}"])[1]:
            other = seen.setdefault(name_of(one), release)
            if other != release:
                raise Fault(f"{name_of(one)} is in the releases {other} and {release}")


ALL = [long_names_work, two_releases_share_nothing]
