"""Calls operations by their names and judges every answer."""

import itertools
import json
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from .report import Report
from .spec import Operation, Spec

PASSWORD = "correct horse battery staple 7!"
# Errors that any operation may answer, with the statuses they come with ("Standard error response").
COMMON = {
    "M_BAD_JSON": {400},
    "M_FORBIDDEN": {403},
    "M_GUEST_ACCESS_FORBIDDEN": {403},
    "M_INVALID_PARAM": {400},
    "M_LIMIT_EXCEEDED": {429},
    "M_MISSING_PARAM": {400},
    "M_MISSING_TOKEN": {401},
    "M_NOT_FOUND": {404},
    "M_NOT_JSON": {400},
    "M_TOO_LARGE": {413},
    "M_UNKNOWN": {400},
    "M_UNKNOWN_TOKEN": {401},
    "M_UNRECOGNIZED": {404, 405},
    "M_USER_LOCKED": {401},
    "M_USER_SUSPENDED": {403},
}
# Known from the prose ("Other error codes", modules) and not from the OpenAPI files.
IN_PROSE = {
    *("M_BAD_STATE", "M_CAPTCHA_INVALID", "M_CAPTCHA_NEEDED", "M_EXCLUSIVE", "M_INVALID_ROOM_STATE", "M_SERVER_NOT_TRUSTED"),
    *("M_THREEPID_AUTH_FAILED", "M_THREEPID_MEDIUM_NOT_SUPPORTED", "M_UNAUTHORIZED", "M_USER_LIMIT_EXCEEDED", "M_WEAK_PASSWORD"),
}
# Answers that the OpenAPI files do not list where the prose or the nature of the request demands them.
ALSO = {
    ("add3PID", 403, "M_THREEPID_AUTH_FAILED"),  # as the deprecated `post3PIDs`, which it replaces
    ("bind3PID", 400, "M_SERVER_NOT_TRUSTED"),  # as everywhere an identity server is named
}
# Refusals of the token itself, which come before what an operation says about 401.
TOKEN_ERRORS = {"M_MISSING_TOKEN", "M_UNKNOWN_TOKEN", "M_USER_LOCKED"}

Expected = int | tuple[int, str] | set[int]


@dataclass(frozen=True)
class Request:
    """What an operation was called with."""

    path: dict[str, str | None]
    query: dict[str, Any]
    body: Any


@dataclass
class Sample:
    """A request of the scenarios, to be asked again by others."""

    request: Request
    status: int
    user_id: str


@dataclass(frozen=True)
class Answer:
    status: int
    headers: httpx.Headers
    body: Any

    @property
    def errcode(self) -> str:
        return str(self.body.get("errcode", "")) if isinstance(self.body, dict) else ""


