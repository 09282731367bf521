"""/sync and what comes with it: filters, account data, tags, receipts, typing, presence, push rules."""

import json

from . import World
from .rooms import send


def filters(world: World) -> None:
    alice, bob = world.nobody.register("alice"), world.nobody.register("bob")
    wanted = {
        "event_fields": ["type", "content"],
        "room": {"timeline": {"limit": 3, "lazy_load_members": True}},
        "presence": {"not_types": ["*"]},
    }
    made = alice.call("defineFilter", wanted, userId=alice.user_id)["filter_id"]
    alice.call("getFilter", userId=alice.user_id, filterId=made)
    alice.call("getFilter", userId=alice.user_id, filterId="99999", expect=(404, "M_NOT_FOUND"))
    alice.call("defineFilter", {"room": 7}, userId=alice.user_id, expect=400)
    bob.call("defineFilter", wanted, userId=alice.user_id, expect=(403, "M_FORBIDDEN"))
    alice.call("sync", query={"filter": made, "timeout": 0})
    alice.call("sync", query={"filter": "99999", "timeout": 0}, expect=400)
    alice.call("sync", query={"filter": "{", "timeout": 0}, expect=400)
    alice.call("sync", query={"since": "nonsense", "timeout": 0}, expect=400)
    alice.call("sync", query={"timeout": "nonsense"}, expect=400)


def account_data(world: World) -> None:
    alice, bob = world.nobody.register("alice"), world.nobody.register("bob")
    room = alice.call("createRoom", {})["room_id"]
    mine, here = {"userId": alice.user_id}, {"userId": alice.user_id, "roomId": room}
    alice.call("setAccountData", {"ignored_users": {}}, type="m.ignored_user_list", **mine)
    alice.call("setAccountData", {"x": [None, 1.5]}, type="org.example", **mine)
    alice.call("getAccountData", type="org.example", **mine)
    alice.call("getAccountData", type="org.example.none", expect=(404, "M_NOT_FOUND"), **mine)
    bob.call("getAccountData", type="org.example", expect=(403, "M_FORBIDDEN"), **mine)
    bob.call("setAccountData", {}, type="org.example", expect=(403, "M_FORBIDDEN"), **mine)
    for event_type in ["m.fully_read", "m.push_rules"]:
        alice.call("setAccountData", {}, type=event_type, expect=405, **mine)
    alice.call("setAccountDataPerRoom", {"unread": True}, type="m.marked_unread", **here)
    alice.call("getAccountDataPerRoom", type="m.marked_unread", **here)
    alice.call("getAccountDataPerRoom", type="org.example", expect=(404, "M_NOT_FOUND"), **here)
    alice.call("setAccountDataPerRoom", {}, type="m.fully_read", expect=405, **here)
    alice.call("setAccountDataPerRoom", b"[]", type="org.example", expect=(400, "M_BAD_JSON"), **here)
    bob.call("setAccountDataPerRoom", {}, type="org.example", expect=(403, "M_FORBIDDEN"), **here)
    bob.call("getAccountDataPerRoom", type="org.example", expect=(403, "M_FORBIDDEN"), **here)
    alice.call("setRoomTag", {"order": 0.25}, tag="u.work", **here)
    alice.call("setRoomTag", {}, tag="m.favourite", **here)
    alice.call("getRoomTags", **here)
    bob.call("getRoomTags", expect=(403, "M_FORBIDDEN"), **here)
    alice.call("deleteRoomTag", tag="u.work", **here)
    alice.call("sync", query={"timeout": 0})


def reading_and_typing(world: World) -> None:
    alice, bob = world.nobody.register("alice"), world.nobody.register("bob")
    room = alice.call("createRoom", {"preset": "public_chat"})["room_id"]
    bob.call("joinRoomById", roomId=room)
    since = alice.call("sync", query={"timeout": 0})["next_batch"]
    event = send(alice, room)
    for kind, body in [("m.read", {}), ("m.read.private", {}), ("m.read", {"thread_id": "main"}), ("m.fully_read", {})]:
        bob.call("postReceipt", body, roomId=room, receiptType=kind, eventId=event)
    bob.call("postReceipt", roomId=room, receiptType="nonsense", eventId=event, expect=400)
    bob.call("postReceipt", {"thread_id": ""}, roomId=room, receiptType="m.read", eventId=event, expect=400)
    bob.call("setReadMarker", {"m.fully_read": event, "m.read": event, "m.read.private": event}, roomId=room)
    bob.call("setReadMarker", {}, roomId=room)
    bob.call("setTyping", {"typing": True, "timeout": 20000}, roomId=room, userId=bob.user_id)
    bob.call("setTyping", {"typing": True}, roomId=room, userId=alice.user_id, expect=(403, "M_FORBIDDEN"))
    bob.call("setTyping", {}, roomId=room, userId=bob.user_id, expect=400)
    alice.call("sync", query={"since": since, "timeout": 1000})
    bob.call("sync", query={"timeout": 0})
    bob.call("setTyping", {"typing": False}, roomId=room, userId=bob.user_id)


