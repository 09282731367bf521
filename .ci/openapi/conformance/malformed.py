"""Requests that are wrong: other methods, bodies that are no JSON or lack what is required, parameters of the wrong kind.

The requests are those of the scenarios, made by somebody new in a room of their own; each is spoilt in one place."""

import http.client
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from .access import ENDING, as_caller
from .client import Answer, Request, Session, fill
from .scenarios import World
from .spec import Operation

CORS = ["access-control-allow-methods", "access-control-allow-headers"]
REFUSED_UNREAD = [
    ("POST", "/_matrix/client/v3/nonsense", 404),
    ("PATCH", "/_matrix/client/v3/createRoom", 405),
    ("POST", "/_matrix/client/v3/createRoom", 401),
]
# The caller may have no right or be asked for the password before the body is looked at.
BEFORE_THE_BODY = {401, 403, 404, 405}
# Required by the specification; but a request without it has a sensible meaning.
LENIENT = {
    ("login", "type"),  # answered as a type that the server does not know
    ("putRoomKeysVersion", "algorithm"),  # the algorithm cannot change, so it goes without saying
    ("reportRoom", "reason"),  # optional in v1.13
}
# A value of another type for each type.
NONSENSE: dict[str, Any] = {"string": ["nonsense"], **dict.fromkeys(["object", "array", "integer", "boolean", "number"], "nonsense")}


def check(world: World, operations: Iterable[Operation]) -> None:
    server = world.server
    for method, path, status in REFUSED_UNREAD:
        _check_connection(world, method, path, status)
    caller = world.nobody.register("malformed")
    room = caller.call("createRoom", {"preset": "public_chat"})["room_id"]
    for operation in operations:
        if operation.id not in server.samples or operation.id in server.unrecognized:
            continue
        request = as_caller(caller, room, world, operation)
        _check_methods(world, operation, request)
        if operation.id not in ENDING:
            _check_bodies(world, operation, request, caller)
            _check_query(world, operation, request, caller)


def _check_connection(world: World, method: str, path: str, status: int) -> None:
    """A body that arrives after the refusal: the connection goes on, or the answer says that it does not (RFC 9112, 9.6)."""
    gateway = urlsplit(world.server.urls[0])
    connection = http.client.HTTPConnection(gateway.hostname, gateway.port, timeout=30)
    about = f"{method} {path}, body after the refusal"
    try:
        connection.putrequest(method, path)
        connection.putheader("Content-Length", "2")
        connection.endheaders()
        time.sleep(0.2)
        connection.send(b"{}")
        answer = connection.getresponse()
        answer.read()
        if answer.status != status:
            world.server.report.found("connections", about, f"expected {status}, got {answer.status}")
        if not answer.will_close:
            connection.request("GET", "/_matrix/client/versions")
            connection.getresponse().read()
    except OSError as error:
        world.server.report.found("connections", about, f"closed without `Connection: close`, so the next request fails: {error!r}")
    finally:
        connection.close()


def _check_methods(world: World, operation: Operation, request: Request) -> None:
    path, found = fill(operation.path, request.path), world.server.report.found
    preflight = world.server.send("OPTIONS", path)
    if preflight.status_code not in {200, 204} or not all(header in preflight.headers for header in CORS):
        found("headers", operation, f"OPTIONS: {preflight.status_code} {dict(preflight.headers)}")
    other = world.server.send("PATCH", path, content=b"{}")
    if other.status_code != 405 or other.json().get("errcode") != "M_UNRECOGNIZED":
        found("unexpected answers", operation, f"PATCH: expected 405 M_UNRECOGNIZED, got {other.status_code} {other.text[:200]}")


def _check_bodies(world: World, operation: Operation, request: Request, caller: Session) -> None:
    schema = world.server.spec.body_schema(operation)
    if not schema:
        return
    for body, errcodes in [(b"{", {"M_NOT_JSON"}), (b"[]", {"M_BAD_JSON", "M_NOT_JSON"}), (b'"\xff"', {"M_NOT_JSON"})]:
        answer = world.server.ask(operation, Request(request.path, request.query, body), caller.token)
        _expect_refusal(world, operation, answer, f"the body {body!r}", errcodes)
    if not isinstance(request.body, dict):
        return
    for name in schema.get("required", []):
        body = {key: value for key, value in request.body.items() if key != name}
        answer = world.server.ask(operation, Request(request.path, request.query, body), caller.token)
        if (operation.id, name) not in LENIENT:
            _expect_refusal(world, operation, answer, f"without `{name}`", {"M_BAD_JSON", "M_MISSING_PARAM", "M_INVALID_PARAM"})
    for name, property_schema in schema.get("properties", {}).items():
        if name != "auth" and property_schema.get("type") in NONSENSE:
            body = {**request.body, name: NONSENSE[property_schema["type"]]}
            answer = world.server.ask(operation, Request(request.path, request.query, body), caller.token)
            if answer.status == 200:
                world.server.report.note(f"{operation} takes {body[name]!r} for `{name}`")


def _check_query(world: World, operation: Operation, request: Request, caller: Session) -> None:
    for name, schema in world.server.spec.query_parameters(operation).items():
        if schema.get("type") in {"integer", "boolean"} or "enum" in schema:
            answer = world.server.ask(
                operation, Request(request.path, {"timeout": 0, **request.query, name: "nonsense"}, request.body), caller.token
            )
            if answer.status == 200:
                world.server.report.note(f"{operation} takes `nonsense` for `{name}`")


def _expect_refusal(world: World, operation: Operation, answer: Answer, what: str, errcodes: set[str]) -> None:
    if answer.status not in BEFORE_THE_BODY and (answer.status != 400 or answer.errcode not in errcodes):
        world.server.report.found(
            "malformed requests", operation, f"{what}: expected 400 {sorted(errcodes)}, got {answer.status} {str(answer.body)[:200]}"
        )
