"""Who calls whom, by the code: what rules.py holds the network policies against."""
import re
from pathlib import Path

from render import Fault
from rules import CALLS, OUTSIDE, TABLES

SERVICES = Path(__file__).resolve().parents[2] / "services"


def source(role):
    files = (path for path in sorted((SERVICES / role / "src").rglob("*.rs")) if "tests" not in path.parts and path.name != "tests.rs")
    return "\n".join(path.read_text() for path in files)


def hold(what, code, chart):
    if code != chart:
        raise Fault(f"{what}: the code says {sorted(code)}, the chart {sorted(chart)}: matrixon.calls, .stores, .goesOut and tests/rules.py")


def calls_are_made():
    """A client of a role is `peers.role(…)`; who is not given any `Peers` has none."""
    given = {role for role in CALLS if "base.peers" in (SERVICES / f"matrixon/src/compose/roles/{role}.rs").read_text()}
    hold("who calls others", given, {role for role, called in CALLS.items() if called})
    for role, called in CALLS.items():
        text = source(role)
        if role == "gateway":
            # to whom a route belongs; and its process is where `matrixon admin` asks all replicas (operate/ask.rs: Peers::of_all)
            if not re.search(r"peers\.role\(role\)", text):
                raise Fault("the gateway calls the roles of its routes no more: whom does it call?")
            hold("whom the gateway calls", set(CALLS), called)
            continue
        names = re.findall(r"\.role\(\s*(?:Role::)?(\w+)\s*\)", text)
        hold(f"whom {role} calls", {name.lower() for name in names}, called)


def tables_are_used():
    text = (SERVICES / "matrixon/src/settings.rs").read_text()
    body = re.search(r"fn needs_database\(&self\) -> bool \{(.*?)\n    \}", text, re.DOTALL)[1]
    hold("who has tables", {name.lower() for name in re.findall(r"Role::(\w+)", body)}, TABLES)


def only_egress_goes_out():
    """All HTTP to third parties goes through lib/egress, all mail is auth's (services/matrixon/tests/architecture.rs)."""
    hold("who goes out", {role for role in CALLS if "matrixon-egress" in (SERVICES / role / "Cargo.toml").read_text()}, OUTSIDE)


ALL = [calls_are_made, tables_are_used, only_egress_goes_out]
