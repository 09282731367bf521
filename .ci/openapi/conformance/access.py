"""Who may call what: every operation that takes a token, asked again by those whom it may have to refuse.

The requests are those of the scenarios, with the caller's own user and room in the path."""

import secrets
import time
from collections.abc import Callable, Iterable

from .client import PASSWORD, Answer, Request, Session
from .scenarios import World
from .scenarios.rooms import send
from .spec import Operation

# Allowed by the module "Guest access".
GUESTS = {
    *("getRoomState", "getEventContext", "getOneRoomEvent", "getRoomStateWithKey", "getRoomEvents", "getMembersByRoom"),
    *("roomInitialSync", "sync", "getEvents", "peekEvents", "getContentAuthed", "getContentOverrideNameAuthed"),
    *("getContentThumbnailAuthed", "joinRoomById", "leaveRoom", "sendMessage", "setRoomStateWithKey", "sendToDevice"),
    *("setProfileField", "deleteProfileField", "getDevices", "getDevice", "updateDevice", "getTokenOwner", "uploadKeys"),
    *("queryKeys", "claimKeys"),
}
# Not in its lists, but harmless and needed by clients; servers differ.
GUESTS_OR_NOT = {"logout", "logout_all", "joinRoom", "getVersions"}
# "The recommended set of explicitly forbidden actions" for suspended accounts.
NOT_SUSPENDED = ["joinRoom", "joinRoomById", "knockRoom", "inviteUser", "sendMessage", "setProfileField", "deleteProfileField"]
# What suspended accounts "SHOULD" be permitted.
EVEN_SUSPENDED = [
    *("sync", "getRoomEvents", "getTokenOwner", "getCapabilities", "sendToDevice", "uploadKeys", "queryKeys", "claimKeys"),
    *("getKeysChanges", "uploadCrossSigningKeys", "uploadCrossSigningSignatures", "postRoomKeysVersion", "putRoomKeys"),
    *("putRoomKeysByRoomId", "putRoomKeyBySessionId", "getRoomKeys", "getRoomKeysVersionCurrent", "getAccount3PIDs", "add3PID"),
    *("getDevices", "leaveRoom", "deleteDevice", "deleteDevices", "deactivateAccount", "logout", "logout_all"),
]
# They end the caller's session, so each gets a caller of its own.
ENDING = {"logout", "logout_all", "deactivateAccount", "changePassword"}
EVEN_LOCKED = {"logout", "logout_all"}


def check(world: World, operations: Iterable[Operation]) -> None:
    present = world.server.samples.keys() - world.server.unrecognized
    asked = [operation for operation in operations if operation.token in {"required", "optional"} and operation.id in present]
    _strangers(world, asked)
    _guests(world, asked)
    if world.admin is None:
        world.server.report.note("no administrator (--admin-token): locked and suspended accounts were not looked at")
        return
    _locked(world, asked)
    _suspended(world)


def _strangers(world: World, operations: list[Operation]) -> None:
    for operation in operations:
        request = world.server.samples[operation.id].request
        if operation.token == "required":
            _expect(world, operation, request, None, "nobody", 401, "M_MISSING_TOKEN")
        if operation.id != "getVersions":
            answer = _expect(world, operation, request, "nonsense", "an unknown token", 401, "M_UNKNOWN_TOKEN")
            if answer.body and answer.body.get("soft_logout"):
                world.server.report.found("access", operation, "an unknown token: `soft_logout` though there is no session")


def _guests(world: World, operations: list[Operation]) -> None:
    def guest() -> Session | None:
        made = world.nobody.call("register", query={"kind": "guest"}, expect={200, 403})
        return world.nobody.session(made) if "access_token" in made else None

    caller = guest()
    if caller is None:
        world.server.report.note("the server makes no guest accounts: they were not looked at")
        return
    host = world.nobody.register("host")
    open_to_guests = [
        {"type": "m.room.guest_access", "state_key": "", "content": {"guest_access": "can_join"}},
        {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "world_readable"}},
    ]
    room = host.call("createRoom", {"preset": "public_chat", "initial_state": open_to_guests})["room_id"]
    for operation in operations:
        if operation.id in GUESTS_OR_NOT:
            continue
        request = as_caller(caller, room, world, operation)
        if operation.id in {"setProfileField", "deleteProfileField"}:
            body = {"displayname": "Guest"} if operation.id == "setProfileField" else None
            request = Request({**request.path, "keyName": "displayname"}, {}, body)
            foreign = Request({**request.path, "keyName": "m.tz"}, {}, body and {"m.tz": "UTC"})
            _expect(world, operation, foreign, caller.token, "a guest, not its name,", 403, "M_GUEST_ACCESS_FORBIDDEN")
        if operation.id in GUESTS:
            _expect_allowed(world, operation, request, caller.token, "a guest", "M_GUEST_ACCESS_FORBIDDEN")
        else:
            _expect(world, operation, request, caller.token, "a guest", 403, "M_GUEST_ACCESS_FORBIDDEN")


