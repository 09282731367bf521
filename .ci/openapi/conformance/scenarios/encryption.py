"""Keys, cross-signing, key backup, messages to devices; dehydrated devices (MSC3814) and rendezvous (MSC4108)."""

from ..client import Session
from ..crypto import CrossSigningKeys, DeviceKeys, curve25519_key
from . import World

DEHYDRATED = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"
RENDEZVOUS = "/_matrix/client/unstable/org.matrix.msc4108/rendezvous"


def device_keys(world: World) -> None:
    alice, bob = world.nobody.register("alice"), world.nobody.register("bob")
    room = alice.call("createRoom", {"preset": "public_chat"})["room_id"]
    bob.call("joinRoomById", roomId=room)
    since = alice.call("sync", query={"timeout": 0})["next_batch"]
    keys = DeviceKeys(bob.user_id, bob.device_id)
    bob.call("uploadKeys", keys.upload(one_time_keys=2))
    bob.call("uploadKeys", {})
    foreign = {"device_keys": {**keys.keys, "user_id": alice.user_id}}
    bob.call("uploadKeys", foreign, expect=400)
    alice.call("queryKeys", {"device_keys": {bob.user_id: [], "@none:unreachable.invalid": []}, "timeout": 1000})
    alice.call("queryKeys", {}, expect=400)
    wanted = {"one_time_keys": {bob.user_id: {bob.device_id: "signed_curve25519"}}}
    for _ in range(4):
        alice.call("claimKeys", wanted)
    alice.call("claimKeys", {}, expect=400)
    until = alice.call("sync", query={"since": since, "timeout": 1000})["next_batch"]
    alice.call("getKeysChanges", query={"from": since, "to": until})
    alice.call("getKeysChanges", query={"from": "nonsense", "to": until}, expect=400)
    alice.call("getKeysChanges", expect=400)


def cross_signing(world: World) -> None:
    alice, bob = world.nobody.register("alice"), world.nobody.register("bob")
    device = DeviceKeys(alice.user_id, alice.device_id)
    alice.call("uploadKeys", device.upload(one_time_keys=1))
    keys = CrossSigningKeys(alice.user_id)
    alice.call("uploadCrossSigningKeys", keys.upload())
    alice.call("uploadCrossSigningKeys", keys.upload())
    alice.call_with_password("uploadCrossSigningKeys", CrossSigningKeys(alice.user_id).upload())
    forged = {**CrossSigningKeys(alice.user_id).upload(), "self_signing_key": CrossSigningKeys(alice.user_id).self_signing}
    stages = alice.call("uploadCrossSigningKeys", forged, expect={400, 401})
    if "session" in stages:
        alice.call("uploadCrossSigningKeys", {**forged, "auth": alice.password_stage(stages["session"])}, expect=400)
    keys = CrossSigningKeys(alice.user_id)
    alice.call_with_password("uploadCrossSigningKeys", keys.upload())
    signed = keys.self_signing_key.sign(device.keys, alice.user_id)
    alice.call("uploadCrossSigningSignatures", {alice.user_id: {alice.device_id: signed}})
    failures = alice.call("uploadCrossSigningSignatures", {alice.user_id: {"NONE": signed}, bob.user_id: {"X": signed}})
    if not failures.get("failures"):
        world.server.report.found("unexpected answers", "uploadCrossSigningSignatures", "signatures of unknown devices are no failures")
    alice.call("queryKeys", {"device_keys": {alice.user_id: []}})