class Server:
    """The homeserver, behind one or several gateways that are asked in turn."""

    def __init__(self, spec: Spec, urls: list[str], report: Report) -> None:
        self.spec = spec
        self.report = report
        self.samples: dict[str, Sample] = {}
        self.unrecognized: set[str] = set()
        self._known = spec.errcodes | COMMON.keys() | IN_PROSE
        self.urls = [url.rstrip("/") for url in urls]
        self._gateways = itertools.cycle(self.urls)
        self._http = httpx.Client(timeout=60)
        self._transactions = itertools.count()
        self._previous: dict[str, str] = {}

    def transaction(self) -> str:
        return f"t{next(self._transactions)}-{secrets.token_hex(4)}"

    def send(self, method: str, path: str, token: str | None = None, **arguments: Any) -> httpx.Response:
        headers = arguments.pop("headers", {})
        if token is not None:
            headers = {**headers, "Authorization": f"Bearer {token}"}
        gateway = next(self._gateways)
        request = {"method": method, "url": gateway + path, "headers": headers, **arguments}
        try:
            response = self._http.request(**request)
        except httpx.RemoteProtocolError:
            previous = self._previous.get(gateway, "the start")
            self.report.found(
                "connections", previous, "its connection was closed afterwards without `Connection: close`, so the next request failed"
            )
            response = self._http.request(**request)
        self._previous[gateway] = f"{method}, answered with {response.status_code}"
        return response

    def ask(self, operation: Operation, request: Request, token: str | None) -> Answer:
        """Calls and judges; whatever the answer, it must be one that the specification knows."""
        query = {name: str(value).lower() if isinstance(value, bool) else value for name, value in request.query.items()}
        body = request.body
        if isinstance(body, bytes):
            content = {"content": body, "headers": {"Content-Type": "application/json"}}
        else:
            content = {} if body is None else {"json": body}
        response = self.send(operation.method, fill(operation.path, request.path), token, params=query, **content)
        try:
            value = response.json()
        except ValueError:
            value = None
        answer = Answer(response.status_code, response.headers, value)
        self.report.answers[operation.id, answer.status] += 1
        self._judge(operation, answer)
        return answer

    def _judge(self, operation: Operation, answer: Answer) -> None:
        found = self.report.found
        if answer.headers.get("access-control-allow-origin") != "*":
            found("headers", operation, f"{answer.status} without `Access-Control-Allow-Origin: *`")
        if answer.status >= 500 and answer.status not in self.spec.statuses(operation):
            found("server errors", operation, f"{answer.status} {answer.body}")
            return
        if answer.status >= 400 and not self._judge_error(operation, answer):
            return
        if answer.status not in self.spec.statuses(operation):
            if answer.status < 400:
                found("unlisted statuses", operation, f"{answer.status} {answer.body}")
            return
        schema = self.spec.answer_schema(operation, answer.status)
        if schema is None or (answer.status == 401 and answer.errcode in TOKEN_ERRORS):
            return
        if not answer.headers.get("content-type", "").startswith("application/json"):
            found("headers", operation, f"{answer.status} with content type {answer.headers.get('content-type')}")
        for violation in self.spec.violations(schema, answer.body):
            found("schema violations", operation, f"{answer.status} {violation}")
        if answer.status == 200:
            self._judge_events(operation, answer.body)
            for member in self.spec.undeclared([schema], answer.body):
                self.report.note(f"{operation} answers {member}, which the specification does not mention")

    def _judge_error(self, operation: Operation, answer: Answer) -> bool:
        """Whether it is a proper error, or (401) the stages of user-interactive authentication."""
        found = self.report.found
        stages = answer.status == 401 and isinstance(answer.body, dict) and "flows" in answer.body
        listed = answer.status in self.spec.statuses(operation)
        if listed and self.spec.answer_schema(operation, answer.status) is None and answer.body is None:
            return True
        if not stages:
            for violation in self.spec.violations(self.spec.error_schema(operation), answer.body):
                found("schema violations", operation, f"{answer.status} {violation}")
                return False
            if "error" not in answer.body:
                found("schema violations", operation, f"{answer.status} {answer.errcode} without `error`")
        if answer.errcode.startswith("M_") and answer.errcode not in self._known:
            found("unknown error codes", operation, f"{answer.status} {answer.errcode}")
        if answer.status == 429 and not re.fullmatch(r"\d+", answer.headers.get("retry-after", "")):
            found("headers", operation, "429 without `Retry-After`")
        common = answer.status in COMMON.get(answer.errcode, set()) or (operation.id, answer.status, answer.errcode) in ALSO
        if not listed and not stages and not common:
            found("unlisted statuses", operation, f"{answer.status} {answer.errcode}: {answer.body.get('error')}")
        return True

    def _judge_events(self, operation: Operation, value: Any) -> None:
        """Content of events of known types."""
        for event in _events(value):
            schema = self.spec.content_schema(event["type"])
            if schema is None or "redacted_because" in event.get("unsigned", {}):
                continue
            for violation in self.spec.violations(schema, event["content"]):
                self.report.found("event contents", operation, f"{event['type']} {violation}")