def presence(world: World) -> None:
    alice, bob, eve = (world.nobody.register(name) for name in ["alice", "bob", "eve"])
    room = alice.call("createRoom", {"preset": "public_chat"})["room_id"]
    bob.call("joinRoomById", roomId=room)
    alice.call("setPresence", {"presence": "unavailable", "status_msg": "tea"}, userId=alice.user_id)
    alice.call("setPresence", {"presence": "nonsense"}, userId=alice.user_id, expect=400)
    bob.call("setPresence", {"presence": "online"}, userId=alice.user_id, expect=(403, "M_FORBIDDEN"))
    bob.call("getPresence", userId=alice.user_id)
    eve.call("getPresence", userId=alice.user_id, expect={200, 403})
    eve.call("getPresence", userId=f"@none:{alice.server_name}", expect={200, 403, 404})
    bob.call("sync", query={"timeout": 0, "set_presence": "offline"})
    bob.call("sync", query={"timeout": 0, "set_presence": "nonsense"}, expect=400)


def push_rules(world: World) -> None:
    alice = world.nobody.register("alice")
    alice.call("getPushRules")
    alice.call("getPushRulesGlobal")


def whole_sync(world: World) -> None:
    """A room in every state, at once and bit by bit."""
    alice, bob = world.nobody.register("alice"), world.nobody.register("bob")
    joined, left, invited = (alice.call("createRoom", {"preset": "public_chat", "name": "x"})["room_id"] for _ in range(3))
    first = bob.call("sync", query={"timeout": 0})["next_batch"]
    for room in [joined, left]:
        bob.call("joinRoom", roomIdOrAlias=room)
    alice.call("inviteUser", {"user_id": bob.user_id}, roomId=invited)
    for number in range(30):
        send(alice, joined, {"msgtype": "m.text", "body": f"{bob.localpart} {number}"})
    bob.call("leaveRoom", roomId=left)
    lazy = json.dumps({"room": {"include_leave": True, "state": {"lazy_load_members": True}, "timeline": {"limit": 5}}})
    threads = json.dumps({"room": {"timeline": {"unread_thread_notifications": True}}})
    for query in [{}, {"full_state": True}, {"filter": lazy}, {"filter": threads}, {"use_state_after": True}]:
        bob.call("sync", query={"timeout": 0, **query})
        bob.call("sync", query={"timeout": 0, "since": first, **query})


def old_sync(world: World) -> None:
    alice, bob = world.nobody.register("alice"), world.nobody.register("bob")
    room = alice.call("createRoom", {"preset": "public_chat", "visibility": "public", "name": "All"})["room_id"]
    bob.call("joinRoomById", roomId=room)
    left = alice.call("createRoom", {"preset": "public_chat"})["room_id"]
    bob.call("joinRoomById", roomId=left)
    bob.call("leaveRoom", {}, roomId=left)
    alice.call("createRoom", {"invite": [bob.user_id]})
    bob.call("setAccountData", {"x": 1}, userId=bob.user_id, type="org.example")
    event = send(alice, room)
    bob.call("postReceipt", {}, roomId=room, receiptType="m.read", eventId=event)
    shown = bob.call("initialSync")
    bob.call("initialSync", query={"limit": 3, "archived": "true"})
    bob.call("initialSync", query={"limit": "nonsense"}, expect=400)
    bob.call("roomInitialSync", roomId=room)
    bob.call("roomInitialSync", roomId=left)
    world.nobody.register("eve").call("roomInitialSync", roomId=room, expect=(403, "M_FORBIDDEN"))
    bob.call("getOneEvent", eventId=event)
    bob.call("getOneEvent", eventId="$unknown", expect=(404, "M_NOT_FOUND"))
    for operation in ["getEvents", "peekEvents"]:
        news = bob.call(operation, query={"from": shown["end"], "timeout": 0})
        send(alice, room)
        bob.call(operation, query={"from": news["end"], "timeout": 10000})
        bob.call(operation, query={"from": "nonsense"}, expect=(400, "M_INVALID_PARAM"))
    bob.call("peekEvents", query={"from": shown["end"], "timeout": 0, "room_id": room})