def key_backup(world: World) -> None:
    alice = world.nobody.register("alice")
    room, session = "!room:example.org", "megolm session/1"
    auth_data = {"public_key": curve25519_key(), "signatures": {alice.user_id: {f"ed25519:{alice.device_id}": "c2ln"}}}
    described = {"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": auth_data}
    alice.call("getRoomKeysVersionCurrent", expect=(404, "M_NOT_FOUND"))
    version = alice.call("postRoomKeysVersion", described)["version"]
    alice.call("postRoomKeysVersion", {}, expect=400)
    alice.call("getRoomKeysVersionCurrent")
    alice.call("getRoomKeysVersion", version=version)
    alice.call("getRoomKeysVersion", version="99999", expect=(404, "M_NOT_FOUND"))
    alice.call("putRoomKeysVersion", {**described, "version": version}, version=version)
    alice.call("putRoomKeysVersion", {**described, "algorithm": "x"}, version=version, expect=400)
    alice.call("putRoomKeysVersion", described, version="99999", expect=(404, "M_NOT_FOUND"))
    data = {
        "first_message_index": 1,
        "forwarded_count": 0,
        "is_verified": True,
        "session_data": {"ephemeral": curve25519_key(), "ciphertext": "YWJj", "mac": "ZGVm"},
    }
    at = {"query": {"version": version}}
    of_room, of_session = {"roomId": room}, {"roomId": room, "sessionId": session}
    alice.call("putRoomKeyBySessionId", data, **of_session, **at)
    alice.call("putRoomKeysByRoomId", {"sessions": {session: data}}, **of_room, **at)
    alice.call("putRoomKeys", {"rooms": {room: {"sessions": {session: data, "2": data}}}}, **at)
    for operation, path in [("getRoomKeyBySessionId", of_session), ("getRoomKeysByRoomId", of_room), ("getRoomKeys", {})]:
        alice.call(operation, **path, **at)
        alice.call(operation, **path, query={"version": "99999"}, expect=(404, "M_NOT_FOUND"))
        alice.call(operation, **path, expect=400)
    alice.call("getRoomKeyBySessionId", roomId=room, sessionId="none", expect=(404, "M_NOT_FOUND"), **at)
    alice.call("getRoomKeysByRoomId", roomId="!none:example.org", **at)
    for operation, path in [("deleteRoomKeyBySessionId", of_session), ("deleteRoomKeysByRoomId", of_room), ("deleteRoomKeys", {})]:
        alice.call(operation, **path, **at)
        alice.call(operation, **path, query={"version": "99999"}, expect=(404, "M_NOT_FOUND"))
    newer = alice.call("postRoomKeysVersion", described)["version"]
    for operation, body, path in [
        ("putRoomKeyBySessionId", data, of_session),
        ("putRoomKeysByRoomId", {"sessions": {session: data}}, of_room),
        ("putRoomKeys", {"rooms": {}}, {}),
    ]:
        refused = alice.call(operation, body, expect=(403, "M_WRONG_ROOM_KEYS_VERSION"), **path, **at)
        if refused.get("current_version") != newer:
            world.server.report.found("schema violations", operation, f"403 without the `current_version`: {refused}")
    alice.call("deleteRoomKeysVersion", version=newer)
    alice.call("deleteRoomKeysVersion", version="99999", expect=(404, "M_NOT_FOUND"))


def messages_to_devices(world: World) -> None:
    alice, bob = world.nobody.register("alice"), world.nobody.register("bob")
    request = {"action": "request", "requesting_device_id": alice.device_id, "request_id": "1", "name": "m.megolm_backup.v1"}
    path = {"eventType": "m.secret.request", "txnId": world.server.transaction()}
    for _ in range(2):
        alice.call("sendToDevice", {"messages": {bob.user_id: {"*": request}}}, **path)
    alice.call("sendToDevice", {}, eventType="m.secret.request", txnId=world.server.transaction(), expect=400)
    bob.call("sync", query={"timeout": 1000})


def dehydrated_devices(world: World) -> None:
    alice = world.nobody.register("alice")
    _unstable(alice, "GET", DEHYDRATED, 404)
    keys = DeviceKeys(alice.user_id, "ASLEEP")
    device = {"device_id": "ASLEEP", "device_data": {"algorithm": "org.matrix.msc3814.v2"}, "initial_device_display_name": "asleep"}
    _unstable(alice, "PUT", DEHYDRATED, 200, {**device, **keys.upload(one_time_keys=1)})
    found = _unstable(alice, "GET", DEHYDRATED, 200)
    events = _unstable(alice, "POST", f"{DEHYDRATED}/ASLEEP/events", 200, {})
    gone = _unstable(alice, "DELETE", DEHYDRATED, 200)
    _unstable(world.nobody, "GET", DEHYDRATED, 401)
    if not (found.get("device_id") == gone.get("device_id") == "ASLEEP" and isinstance(events.get("events"), list)):
        world.server.report.found("schema violations", "MSC3814", f"{found} {events} {gone}")


def rendezvous(world: World) -> None:
    server, found = world.server, world.server.report.found
    made = server.send("POST", RENDEZVOUS, content=b"hello", headers={"Content-Type": "text/plain"})
    if made.status_code != 201 or not made.json().get("url", "").startswith("http"):
        found("unexpected answers", "MSC4108", f"POST: {made.status_code} {made.text[:200]}")
        return
    path = made.json()["url"].partition("/_matrix/")[2]
    for header in ["etag", "expires", "last-modified"]:
        if header not in made.headers:
            found("headers", "MSC4108", f"201 without {header}")
    etag, text = made.headers["etag"], {"Content-Type": "text/plain"}
    for method, headers, status in [
        ("GET", {}, 200),
        ("GET", {"If-None-Match": etag}, 304),
        ("PUT", {"If-Match": '"nonsense"', **text}, 412),
        ("PUT", {"If-Match": etag, **text}, 202),
        ("DELETE", {}, 204),
        ("GET", {}, 404),
    ]:
        content = {"content": b"there"} if method == "PUT" else {}
        answer = server.send(method, f"/_matrix/{path}", headers=headers, **content)
        if answer.status_code != status:
            found("unexpected answers", "MSC4108", f"{method} {headers}: expected {status}, got {answer.status_code} {answer.text[:200]}")


def _unstable(session: Session, method: str, path: str, expect: int, body: dict | None = None) -> dict:
    content = {} if body is None else {"json": body}
    answer = session.server.send(method, path, session.token, **content)
    if answer.status_code != expect:
        session.server.report.found(
            "unexpected answers", f"{method} {path}", f"expected {expect}, got {answer.status_code} {answer.text[:200]}"
        )
    return answer.json()
