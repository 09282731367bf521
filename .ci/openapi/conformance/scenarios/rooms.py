"""Rooms: making, reading, writing, membership, the directory."""

import secrets
from typing import Any

from ..client import Session
from . import World

NOWHERE = "!nowhere:example.org"


def send(session: Session, room: str, content: dict[str, Any] | None = None, event_type: str = "m.room.message") -> str:
    path = {"roomId": room, "eventType": event_type, "txnId": session.server.transaction()}
    return session.call("sendMessage", content or {"msgtype": "m.text", "body": "hello"}, **path)["event_id"]


def creation(world: World) -> None:
    alice, bob = world.nobody.register("alice"), world.nobody.register("bob")
    capabilities = alice.call("getCapabilities")["capabilities"]
    for version in capabilities["m.room_versions"]["available"]:
        room = alice.call("createRoom", {"room_version": version, "name": f"version {version}"})["room_id"]
        alice.call("getRoomState", roomId=room)
    for preset in ["private_chat", "trusted_private_chat", "public_chat"]:
        alias = f"room-{secrets.token_hex(4)}"
        body = {
            "preset": preset,
            "visibility": "public",
            "name": "A room",
            "topic": "About it",
            "room_alias_name": alias,
            "invite": [bob.user_id],
            "is_direct": True,
            "creation_content": {"m.federate": False},
            "power_level_content_override": {"events_default": 0},
            "initial_state": [{"type": "m.room.guest_access", "state_key": "", "content": {"guest_access": "can_join"}}],
        }
        room = alice.call("createRoom", body)["room_id"]
        alice.call("getRoomState", roomId=room)
        alice.call("createRoom", body, expect=(400, "M_ROOM_IN_USE"))
    alice.call("createRoom", {"room_version": "nonsense"}, expect=(400, "M_UNSUPPORTED_ROOM_VERSION"))
    alice.call("createRoom", {"preset": "nonsense"}, expect=400)
    alice.call("createRoom", {"visibility": "nonsense"}, expect=400)
    alice.call("createRoom", {"initial_state": [{"type": 1}]}, expect=400)
    alice.call("createRoom", {"power_level_content_override": {"users": "nonsense"}}, expect=400)
    alice.call("getJoinedRooms")