@dataclass
class Session:
    """Somebody who calls: a user's device, or nobody."""

    server: Server
    token: str | None = None
    user_id: str = ""
    device_id: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def localpart(self) -> str:
        return self.user_id[1:].split(":")[0]

    @property
    def server_name(self) -> str:
        return self.user_id.split(":", 1)[1]

    def call(
        self, operation_id: str, body: Any = None, *, expect: Expected = 200, query: dict[str, Any] | None = None, **path: str | None
    ) -> Any:
        """The body of the answer, which is the expected one or a finding.

        Parameters of the path are given by name; a trailing one that is None is left out with its slash."""
        operation = self.server.spec.operations[operation_id]
        if body is None and operation.method in {"POST", "PUT"}:
            body = {}
        request = Request(path, query or {}, body)
        answer = self.server.ask(operation, request, self.token)
        sample = self.server.samples.get(operation_id)
        if sample is None or (sample.status != 200 and answer.status == 200):
            self.server.samples[operation_id] = Sample(request, answer.status, self.user_id)
        if answer.errcode == "M_UNRECOGNIZED" and answer.status in COMMON["M_UNRECOGNIZED"]:
            self.server.unrecognized.add(operation_id)
            self.server.report.found("not implemented", operation, f"{answer.status} M_UNRECOGNIZED")
        elif not _as_expected(answer, expect):
            asked = json.dumps({"path": path, "query": query, "body": None if isinstance(body, bytes) else body})[:300]
            self.server.report.found(
                "unexpected answers", operation, f"expected {expect}, got {answer.status} {str(answer.body)[:300]} for {asked}"
            )
        return answer.body

    def call_with_password(self, operation_id: str, body: dict[str, Any], **path: str | None) -> Any:
        """Through user-interactive authentication."""
        asked = self.call(operation_id, body, expect=401, **path)
        return self.call(operation_id, {**body, "auth": self.password_stage(asked["session"])}, **path)

    def expect_ended(self) -> None:
        """The token is good no more. Other gateways may need a moment to hear of it."""
        for _ in range(10):
            answer = self.server.ask(self.server.spec.operations["getTokenOwner"], Request({}, {}, None), self.token)
            if answer.errcode == "M_UNKNOWN_TOKEN":
                return
            time.sleep(0.2)
        self.server.report.found("unexpected answers", "getTokenOwner", f"an ended session is served for 2 s: {answer.body}")

    def password_stage(self, session: str) -> dict[str, Any]:
        return {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": self.localpart},
            "password": PASSWORD,
            "session": session,
        }

    def register(self, name: str) -> "Session":
        """A new user; the name gets a suffix that makes it one."""
        body = {"username": f"{name}-{secrets.token_hex(4)}", "password": PASSWORD, "initial_device_display_name": name}
        asked = self.call("register", body, expect=401)
        return self.session(self.call("register", {**body, "auth": {"type": "m.login.dummy", "session": asked["session"]}}))

    def login(self, user: "Session", **more: Any) -> "Session":
        """A new device of a user."""
        body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user.localpart}, "password": PASSWORD}
        return self.session(self.call("login", {**body, **more}))

    def session(self, made: dict[str, Any]) -> "Session":
        """The session of an answer to registration or login."""
        return Session(self.server, made["access_token"], made["user_id"], made["device_id"], made)


def fill(template: str, values: dict[str, str | None]) -> str:
    missing = set(re.findall(r"\{(\w+)\}", template)) ^ values.keys()
    if missing:
        raise ValueError(f"parameters of {template}: {missing}")
    for name, value in values.items():
        if value is None:
            template = template.removesuffix(f"/{{{name}}}")
        else:
            template = template.replace(f"{{{name}}}", quote(value, safe=""))
    return template


def _as_expected(answer: Answer, expect: Expected) -> bool:
    if isinstance(expect, tuple):
        return (answer.status, answer.errcode) == expect
    return answer.status in expect if isinstance(expect, set) else answer.status == expect


def _events(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if isinstance(value.get("type"), str) and isinstance(value.get("content"), dict):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for below in value:
            yield from _events(below)
