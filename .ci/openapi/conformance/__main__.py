"""Calls every operation of the Matrix client-server API on a running homeserver and checks every answer, errors too, against
the OpenAPI files of the specification; then asks each operation again with bodies and parameters that are wrong, and as those
whom it must refuse (no token, a wrong one, a guest, a locked and a suspended account). Ends with 0 only if everything conforms.

The server must let anybody register with `m.login.dummy` and must not limit how often it is asked. `.ci/openapi/run` starts
such a server and this program."""

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import access, malformed
from .client import Request, Server, Session
from .mail import Inbox
from .report import Report
from .scenarios import World, accounts, administration, encryption, rooms, syncing
from .spec import Operation, Spec

SPEC = Path(__file__).resolve().parents[4] / "shared" / "matrix-spec"
SCENARIOS: list[Callable[[World], None]] = [
    accounts.discovery,
    accounts.registration,
    accounts.guests,
    accounts.logging_in,
    accounts.passwords,
    accounts.deactivation,
    accounts.devices,
    accounts.profiles,
    accounts.people,
    accounts.third_party_networks,
    accounts.contacts_without_mail,
    accounts.contacts,
    encryption.device_keys,
    encryption.cross_signing,
    encryption.key_backup,
    encryption.messages_to_devices,
    encryption.dehydrated_devices,
    encryption.rendezvous,
    rooms.creation,
    rooms.events,
    rooms.state,
    rooms.membership,
    rooms.directory,
    syncing.filters,
    syncing.account_data,
    syncing.reading_and_typing,
    syncing.presence,
    syncing.push_rules,
    syncing.whole_sync,
    syncing.old_sync,
    administration.administration,
]
# What Matrixon does not have yet. Each must say so properly, and needs a scenario once it is there.
ABSENT_MODULES = {
    *("appservice_ping", "appservice_room_directory", "authed-content-repo", "content-repo", "notifications", "oauth_server_metadata"),
    *("pusher", "relations", "room_event_by_timestamp", "room_summary"),
    *("policy_server", "room_upgrades", "search", "space_hierarchy", "sso_login_redirect", "threads_list", "voip"),
}
ABSENT = {
    "deletePushRule",
    "getPushRule",
    "getPushRuleActions",
    "isPushRuleEnabled",
    "setPushRule",
    "setPushRuleActions",
    "setPushRuleEnabled",
}
# The same request as `inviteUser`, by an address instead of a user id: needs an identity server.
ELSEWHERE = {"inviteBy3PID"}


def main() -> int:
    arguments = _arguments()
    report = Report()
    spec = Spec(arguments.spec)
    server = Server(spec, arguments.url, report)
    nobody = Session(server)
    world = World(server, nobody, _admin(nobody, arguments.admin_token), Inbox(arguments.smtp) if arguments.smtp else None)
    if world.inbox is None:
        report.note("no inbox (--smtp): e-mail addresses were only refused")
    present, absent = _split(spec)
    try:
        for scenario in SCENARIOS:
            if arguments.only is None or scenario.__name__ in arguments.only:
                _run(report, scenario.__name__, partial(scenario, world), arguments.verbose)
        if arguments.only is None:
            for operation in present:
                if operation.id not in server.samples and operation.id not in ELSEWHERE:
                    report.found("not covered", operation, "no scenario calls it")
            _run(report, "absent", lambda: _check_absent(world, absent), arguments.verbose)
            _run(report, "malformed", lambda: malformed.check(world, present), arguments.verbose)
            _run(report, "access", lambda: access.check(world, present), arguments.verbose)
    finally:
        if world.inbox is not None:
            world.inbox.close()
    if arguments.verbose:
        report.print_answers()
    report.print(len(spec.operations) - len(ELSEWHERE))
    return 1 if report.findings else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", action="append", required=True, help="a gateway's client port; several are asked in turn")
    parser.add_argument("--spec", type=Path, default=SPEC, help="a checkout of the specification's data (default: %(default)s)")
    parser.add_argument("--admin-token", help="an administrator's access token")
    parser.add_argument("--smtp", metavar="HOST:PORT", help="where to take the server's mails")
    parser.add_argument("--only", action="append", metavar="SCENARIO", help="run only these scenarios, and nothing for access")
    parser.add_argument("--verbose", action="store_true", help="say how long each scenario took and what was answered")
    return parser.parse_args()


def _admin(nobody: Session, token: str | None) -> Session | None:
    if token is None:
        return None
    who = Session(nobody.server, token).call("getTokenOwner")
    return Session(nobody.server, token, who["user_id"], who.get("device_id", ""))


def _split(spec: Spec) -> tuple[list[Operation], list[Operation]]:
    """The operations that the server has, and those it does not."""
    absent = [operation for operation in spec.operations.values() if operation.module in ABSENT_MODULES or operation.id in ABSENT]
    return [operation for operation in spec.operations.values() if operation not in absent], absent


def _run(report: Report, name: str, part: Callable[[], None], verbose: bool) -> None:
    started = time.monotonic()
    try:
        part()
    except Exception as error:
        lines = [frame for frame in traceback.extract_tb(error.__traceback__) if "conformance" in frame.filename]
        trail = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(lines))
        report.found("broken scenarios", name, f"{type(error).__name__}: {error} ({trail})")
    if verbose:
        print(f"{name}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)


def _check_absent(world: World, operations: list[Operation]) -> None:
    caller = world.nobody.register("absent")
    names = {"roomId": "!room:example.org", "eventId": "$event", "kind": "override", "ruleId": "x"}
    for operation in operations:
        parameters = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
        path = {name: names.get(name, "x") for name in parameters}
        answer = world.server.ask(operation, Request(path, {}, {} if operation.method in {"POST", "PUT"} else None), caller.token)
        if answer.errcode == "M_UNRECOGNIZED":
            world.server.report.note(f"not there yet: {operation}")
        else:
            world.server.report.found("not covered", operation, f"it is there ({answer.status}) but no scenario calls it")


if __name__ == "__main__":
    sys.exit(main())