def events(world: World) -> None:
    alice, bob, eve = (world.nobody.register(name) for name in ["alice", "bob", "eve"])
    room = alice.call("createRoom", {"preset": "public_chat"})["room_id"]
    bob.call("joinRoomById", roomId=room)
    for number in range(12):
        send(bob, room, {"msgtype": "m.text", "body": f"message {number}"})
    path = {"roomId": room, "eventType": "m.room.message", "txnId": "same"}
    ids = {alice.call("sendMessage", {"msgtype": "m.emote", "body": "waves"}, **path)["event_id"] for _ in range(2)}
    if len(ids) != 1:
        world.server.report.found("unexpected answers", "sendMessage", "one transaction, two events")
    event = ids.pop()
    reaction = {"m.relates_to": {"rel_type": "m.annotation", "event_id": event, "key": "👍"}}
    send(bob, room, reaction, "m.reaction")
    edit = {
        "msgtype": "m.text",
        "body": "* x",
        "m.new_content": {"msgtype": "m.text", "body": "x"},
        "m.relates_to": {"rel_type": "m.replace", "event_id": event},
    }
    send(alice, room, edit)
    thread = {"msgtype": "m.text", "body": "reply", "m.relates_to": {"rel_type": "m.thread", "event_id": event}}
    send(bob, room, thread)
    eve.call(
        "sendMessage", {"msgtype": "m.text", "body": "x"}, roomId=room, eventType="m.room.message", txnId="1", expect=(403, "M_FORBIDDEN")
    )
    alice.call("sendMessage", {"body": "x" * 70_000}, roomId=room, eventType="m.room.message", txnId="2", expect=(413, "M_TOO_LARGE"))
    alice.call("sendMessage", b"{", roomId=room, eventType="m.room.message", txnId="3", expect=(400, "M_NOT_JSON"))
    alice.call("sendMessage", {}, roomId=NOWHERE, eventType="m.room.message", txnId="4", expect={403, 404})

    alice.call("getOneRoomEvent", roomId=room, eventId=event)
    alice.call("getOneRoomEvent", roomId=room, eventId="$none", expect=(404, "M_NOT_FOUND"))
    alice.call("getEventContext", roomId=room, eventId=event)
    alice.call("getEventContext", roomId=room, eventId=event, query={"limit": 0, "filter": '{"lazy_load_members":true}'})
    alice.call("getEventContext", roomId=room, eventId="$none", expect=(404, "M_NOT_FOUND"))
    eve.call("getEventContext", roomId=room, eventId=event, expect={200, 403, 404})

    page = alice.call("getRoomEvents", roomId=room, query={"dir": "b", "limit": 5, "filter": '{"lazy_load_members":true}'})
    page = alice.call("getRoomEvents", roomId=room, query={"dir": "b", "from": page["end"], "limit": 100})
    alice.call("getRoomEvents", roomId=room, query={"dir": "f"})
    alice.call("getRoomEvents", roomId=room, query={"dir": "f", "from": page["start"], "to": page["start"]})
    alice.call("getRoomEvents", roomId=room, query={"dir": "sideways"}, expect=400)
    alice.call("getRoomEvents", roomId=room, expect=400)
    alice.call("getRoomEvents", roomId=room, query={"dir": "b", "from": "nonsense"}, expect=400)
    alice.call("getRoomEvents", roomId=NOWHERE, query={"dir": "b"}, expect={403, 404})

    txn = world.server.transaction()
    for _ in range(2):
        bob.call("redactEvent", {"reason": "mistake"}, roomId=room, eventId=send(bob, room), txnId=world.server.transaction())
        alice.call("redactEvent", {}, roomId=room, eventId=event, txnId=txn)
    bob.call("redactEvent", {}, roomId=room, eventId=send(alice, room), txnId=world.server.transaction(), expect=(403, "M_FORBIDDEN"))
    alice.call("getOneRoomEvent", roomId=room, eventId=event)
    alice.call("getRoomEvents", roomId=room, query={"dir": "b", "limit": 10})


def state(world: World) -> None:
    alice, bob, eve = (world.nobody.register(name) for name in ["alice", "bob", "eve"])
    room = alice.call("createRoom", {"preset": "private_chat", "invite": [bob.user_id]})["room_id"]
    bob.call("joinRoomById", roomId=room)
    contents = {
        "m.room.name": {"name": "Name"},
        "m.room.topic": {"topic": "Topic", "m.topic": {"m.text": [{"body": "Topic"}]}},
        "m.room.avatar": {"url": "mxc://example.org/abc"},
        "m.room.pinned_events": {"pinned": []},
        "m.room.history_visibility": {"history_visibility": "shared"},
        "m.room.encryption": {"algorithm": "m.megolm.v1.aes-sha2"},
        "m.room.server_acl": {"allow": ["*"], "allow_ip_literals": False},
    }
    for event_type, content in contents.items():
        path = {"roomId": room, "eventType": event_type}
        alice.call("setRoomStateWithKey", content, stateKey="", **path)
        alice.call("getRoomStateWithKey", stateKey=None, **path)
        alice.call("getRoomStateWithKey", stateKey="", **path)
        alice.call("getRoomStateWithKey", stateKey="", query={"format": "event"}, **path)
    alice.call("setRoomStateWithKey", {"x": 1}, roomId=room, eventType="org.example", stateKey=None)
    alice.call("setRoomStateWithKey", {"x": 1}, roomId=room, eventType="org.example", stateKey="a key")
    bob.call("setRoomStateWithKey", {"name": "x"}, roomId=room, eventType="m.room.name", stateKey="", expect=(403, "M_FORBIDDEN"))
    alice.call("setRoomStateWithKey", {"x": 1}, roomId=room, eventType="org.example", stateKey=bob.user_id, expect={200, 403})
    alice.call(
        "setRoomStateWithKey",
        {"alias": f"#none:{alice.server_name}"},
        roomId=room,
        eventType="m.room.canonical_alias",
        stateKey="",
        expect=400,
    )
    alice.call("getRoomStateWithKey", roomId=room, eventType="org.example", stateKey="none", expect=(404, "M_NOT_FOUND"))
    eve.call("getRoomStateWithKey", roomId=room, eventType="m.room.name", stateKey="", expect=(403, "M_FORBIDDEN"))
    alice.call("getRoomState", roomId=room)
    eve.call("getRoomState", roomId=room, expect=(403, "M_FORBIDDEN"))
    alice.call("getMembersByRoom", roomId=room)
    alice.call("getMembersByRoom", roomId=room, query={"membership": "join", "not_membership": "leave"})
    alice.call("getMembersByRoom", roomId=room, query={"membership": "nonsense"}, expect={200, 400})
    eve.call("getMembersByRoom", roomId=room, expect=(403, "M_FORBIDDEN"))
    alice.call("getJoinedMembersByRoom", roomId=room)
    eve.call("getJoinedMembersByRoom", roomId=room, expect=(403, "M_FORBIDDEN"))