def _locked(world: World, operations: list[Operation]) -> None:
    victim = world.nobody.register("locked")
    refreshable = world.nobody.login(victim, refresh_token=True)
    leaving, leaving_all = world.nobody.login(victim), world.nobody.login(victim)
    world.admin.call("setAdminLockUser", {"locked": True}, userId=victim.user_id)
    _wait(victim, lambda answer: answer.errcode == "M_USER_LOCKED")

    def refused(operation: Operation, request: Request, token: str | None) -> None:
        answer = _expect(world, operation, request, token, "a locked account", 401, "M_USER_LOCKED")
        if answer.errcode == "M_USER_LOCKED" and answer.body.get("soft_logout") is not True:
            world.server.report.found("access", operation, "a locked account: no `soft_logout`")

    for operation in operations:
        if operation.id not in EVEN_LOCKED | {"getVersions"}:
            refused(operation, as_caller(victim, "!any:example.org", world, operation), victim.token)
    named = world.server.spec.operations
    identifier = {"type": "m.id.user", "user": victim.localpart}
    refused(named["login"], Request({}, {}, {"type": "m.login.password", "identifier": identifier, "password": PASSWORD}), None)
    refused(named["refresh"], Request({}, {}, {"refresh_token": refreshable.extra["refresh_token"]}), None)
    leaving.call("logout")
    world.admin.call("setAdminLockUser", {"locked": False}, userId=victim.user_id)
    _wait(victim, lambda answer: answer.status == 200)
    renewed = world.nobody.call("refresh", {"refresh_token": refreshable.extra["refresh_token"]})
    Session(world.server, renewed["access_token"], victim.user_id).call("getTokenOwner")
    world.admin.call("setAdminLockUser", {"locked": True}, userId=victim.user_id)
    _wait(victim, lambda answer: answer.errcode == "M_USER_LOCKED")
    leaving_all.call("logout_all")


def _suspended(world: World) -> None:
    named, server = world.server.spec.operations, world.server
    victim, friend = world.nobody.register("suspended"), world.nobody.register("friend")
    room = victim.call("createRoom", {"preset": "public_chat"})["room_id"]
    friend.call("joinRoomById", roomId=room)
    own, spoken, foreign = send(victim, room), send(victim, room), send(friend, room)
    ending = {
        operation_id: world.nobody.login(victim)
        for operation_id in EVEN_SUSPENDED
        if operation_id in ENDING and operation_id != "deactivateAccount"
    }
    world.admin.call("setAdminSuspendUser", {"suspended": True}, userId=victim.user_id)
    probe = Request({"userId": victim.user_id, "keyName": "displayname"}, {}, {"displayname": "x"})
    _wait(victim, lambda _: server.ask(named["setProfileField"], probe, victim.token).errcode == "M_USER_SUSPENDED")
    later = world.nobody.login(victim)
    for caller in [victim, later]:
        for operation_id in NOT_SUSPENDED:
            request = as_caller(caller, room, world, named[operation_id])
            _expect(world, named[operation_id], request, caller.token, "a suspended account", 403, "M_USER_SUSPENDED")
    in_room = {"roomId": room, "txnId": server.transaction()}
    elsewhere = Request({**in_room, "eventId": foreign}, {}, {})
    _expect(world, named["redactEvent"], elsewhere, victim.token, "a suspended account, others' events,", 403, "M_USER_SUSPENDED")
    victim.call("redactEvent", {}, **in_room, eventId=own)
    victim.call("sendMessage", {"redacts": spoken}, **in_room, eventType="m.room.redaction")
    for operation_id in EVEN_SUSPENDED:
        caller = ending.get(operation_id, victim)
        if operation_id in server.samples and operation_id != "deactivateAccount":
            if operation_id == "logout_all":
                victim.call_with_password("deleteDevice", {}, deviceId=later.device_id)
                victim = world.nobody.login(victim)
            request = as_caller(caller, room, world, named[operation_id])
            _expect_allowed(world, named[operation_id], request, caller.token, "a suspended account", "M_USER_SUSPENDED")
    world.nobody.login(victim).call_with_password("deactivateAccount", {})


def as_caller(caller: Session, room: str, world: World, operation: Operation) -> Request:
    """The request of the scenarios, made by somebody else in a room of theirs."""
    sample = world.server.samples[operation.id]
    path = {name: caller.user_id if value == sample.user_id else value for name, value in sample.request.path.items()}
    if path.get("roomId"):
        path["roomId"] = room
    if "txnId" in path:
        path["txnId"] = f"access-{secrets.token_hex(4)}"
    return Request(path, {**sample.request.query, **({"timeout": 0} if operation.id == "sync" else {})}, sample.request.body)


def _expect(world: World, operation: Operation, request: Request, token: str | None, who: str, status: int, errcode: str) -> Answer:
    answer = world.server.ask(operation, request, token)
    world.server.report.refusals += 1
    if (answer.status, answer.errcode) != (status, errcode):
        world.server.report.found("access", operation, f"{who}: expected {status} {errcode}, got {answer.status} {str(answer.body)[:200]}")
    return answer


def _expect_allowed(world: World, operation: Operation, request: Request, token: str | None, who: str, refusal: str) -> None:
    answer = world.server.ask(operation, request, token)
    world.server.report.refusals += 1
    if answer.errcode in {refusal, "M_UNKNOWN_TOKEN", "M_MISSING_TOKEN"}:
        world.server.report.found("access", operation, f"{who}: should be served, got {answer.status} {str(answer.body)[:200]}")


def _wait(session: Session, until: Callable[[Answer], bool]) -> None:
    """Every gateway hears of a change within a short time: three in a row do as wanted."""
    whoami, agreed, deadline = session.server.spec.operations["getTokenOwner"], 0, time.monotonic() + 10
    while agreed < 3:
        if time.monotonic() > deadline:
            raise TimeoutError("a change of an account had no effect within 10 s")
        agreed = agreed + 1 if until(session.server.ask(whoami, Request({}, {}, None), session.token)) else 0
        time.sleep(0.1)