def membership(world: World) -> None:
    alice, bob, eve = (world.nobody.register(name) for name in ["alice", "bob", "eve"])
    alias = f"members-{secrets.token_hex(4)}"
    room = alice.call("createRoom", {"preset": "private_chat", "room_alias_name": alias})["room_id"]
    someone = {"user_id": bob.user_id, "reason": "because"}
    bob.call("joinRoomById", roomId=room, expect=(403, "M_FORBIDDEN"))
    bob.call("joinRoomById", roomId=NOWHERE, expect={400, 403, 404})
    bob.call("inviteUser", {"user_id": eve.user_id}, roomId=room, expect=(403, "M_FORBIDDEN"))
    alice.call("inviteUser", someone, roomId=room)
    alice.call("inviteUser", {"user_id": "nonsense"}, roomId=room, expect=400)
    alice.call("inviteUser", {}, roomId=room, expect=400)
    bob.call("sync", query={"timeout": 0})
    bob.call("joinRoomById", {"reason": "invited"}, roomId=room)
    bob.call("joinRoomById", roomId=room)
    bob.call("joinRoom", roomIdOrAlias=f"#{alias}:{alice.server_name}")
    bob.call("joinRoom", roomIdOrAlias=f"#none-{alias}:{alice.server_name}", expect=(404, "M_NOT_FOUND"))
    bob.call("joinRoom", roomIdOrAlias="nonsense", expect=400)
    bob.call("kick", {"user_id": alice.user_id}, roomId=room, expect=(403, "M_FORBIDDEN"))
    alice.call("kick", someone, roomId=room)
    alice.call("kick", {}, roomId=room, expect=400)
    alice.call("ban", someone, roomId=room)
    bob.call("ban", {"user_id": alice.user_id}, roomId=room, expect=(403, "M_FORBIDDEN"))
    bob.call("joinRoomById", roomId=room, expect=(403, "M_FORBIDDEN"))
    alice.call("unban", someone, roomId=room)
    alice.call("unban", someone, roomId=room, expect={200, 400, 403})
    alice.call("inviteUser", someone, roomId=room)
    bob.call("leaveRoom", {"reason": "no"}, roomId=room)
    bob.call("sync", query={"filter": '{"room":{"include_leave":true}}', "timeout": 0})
    bob.call("forgetRoom", roomId=room)
    alice.call("forgetRoom", roomId=room, expect=400)
    alice.call("leaveRoom", roomId=NOWHERE, expect={403, 404})
    alice.call("setRoomStateWithKey", {"join_rule": "knock"}, roomId=room, eventType="m.room.join_rules", stateKey="")
    eve.call("knockRoom", {"reason": "please"}, roomIdOrAlias=room, query={"via": alice.server_name})
    eve.call("sync", query={"timeout": 0})
    alice.call("inviteUser", {"user_id": eve.user_id}, roomId=room)
    eve.call("joinRoomById", roomId=room)
    eve.call("knockRoom", roomIdOrAlias=room, expect=(403, "M_FORBIDDEN"))
    eve.call("knockRoom", roomIdOrAlias=f"#none-{alias}:{alice.server_name}", expect=(404, "M_NOT_FOUND"))
    restricted = alice.call(
        "createRoom",
        {
            "initial_state": [
                {
                    "type": "m.room.join_rules",
                    "content": {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": room}]},
                }
            ]
        },
    )["room_id"]
    bob.call("joinRoomById", roomId=restricted, expect=(403, "M_FORBIDDEN"))
    eve.call("joinRoomById", roomId=restricted)
    eve.call("getRoomState", roomId=restricted)


def directory(world: World) -> None:
    nobody, alice, bob = world.nobody, world.nobody.register("alice"), world.nobody.register("bob")
    room = alice.call("createRoom", {"preset": "public_chat", "visibility": "public", "name": "Listed", "topic": "x"})["room_id"]
    alice.call("createRoom", {"preset": "public_chat", "visibility": "public", "creation_content": {"type": "m.space"}})
    alias = f"#alias-{secrets.token_hex(4)}:{alice.server_name}"
    alice.call("setRoomAlias", {"room_id": room}, roomAlias=alias)
    alice.call("setRoomAlias", {"room_id": room}, roomAlias=alias, expect=(409, "M_UNKNOWN"))
    alice.call("setRoomAlias", {"room_id": room}, roomAlias="nonsense", expect=(400, "M_INVALID_PARAM"))
    alice.call("setRoomAlias", {}, roomAlias=f"{alias}x", expect=400)
    nobody.call("getRoomIdByAlias", roomAlias=alias)
    nobody.call("getRoomIdByAlias", roomAlias=f"#none:{alice.server_name}", expect=(404, "M_NOT_FOUND"))
    nobody.call("getRoomIdByAlias", roomAlias="nonsense", expect=(400, "M_INVALID_PARAM"))
    alice.call("getLocalAliases", roomId=room)
    bob.call("getLocalAliases", roomId=room, expect=(403, "M_FORBIDDEN"))
    alice.call("setRoomStateWithKey", {"alias": alias}, roomId=room, eventType="m.room.canonical_alias", stateKey="")
    nobody.call("getRoomVisibilityOnDirectory", roomId=room)
    nobody.call("getRoomVisibilityOnDirectory", roomId=NOWHERE, expect=(404, "M_NOT_FOUND"))
    alice.call("setRoomVisibilityOnDirectory", {"visibility": "public"}, roomId=room)
    alice.call("setRoomVisibilityOnDirectory", {"visibility": "nonsense"}, roomId=room, expect=400)
    alice.call("setRoomVisibilityOnDirectory", {"visibility": "public"}, roomId=NOWHERE, expect=(404, "M_NOT_FOUND"))
    bob.call("setRoomVisibilityOnDirectory", {"visibility": "private"}, roomId=room, expect=(403, "M_FORBIDDEN"))
    page = nobody.call("getPublicRooms", query={"limit": 1})
    if "next_batch" in page:
        nobody.call("getPublicRooms", query={"since": page["next_batch"]})
    nobody.call("getPublicRooms", query={"since": "nonsense"}, expect=400)
    nobody.call("getPublicRooms", query={"server": "unreachable.invalid"}, expect={400, 403, 404, 502})
    alice.call("queryPublicRooms", {"limit": 5, "filter": {"generic_search_term": "listed", "room_types": [None, "m.space"]}})
    alice.call("queryPublicRooms", {"limit": "nonsense"}, expect=400)
    bob.call("deleteRoomAlias", roomAlias=alias, expect=(403, "M_FORBIDDEN"))
    alice.call("deleteRoomAlias", roomAlias=alias)
    alice.call("deleteRoomAlias", roomAlias=alias, expect=(404, "M_NOT_FOUND"))
